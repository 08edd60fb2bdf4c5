#include "node/dns_forwarder.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <deque>
#include <fstream>

#include "base/unique_fd.h"
#include "net/fd_watch.h"
#include "net/listener.h"
#include "node/dns_message.h"

namespace ebb::node {
namespace {

using namespace std::string_literals;
using namespace std::chrono_literals;

constexpr auto kDnsPatience = 20s;

sockaddr_in loopback(uint16_t port) {
  sockaddr_in out = {};
  out.sin_family = AF_INET;
  out.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  out.sin_port = htons(port);
  return out;
}

// A UDP socket on loopback that collects what it receives.
class Peer {
 public:
  explicit Peer(net::Executor& executor) : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)) {
    // On a port that is free for TCP as well.
    for (int i = 0; i < 16; ++i) {
      auto listening = net::bind_shared({.host = "127.0.0.1"}, 1);
      if (!listening) continue;
      tcp = std::move(listening->front());
      const sockaddr_in where = loopback(net::local_address(tcp.get())->port);
      if (::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0) break;
    }
    watch_ = std::make_unique<net::FdWatch>(executor, fd_.get(), [this] {
      char buffer[8192];
      socklen_t length = sizeof from;
      const ssize_t n = ::recvfrom(fd_.get(), buffer, sizeof buffer, 0,
                                   reinterpret_cast<sockaddr*>(&from), &length);
      if (n >= 0) got.emplace_back(buffer, n);
    });
  }
  void send(std::string_view packet, const sockaddr_in& to) {
    ::sendto(fd_.get(), packet.data(), packet.size(), 0, reinterpret_cast<const sockaddr*>(&to),
             sizeof to);
  }
  uint16_t port() { return net::local_address(fd_.get())->port; }

  std::deque<std::string> got;
  sockaddr_in from = {};  // who sent last
  UniqueFd tcp;           // listens

 private:
  UniqueFd fd_;
  std::unique_ptr<net::FdWatch> watch_;
};

class DnsForwarderTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(::mkstemp(conf_), -1);
    std::ofstream(conf_) << "search example\nnameserver 127.0.0.1\n";
    open(1500ms);
  }
  void TearDown() override { ::unlink(conf_); }

  void open(Duration try_timeout) {
    auto dns = DnsForwarder::open(executor_, {.listen = "127.0.0.1",
                                              .domain = "faas.example",
                                              .resolv_conf = conf_,
                                              .try_timeout = try_timeout,
                                              .resolver_port = resolver_.port()});
    ASSERT_TRUE(dns) << dns.error().message;
    dns_ = std::move(*dns);
  }
  template <class Condition>
  bool run_until(Condition condition) {
    const TimePoint deadline = executor_.now() + kDnsPatience;
    while (!condition() && executor_.now() < deadline) executor_.run_until(executor_.now() + 10ms);
    return condition();
  }
  static std::string query(std::string_view name, uint16_t id = 0x1234) {
    std::string out = "\0\0\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"s;
    set_dns_id(out, id);
    return out + dns_wire_name(name).value() + "\0\1\0\1"s;
  }
  void ask(const std::string& packet) { pod_.send(packet, loopback(dns_->port())); }
  static std::string answer_to(const std::string& packet, uint32_t address) {
    return dns_answer(packet, *parse_dns_query(packet), address);
  }

  char conf_[32] = "/tmp/ebb-resolv-XXXXXX";
  net::Executor executor_{"test"};
  Peer pod_{executor_};
  Peer resolver_{executor_};
  std::unique_ptr<DnsForwarder> dns_;
};

TEST_F(DnsForwarderTest, AnswersFunctionsNamesItself) {
  const std::string packet = query("hello.default.faas.example");
  ask(packet);
  ASSERT_TRUE(run_until([&] { return !pod_.got.empty(); }));
  EXPECT_EQ(pod_.got.front(), answer_to(packet, INADDR_LOOPBACK));
  EXPECT_TRUE(resolver_.got.empty());
}

TEST_F(DnsForwarderTest, AsksTheMachinesResolverForOthers) {
  const std::string packet = query("www.example");
  ask(packet);
  ASSERT_TRUE(run_until([&] { return !resolver_.got.empty(); }));
  const std::string asked = resolver_.got.front();
  EXPECT_EQ(asked.substr(2), packet.substr(2));
  // Another id, another question: not for this pod.
  std::string guess = answer_to(asked, 0x06060606);
  set_dns_id(guess, static_cast<uint16_t>(dns_id(asked) + 1));
  resolver_.send(guess, resolver_.from);
  resolver_.send(answer_to(query("evil.example", dns_id(asked)), 0x06060606), resolver_.from);
  resolver_.send(answer_to(asked, 0x01020304), resolver_.from);
  ASSERT_TRUE(run_until([&] { return !pod_.got.empty(); }));
  EXPECT_EQ(pod_.got.front(), answer_to(packet, 0x01020304));
  EXPECT_EQ(dns_->in_flight(), 0U);
}

TEST_F(DnsForwarderTest, TakesRepliesOnlyFromTheResolver) {
  ask(query("www.example"));
  ASSERT_TRUE(run_until([&] { return !resolver_.got.empty(); }));
  Peer stranger(executor_);
  stranger.send(answer_to(resolver_.got.front(), 0x06060606), resolver_.from);
  resolver_.send(answer_to(resolver_.got.front(), 0x01020304), resolver_.from);
  ASSERT_TRUE(run_until([&] { return !pod_.got.empty(); }));
  EXPECT_EQ(pod_.got.front().substr(pod_.got.front().size() - 4), "\1\2\3\4"s);
}

TEST_F(DnsForwarderTest, GivesUpOnADeafResolver) {
  open(20ms);
  const std::string packet = query("www.example");
  ask(packet);
  ASSERT_TRUE(run_until([&] { return !pod_.got.empty(); }));
  EXPECT_EQ(pod_.got.front(), dns_failure(packet, DnsCode::kServerFailure));
  EXPECT_EQ(resolver_.got.size(), 3U);
  EXPECT_EQ(dns_->in_flight(), 0U);
}

TEST_F(DnsForwarderTest, BoundsWhatOnePodMayAsk) {
  for (uint16_t id = 0; id < 40; ++id) {
    ask(query("www.example", id));
    executor_.run_until(executor_.now());
  }
  ASSERT_TRUE(run_until([&] { return pod_.got.size() == 8; }));
  EXPECT_EQ(dns_->in_flight(), 32U);
  EXPECT_EQ(pod_.got.front(), dns_failure(query("www.example", 32), DnsCode::kServerFailure));
}

TEST_F(DnsForwarderTest, ReadsTheResolversAgain) {
  std::ofstream(conf_) << "# none\n";
  // A clock may be too coarse to show the change.
  const timespec times[2] = {{1, 0}, {1, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, conf_, times, 0), 0);
  const std::string packet = query("www.example");
  ask(packet);
  ASSERT_TRUE(run_until([&] { return !pod_.got.empty(); }));
  EXPECT_EQ(pod_.got.front(), dns_failure(packet, DnsCode::kServerFailure));
}

std::string framed(const std::string& packet) {
  return std::string{static_cast<char>(packet.size() >> 8), static_cast<char>(packet.size())} +
         packet;
}

net::Task<void> talk(net::Executor& executor, net::Address to, std::string send, size_t bytes,
                     std::string& got) {
  auto stream = co_await net::connect(executor, to, executor.now() + kDnsPatience);
  if (!stream) co_return;
  auto sent = co_await stream->write_all(send, executor.now() + kDnsPatience);
  while (sent && got.size() < bytes) {
    char buffer[4096];
    auto n = co_await stream->read_some(buffer, executor.now() + kDnsPatience);
    if (!n || *n == 0) co_return;
    got.append(buffer, *n);
  }
}

// Answers the first connection's first question with `address` a thousand times.
net::Task<void> resolve(net::Executor& executor, net::Listener& listener, std::string& reply) {
  auto stream = co_await listener.accept();
  if (!stream) co_return;
  std::string got;
  while (got.size() < 2 ||
         got.size() < 2 + static_cast<size_t>(static_cast<unsigned char>(got[1]))) {
    char buffer[4096];
    auto n = co_await stream->read_some(buffer, executor.now() + kDnsPatience);
    if (!n || *n == 0) co_return;
    got.append(buffer, *n);
  }
  const std::string packet = got.substr(2);
  reply = dns_answer(packet, *parse_dns_query(packet), 0x01020304) + std::string(8000, '\0');
  const std::string out = framed(reply);
  auto sent = co_await stream->write_all(out, executor.now() + kDnsPatience);
  EXPECT_TRUE(sent.has_value());
}

TEST_F(DnsForwarderTest, ServesLargeAnswersByTcp) {
  net::Listener listener(executor_, std::move(resolver_.tcp));
  std::string reply;
  executor_.spawn(resolve(executor_, listener, reply));
  const net::Address dns{.host = "127.0.0.1", .port = dns_->port()};
  const std::string own = query("hello.default.faas.example");
  const std::string other = query("www.example");
  std::string got;
  const size_t expected =
      framed(answer_to(own, INADDR_LOOPBACK)).size() + 2 + answer_to(other, 0).size() + 8000;
  executor_.spawn(talk(executor_, dns, framed(own) + framed(other), expected, got));
  ASSERT_TRUE(run_until([&] { return got.size() >= expected; }));
  set_dns_id(reply, 0x1234);
  EXPECT_EQ(got, framed(answer_to(own, INADDR_LOOPBACK)) + framed(reply));
}

TEST(ResolvConf, TakesWhatTheCLibraryTakes) {
  using testing::ElementsAre;
  EXPECT_THAT(parse_resolv_conf("# x\nnameserver 10.0.0.1\nnameserver\t::1 # y\nnameserver name\n"
                                "nameserverx 1.1.1.1\n nameserver 2.2.2.2\nnameserver"),
              ElementsAre("10.0.0.1", "::1"));
  EXPECT_THAT(parse_resolv_conf("nameserver 1.0.0.1\nnameserver 1.0.0.2\nnameserver 1.0.0.3\n"
                                "nameserver 1.0.0.4\n"),
              ElementsAre("1.0.0.1", "1.0.0.2", "1.0.0.3"));
}

}  // namespace
}  // namespace ebb::node
