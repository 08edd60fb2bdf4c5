#include "node/dns_forwarder.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <list>
#include <map>

#include "base/file.h"
#include "base/log.h"
#include "base/quote.h"
#include "base/random.h"
#include "net/fd_watch.h"
#include "net/listener.h"
#include "net/sockaddr.h"
#include "net/stream.h"
#include "node/dns_message.h"

namespace ebb::node {
namespace {

constexpr size_t kMaxQuestions = 256;  // that wait for a resolver
constexpr size_t kMaxQuestionsPerPod = 32;
constexpr size_t kMaxConnections = 64;  // TCP
constexpr size_t kMaxConnectionsPerPod = 8;
constexpr uint32_t kAllPods = 0;    // key of the sum in counts by pod
constexpr size_t kMaxQuery = 4096;  // bytes
constexpr size_t kMaxUdpReply = 4096;
constexpr size_t kMaxReply = 65535;  // TCP
constexpr int kPacketsAtOnce = 32;   // then others get their turn
constexpr int kTries = 3;
constexpr size_t kMaxResolvers = 3;
constexpr size_t kMaxResolvConf = 64 * 1024;
constexpr int kPortTries = 16;  // until UDP's port is free for TCP too
constexpr Duration kConnectionDeadline = std::chrono::seconds(10);

uint16_t random_id() {
  unsigned char bytes[2];
  random_bytes(bytes);
  return static_cast<uint16_t>(bytes[0] << 8 | bytes[1]);
}

Result<UniqueFd> udp_socket(const net::SocketAddress& address, bool connected) {
  UniqueFd fd(::socket(address.family(), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, "cannot make a UDP socket");
  const int result = connected ? ::connect(fd.get(), address.get(), address.size)
                               : ::bind(fd.get(), address.get(), address.size);
  if (result != 0) {
    return fail_errno(errno, connected ? "cannot reach the resolver" : "cannot bind a UDP socket");
  }
  return fd;
}

// One entry of a count by pod, given back when this ends.
class PerPod final {
 public:
  PerPod(std::map<uint32_t, size_t>& counts, uint32_t pod) : counts_(&counts), pod_(pod) {
    ++counts[pod];
  }
  PerPod(PerPod&& other) noexcept : counts_(other.counts_), pod_(other.pod_) {
    other.counts_ = nullptr;
  }
  PerPod& operator=(PerPod&&) = delete;
  ~PerPod() {
    if (counts_ == nullptr) return;
    if (const auto it = counts_->find(pod_); --it->second == 0) counts_->erase(it);
  }

 private:
  std::map<uint32_t, size_t>* counts_;
  uint32_t pod_;
};

size_t count_of(const std::map<uint32_t, size_t>& counts, uint32_t pod) {
  const auto found = counts.find(pod);
  return found == counts.end() ? 0 : found->second;
}

}  // namespace

std::vector<std::string> parse_resolv_conf(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty() && out.size() < kMaxResolvers) {
    const auto end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    constexpr std::string_view kKey = "nameserver";
    constexpr const char* kBlank = " \t\r";
    if (!line.starts_with(kKey)) continue;
    line.remove_prefix(kKey.size());
    const auto from = line.find_first_not_of(kBlank);
    if (from == 0 || from == std::string_view::npos) continue;
    line.remove_prefix(from);
    const std::string host(line.substr(0, line.find_first_of(kBlank)));
    unsigned char parsed[16];
    if (::inet_pton(AF_INET, host.c_str(), parsed) == 1 ||
        ::inet_pton(AF_INET6, host.c_str(), parsed) == 1) {
      out.push_back(host);
    }
  }
  return out;
}

struct DnsForwarder::State : std::enable_shared_from_this<State> {
  // One UDP question that waits for a resolver.
  struct Waiting {
    explicit Waiting(PerPod counted) : guard(std::move(counted)) {}
    PerPod guard;
    sockaddr_in pod = {};
    DnsQuestion question;
    std::string packet;  // as the pod sent it
    uint16_t id = 0;     // towards the resolver
    int tries = 0;
    net::Timer timer;
    UniqueFd fd;
    std::unique_ptr<net::FdWatch> watch;  // of fd: destroyed before it
  };
  using Place = std::list<Waiting>::iterator;

  State(net::Executor& loop, DnsOptions with) : executor(loop), options(std::move(with)) {}

  Result<void> open();
  void on_packets();
  void on_query(std::string_view packet, const sockaddr_in& pod);
  void try_next(Place place);
  void on_reply(Place place);
  void send(std::string_view packet, const sockaddr_in& pod) const;
  void finish(Place place, std::string_view reply);
  const std::vector<std::string>& resolvers();
  [[nodiscard]] std::optional<std::string> own_answer(std::string_view packet,
                                                      const DnsQuestion& question) const;

  static net::Task<void> accept(std::shared_ptr<State> self);
  static net::Task<void> converse(std::shared_ptr<State> self, net::Stream pod);
  static net::Task<bool> read_packet(net::Stream& stream, std::string& packet, size_t limit,
                                     TimePoint deadline);
  static net::Task<bool> write_packet(net::Stream& stream, const std::string& packet,
                                      TimePoint deadline);
  static net::Task<std::string> ask_tcp(State& self, const std::string& packet,
                                        const DnsQuestion& question, TimePoint deadline);

  net::Executor& executor;
  DnsOptions options;
  std::string domain;  // as on the wire
  uint32_t address = 0;
  uint16_t port = 0;
  UniqueFd udp;
  std::unique_ptr<net::FdWatch> udp_watch;
  std::unique_ptr<net::Listener> tcp;
  std::map<uint32_t, size_t> questions_of;
  std::map<uint32_t, size_t> connections_of;
  std::list<Waiting> waiting;
  std::vector<std::string> known_resolvers;
  timespec resolvers_of = {};  // the file's time when it was read
};

Result<void> DnsForwarder::State::open() {
  const auto wire = dns_wire_name(options.domain);
  if (!wire) return fail(Errc::kInvalid, "{} is not a domain", in_quotes(options.domain));
  domain = *wire;
  in_addr parsed = {};
  if (::inet_pton(AF_INET, options.listen.c_str(), &parsed) != 1) {
    return fail(Errc::kInvalid, "{} is not an IPv4 address", in_quotes(options.listen));
  }
  address = ntohl(parsed.s_addr);
  for (int i = 0;; ++i) {
    const auto any = net::to_socket_address({.host = options.listen});
    if (!any) return fail(any.error());
    auto bound = udp_socket(*any, false);
    if (!bound) return fail(bound.error());
    const auto local = net::local_address(bound->get());
    if (!local) return fail(local.error());
    auto listening = net::bind_shared(*local, 1);
    if (!listening && i < kPortTries) continue;
    if (!listening) return fail(listening.error());
    udp = std::move(*bound);
    port = local->port;
    tcp = std::make_unique<net::Listener>(executor, std::move(listening->front()));
    break;
  }
  udp_watch = std::make_unique<net::FdWatch>(executor, udp.get(), [this] { on_packets(); });
  executor.spawn(accept(shared_from_this()));
  return {};
}

const std::vector<std::string>& DnsForwarder::State::resolvers() {
  struct stat info = {};
  if (::stat(options.resolv_conf.c_str(), &info) != 0) return known_resolvers;
  if (info.st_mtim.tv_sec == resolvers_of.tv_sec && info.st_mtim.tv_nsec == resolvers_of.tv_nsec) {
    return known_resolvers;
  }
  resolvers_of = info.st_mtim;
  const auto text = read_file(options.resolv_conf, kMaxResolvConf);
  known_resolvers = text ? parse_resolv_conf(*text) : std::vector<std::string>();
  if (known_resolvers.empty()) {
    log::warn("dns", "{} names no resolver: functions can resolve no names but functions'",
              options.resolv_conf);
  }
  return known_resolvers;
}

std::optional<std::string> DnsForwarder::State::own_answer(std::string_view packet,
                                                           const DnsQuestion& question) const {
  if (!is_under(question.name, domain)) return std::nullopt;
  return dns_answer(packet, question, address);
}

// --- UDP ---

void DnsForwarder::State::on_packets() {
  char buffer[kMaxQuery];
  for (int i = 0; i < kPacketsAtOnce; ++i) {
    sockaddr_in pod = {};
    socklen_t length = sizeof pod;
    const ssize_t n =
        ::recvfrom(udp.get(), buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&pod), &length);
    if (n < 0) return;
    on_query(std::string_view(buffer, static_cast<size_t>(n)), pod);
  }
}

void DnsForwarder::State::send(std::string_view packet, const sockaddr_in& pod) const {
  // A pod that does not take its answers loses them.
  static_cast<void>(::sendto(udp.get(), packet.data(), packet.size(), MSG_DONTWAIT,
                             reinterpret_cast<const sockaddr*>(&pod), sizeof pod));
}

void DnsForwarder::State::on_query(std::string_view packet, const sockaddr_in& pod) {
  auto question = parse_dns_query(packet);
  if (!question) {
    if (question.error()) send(dns_failure(packet, *question.error()), pod);
    return;
  }
  if (const auto answer = own_answer(packet, *question)) {
    send(*answer, pod);
    return;
  }
  const uint32_t from = pod.sin_addr.s_addr;
  if (waiting.size() >= kMaxQuestions || count_of(questions_of, from) >= kMaxQuestionsPerPod) {
    send(dns_failure(packet, DnsCode::kServerFailure), pod);
    return;
  }
  const auto place = waiting.emplace(waiting.end(), PerPod(questions_of, from));
  place->pod = pod;
  place->question = std::move(*question);
  place->packet = packet;
  place->timer.fire = [this, place] { try_next(place); };
  try_next(place);
}

// Asks the next resolver; gives up when there is none left to try.
void DnsForwarder::State::try_next(Place place) {
  const auto& known = resolvers();
  while (place->tries < kTries && !known.empty()) {
    const std::string& host = known[static_cast<size_t>(place->tries++) % known.size()];
    const auto to = net::to_socket_address({.host = host, .port = options.resolver_port});
    if (!to) continue;
    auto fd = udp_socket(*to, true);
    if (!fd) continue;
    place->watch.reset();
    place->fd = std::move(*fd);
    place->id = random_id();
    std::string packet = place->packet;
    set_dns_id(packet, place->id);
    if (::send(place->fd.get(), packet.data(), packet.size(), MSG_NOSIGNAL) < 0) continue;
    place->watch = std::make_unique<net::FdWatch>(executor, place->fd.get(),
                                                  [this, place] { on_reply(place); });
    executor.arm(place->timer, executor.now() + options.try_timeout);
    return;
  }
  finish(place, dns_failure(place->packet, DnsCode::kServerFailure));
}

void DnsForwarder::State::on_reply(Place place) {
  char buffer[kMaxUdpReply];
  for (int i = 0; i < kPacketsAtOnce; ++i) {
    const ssize_t n = ::recv(place->fd.get(), buffer, sizeof buffer, MSG_TRUNC);
    if (n < 0) {
      if (errno != EAGAIN && errno != EINTR) try_next(place);  // nobody listens there
      return;
    }
    const bool cut = static_cast<size_t>(n) > sizeof buffer;
    const std::string_view packet(buffer, std::min(static_cast<size_t>(n), sizeof buffer));
    if (!is_dns_reply(packet, place->question, place->id)) continue;
    std::string reply = cut ? dns_truncated(place->packet, place->question) : std::string(packet);
    set_dns_id(reply, place->question.id);
    finish(place, reply);
    return;
  }
}

void DnsForwarder::State::finish(Place place, std::string_view reply) {
  send(reply, place->pod);
  waiting.erase(place);
}

// --- TCP ---

net::Task<void> DnsForwarder::State::accept(std::shared_ptr<State> self) {
  for (;;) {
    auto stream = co_await self->tcp->accept();
    if (!stream) {
      if (stream.error() == net::IoError::kCanceled) co_return;
      continue;
    }
    if (count_of(self->connections_of, kAllPods) >= kMaxConnections) continue;  // closed at once
    self->executor.spawn(converse(self, std::move(*stream)));
  }
}

// The questions of one connection, one after the other, until its deadline.
net::Task<void> DnsForwarder::State::converse(std::shared_ptr<State> self, net::Stream pod) {
  in_addr from = {};
  ::inet_pton(AF_INET, pod.peer().host.c_str(), &from);
  if (count_of(self->connections_of, from.s_addr) >= kMaxConnectionsPerPod) co_return;
  const PerPod guard(self->connections_of, from.s_addr);
  const PerPod all(self->connections_of, kAllPods);
  const TimePoint deadline = self->executor.now() + kConnectionDeadline;
  for (;;) {
    std::string packet;
    const bool read = co_await read_packet(pod, packet, kMaxQuery, deadline);
    if (!read) break;
    auto question = parse_dns_query(packet);
    if (!question && !question.error()) break;
    std::string answer;
    if (!question) {
      answer = dns_failure(packet, *question.error());
    } else if (auto own = self->own_answer(packet, *question)) {
      answer = std::move(*own);
    } else {
      answer = co_await ask_tcp(*self, packet, *question, deadline);
    }
    const bool written = co_await write_packet(pod, answer, deadline);
    if (!written) break;
  }
}

// Each packet has its length before it.
net::Task<bool> DnsForwarder::State::read_packet(net::Stream& stream, std::string& packet,
                                                 size_t limit, TimePoint deadline) {
  packet.clear();
  char length[2];
  size_t have = 0;
  while (have < sizeof length) {
    auto n = co_await stream.read_some(std::span(length).subspan(have), deadline);
    if (!n || *n == 0) co_return false;
    have += *n;
  }
  const size_t size = static_cast<size_t>(static_cast<unsigned char>(length[0])) << 8 |
                      static_cast<unsigned char>(length[1]);
  if (size < kDnsHeader || size > limit) co_return false;
  packet.resize(size);
  have = 0;
  while (have < size) {
    auto n = co_await stream.read_some(std::span(packet).subspan(have), deadline);
    if (!n || *n == 0) co_return false;
    have += *n;
  }
  co_return true;
}

net::Task<bool> DnsForwarder::State::write_packet(net::Stream& stream, const std::string& packet,
                                                  TimePoint deadline) {
  const char length[2] = {static_cast<char>(packet.size() >> 8 & 0xff),
                          static_cast<char>(packet.size() & 0xff)};
  const std::string_view prefix(length, sizeof length);
  auto written = co_await stream.write_all(prefix, packet, std::string_view(), deadline);
  co_return written.has_value();
}

net::Task<std::string> DnsForwarder::State::ask_tcp(State& self, const std::string& packet,
                                                    const DnsQuestion& question,
                                                    TimePoint deadline) {
  const std::vector<std::string> known = self.resolvers();
  std::string asked = packet;
  const uint16_t id = random_id();
  set_dns_id(asked, id);
  for (const auto& host : known) {
    net::Address to;
    to.host = host;
    to.port = self.options.resolver_port;
    const TimePoint soon = std::min(deadline, self.executor.now() + self.options.try_timeout);
    auto resolver = co_await net::connect(self.executor, to, soon);
    if (!resolver) continue;
    const bool written = co_await write_packet(*resolver, asked, soon);
    if (!written) continue;
    std::string reply;
    const bool read = co_await read_packet(*resolver, reply, kMaxReply, soon);
    if (!read || !is_dns_reply(reply, question, id)) continue;
    set_dns_id(reply, question.id);
    co_return reply;
  }
  co_return dns_failure(packet, DnsCode::kServerFailure);
}

// --- The handle ---

DnsForwarder::DnsForwarder(std::shared_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<DnsForwarder>> DnsForwarder::open(net::Executor& executor,
                                                         DnsOptions options) {
  auto state = std::make_shared<State>(executor, std::move(options));
  if (auto opened = state->open(); !opened) return fail(opened.error());
  return std::unique_ptr<DnsForwarder>(new DnsForwarder(std::move(state)));
}

DnsForwarder::~DnsForwarder() {
  state_->udp_watch.reset();
  state_->waiting.clear();
  state_->tcp->close();
  state_->tcp.reset();
}

uint16_t DnsForwarder::port() const { return state_->port; }

size_t DnsForwarder::in_flight() const { return state_->waiting.size(); }

}  // namespace ebb::node
