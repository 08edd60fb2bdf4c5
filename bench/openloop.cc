// A load generator that keeps to its timetable: requests have moments at which they are
// to be sent, whether earlier ones are answered or not, and latency counts from there. A
// request that finds all connections busy waits for one, and its waiting counts, so that a
// server that stalls cannot hide what it did to those who came meanwhile (no coordinated
// omission).
//
//   openloop 127.0.0.1:8080 --host hello.default.localhost --rate 5000 --seconds 2
//
// --rate R         requests a second; 0 (default): closed loop, each connection sends as
//                  soon as it has its answer, and latency counts from there
// --fixed          equal gaps; else exponential ones (Poisson arrivals)
// --connections N  keep-alive, used in turns (default 64)
// --host NAME      value of Host; several are used in turns
// --seconds S      of sending (default 1); answers are awaited for 10 s more
// --seed N         of the gaps (default 1)
//
// Prints a line of JSON: rate (answers/s), answers, failed (other than 200), unanswered,
// queued (that found all connections busy), and p50, p90, p99, p99.9 and max in us, to 1 %.
// What is unanswered counts with the time that it has waited for.
#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kNever = INT64_MAX;
constexpr int64_t kPatience = 10 * kSecond;  // for answers after the last request

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "openloop: %s%s%s\n", what, errno != 0 ? ": " : "",
               errno != 0 ? std::strerror(errno) : "");
  std::exit(1);
}

// ns
int64_t now() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * kSecond + t.tv_nsec;
}

// Counts of durations in ns, in buckets of 1/128 of their power of two.
class Histogram final {
 public:
  void add(int64_t ns) {
    ++counts_[index(static_cast<uint64_t>(std::max<int64_t>(ns, 0)))];
    ++total_;
  }
  // us; 0 without values.
  [[nodiscard]] double percentile(double fraction) const {
    const auto rank = static_cast<uint64_t>(std::ceil(fraction * static_cast<double>(total_)));
    uint64_t seen = 0;
    for (size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen > 0 && seen >= rank) return middle_us(i);
    }
    return 0;
  }

 private:
  static constexpr int kBits = 7;
  static constexpr uint64_t kSteps = 1 << kBits;

  // Values below kSteps stand for themselves, then come kSteps for each power of two.
  static size_t index(uint64_t v) {
    if (v < kSteps) return v;
    const int shift = std::bit_width(v) - 1 - kBits;
    return kSteps * static_cast<size_t>(shift) + (v >> shift);
  }
  static double middle_us(size_t i) {
    if (i < kSteps) return static_cast<double>(i) / 1e3;
    const auto shift = i / kSteps - 1;
    return (static_cast<double>(i % kSteps + kSteps) + 0.5) * std::exp2(shift) / 1e3;
  }

  std::array<uint64_t, kSteps * (64 - kBits + 1)> counts_{};
  uint64_t total_ = 0;
};

struct Settings {
  sockaddr_in address{};
  double rate = 0;
  double seconds = 1;
  bool fixed = false;
  size_t connections = 64;
  uint64_t seed = 1;
  std::vector<std::string> hosts;
};

struct Connection {
  int fd = -1;
  int64_t due = 0;   // when the request under way was to be sent
  std::string head;  // of its answer, until that is whole
  bool busy = false;
  bool in_body = false;
  bool ok = false;
  size_t left = 0;  // of the body
};

class Generator final {
 public:
  explicit Generator(const Settings& s) : s_(s), dice_(s.seed), connections_(s.connections) {
    for (const std::string& host : s.hosts) {
      requests_.push_back("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
    }
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    timer_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (epoll_ < 0 || timer_ < 0) die("epoll");
    watch(timer_, nullptr);
    for (Connection& c : connections_) {
      connect(c);
      idle_.push_back(&c);
    }
  }

  void run() {
    const int64_t start = now();
    end_ = start + static_cast<int64_t>(s_.seconds * kSecond);
    if (s_.rate > 0) {
      next_ = start + gap();
    } else {
      next_ = kNever;
      for (Connection& c : connections_) send(c, now());
      idle_.clear();
    }
    std::array<epoll_event, 256> events{};
    while (now() < end_ || (under_way() > 0 && now() < end_ + kPatience)) {
      arm();
      const int n = ::epoll_wait(epoll_, events.data(), events.size(), 100);
      if (n < 0 && errno != EINTR) die("epoll_wait");
      for (int i = 0; i < n; ++i) {
        if (events[i].data.ptr != nullptr) receive(*static_cast<Connection*>(events[i].data.ptr));
      }
      send_due();
      while (next_ <= now()) {
        if (idle_.empty()) ++queued_;
        due_.push_back(next_);
        next_ += gap();
        if (next_ >= end_) next_ = kNever;
        send_due();
      }
    }
  }

  void print() {
    const int64_t at = now();
    for (const int64_t due : due_) took_.add(at - due);
    for (const Connection& c : connections_) {
      if (c.busy) took_.add(at - c.due);
    }
    std::printf(R"({"rate": %.1f, "answers": %llu, "failed": %llu, "unanswered": %zu, )",
                static_cast<double>(in_time_) / s_.seconds,
                static_cast<unsigned long long>(answers_), static_cast<unsigned long long>(failed_),
                under_way());
    std::printf(R"("queued": %llu, )", static_cast<unsigned long long>(queued_));
    std::printf(R"("p50": %.2f, "p90": %.2f, "p99": %.2f, "p99.9": %.2f, "max": %.2f})",
                took_.percentile(0.5), took_.percentile(0.9), took_.percentile(0.99),
                took_.percentile(0.999), took_.percentile(1));
    std::printf("\n");
  }

 private:
  [[nodiscard]] size_t under_way() const { return due_.size() + sent_ - answers_; }

  int64_t gap() {
    const double mean = static_cast<double>(kSecond) / s_.rate;
    if (s_.fixed) return static_cast<int64_t>(mean);
    return static_cast<int64_t>(std::exponential_distribution<double>(1 / mean)(dice_));
  }

  void watch(int fd, void* what) const {
    epoll_event event{.events = EPOLLIN, .data = {.ptr = what}};
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
  }

  void connect(Connection& c) const {
    c.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c.fd < 0 ||
        ::connect(c.fd, reinterpret_cast<const sockaddr*>(&s_.address), sizeof s_.address) != 0) {
      die("connect");
    }
    const int one = 1;
    ::setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    watch(c.fd, &c);
  }

  // Wakes us at the next request's moment.
  void arm() {
    if (next_ == armed_) return;
    armed_ = next_;
    itimerspec at{};  // zero: never
    if (next_ != kNever) at.it_value = {.tv_sec = next_ / kSecond, .tv_nsec = next_ % kSecond};
    ::timerfd_settime(timer_, TFD_TIMER_ABSTIME, &at, nullptr);
  }

  void send_due() {
    while (!due_.empty() && !idle_.empty()) {
      Connection& c = *idle_.front();
      idle_.pop_front();
      send(c, due_.front());
      due_.pop_front();
    }
  }

  void send(Connection& c, int64_t due) {
    const std::string& request = requests_[sent_++ % requests_.size()];
    c.due = due;
    c.busy = true;
    c.head.clear();
    c.in_body = false;
    if (::send(c.fd, request.data(), request.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(request.size())) {
      die("send");
    }
  }

  void receive(Connection& c) {
    const ssize_t n = ::recv(c.fd, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) die("recv");
    if (n == 0) die("the server closed a connection");
    auto got = static_cast<size_t>(n);
    if (!c.in_body) {
      const size_t before = c.head.size();
      c.head.append(buffer_.data(), got);
      const size_t end = c.head.find("\r\n\r\n", before < 3 ? 0 : before - 3);
      if (end == std::string::npos) return;
      got = c.head.size() - (end + 4);
      c.head.resize(end + 2);
      read_head(c);
    }
    if (got > c.left) die("more bytes than the answer has");
    c.left -= got;
    if (c.left == 0) done(c);
  }

  static void read_head(Connection& c) {
    c.in_body = true;
    c.ok = c.head.starts_with("HTTP/1.1 200");
    std::transform(c.head.begin(), c.head.end(), c.head.begin(),
                   [](unsigned char ch) { return static_cast<char>(std::tolower(ch)); });
    constexpr std::string_view kLength = "\r\ncontent-length:";
    const size_t at = c.head.find(kLength);
    errno = 0;
    if (at == std::string::npos) die("an answer without Content-Length");
    c.left = std::strtoull(c.head.c_str() + at + kLength.size(), nullptr, 10);
  }

  void done(Connection& c) {
    const int64_t at = now();
    took_.add(at - c.due);
    c.busy = false;
    ++answers_;
    if (at < end_) ++in_time_;
    if (!c.ok) ++failed_;
    if (s_.rate > 0) {
      idle_.push_back(&c);
    } else if (at < end_) {
      send(c, at);
    }
  }

  const Settings& s_;
  std::mt19937_64 dice_;
  std::vector<std::string> requests_;
  std::vector<Connection> connections_;
  std::deque<Connection*> idle_;  // longest idle first
  std::deque<int64_t> due_;       // without a connection yet
  Histogram took_;
  std::array<char, 1 << 16> buffer_{};
  int epoll_ = -1;
  int timer_ = -1;
  int64_t end_ = 0;
  int64_t next_ = 0;
  int64_t armed_ = kNever;
  uint64_t sent_ = 0;
  uint64_t answers_ = 0;
  uint64_t in_time_ = 0;
  uint64_t failed_ = 0;
  uint64_t queued_ = 0;
};

Settings read(int argc, char** argv) {
  constexpr option kOptions[] = {{"rate", required_argument, nullptr, 'r'},
                                 {"fixed", no_argument, nullptr, 'f'},
                                 {"connections", required_argument, nullptr, 'c'},
                                 {"host", required_argument, nullptr, 'h'},
                                 {"seconds", required_argument, nullptr, 's'},
                                 {"seed", required_argument, nullptr, 'd'},
                                 {nullptr, 0, nullptr, 0}};
  Settings s;
  for (int o = 0; (o = ::getopt_long(argc, argv, "", kOptions, nullptr)) != -1;) {
    switch (o) {
      case 'r':
        s.rate = std::strtod(optarg, nullptr);
        break;
      case 'f':
        s.fixed = true;
        break;
      case 'c':
        s.connections = std::strtoull(optarg, nullptr, 10);
        break;
      case 'h':
        s.hosts.emplace_back(optarg);
        break;
      case 's':
        s.seconds = std::strtod(optarg, nullptr);
        break;
      case 'd':
        s.seed = std::strtoull(optarg, nullptr, 10);
        break;
      default:
        std::exit(2);
    }
  }
  const std::string where = optind < argc ? argv[optind] : "";
  const size_t colon = where.find(':');
  s.address.sin_family = AF_INET;
  if (colon == std::string::npos || s.connections == 0 || s.hosts.empty() ||
      ::inet_pton(AF_INET, where.substr(0, colon).c_str(), &s.address.sin_addr) != 1) {
    std::fprintf(stderr, "usage: openloop ADDRESS:PORT --host NAME [OPTIONS], see its source\n");
    std::exit(2);
  }
  s.address.sin_port =
      htons(static_cast<uint16_t>(std::strtoul(where.c_str() + colon + 1, nullptr, 10)));
  return s;
}

}  // namespace

int main(int argc, char** argv) {
  const Settings settings = read(argc, argv);
  Generator generator(settings);
  generator.run();
  generator.print();
  return 0;
}
