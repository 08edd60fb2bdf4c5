// Counts what the gateway allocates for a request once everything is warm: nothing.
// A program of its own, since it replaces operator new.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <new>
#include <thread>

#include "net/listener.h"
#include "serving/fakes.h"
#include "serving/gateway.h"
#include "serving/traffic.h"

namespace {

std::atomic<uint64_t> allocations = 0;  // on threads that are counted
thread_local bool counted = false;

void* allocate(size_t bytes) {
  if (counted) allocations.fetch_add(1, std::memory_order_relaxed);
  void* block = std::malloc(bytes);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

}  // namespace

void* operator new(size_t bytes) { return allocate(bytes); }
void* operator new[](size_t bytes) { return allocate(bytes); }
void operator delete(void* block) noexcept { std::free(block); }
void operator delete[](void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t /*bytes*/) noexcept { std::free(block); }
void operator delete[](void* block, size_t /*bytes*/) noexcept { std::free(block); }

namespace ebb::serving {
namespace {

using namespace std::chrono_literals;

bool send_all(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t n = ::send(fd, data.data(), data.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    data.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

// Reads until what came last is `end`; false at the peer's end.
bool read_until(int fd, std::string_view end) {
  std::string tail;
  std::array<char, 64 * 1024> buffer;
  while (!tail.ends_with(end)) {
    const ssize_t n = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (n <= 0) return false;
    tail.append(buffer.data(), static_cast<size_t>(n));
  }
  return true;
}

// A gateway on a thread of its own, one pod, and a client: both with plain sockets.
class Allocations : public testing::Test {
 public:
  ~Allocations() override { std::filesystem::remove_all(folder_); }

 protected:
  struct Message {
    std::string text;
    std::string_view end = "END";  // only its last bytes are this
  };
  // Of one exchange in the steady state.
  double per_request(const Message& request, const Message& answer) {
    server_.start();
    std::thread pod([&] {
      pollfd knocks{pod_listener_.get(), POLLIN, 0};
      ::poll(&knocks, 1, -1);
      const UniqueFd connection(::accept(pod_listener_.get(), nullptr, nullptr));
      while (read_until(connection.get(), request.end) && send_all(connection.get(), answer.text)) {
      }
    });
    std::thread loop([&] {
      counted = true;
      executor_.run();
    });
    const uint64_t seen = allocations_of_client(request, answer);
    executor_.post([this] { executor_.spawn(end()); });
    loop.join();
    // Its connection lies idle in the gateway's pool.
    throttler_->pod_gone("a", {.reason = "Stopped", .message = ""});
    gateway_.reset();
    pod.join();
    return static_cast<double>(seen) / kCounted;
  }

 private:
  static std::string make_folder() {
    char folder[] = "/tmp/ebb-allocations-XXXXXX";
    return ::mkdtemp(folder);
  }
  std::unique_ptr<Gateway> make_gateway() {
    throttler_->pod_added({"a", "unix:" + folder_ + "/pod", true});
    Backend backend;
    backend.throttler = throttler_;
    backend.name = "hello-00001";
    backend.metrics =
        traffic_.add(throttler_, {.ns = "default", .service = "hello", .revision = "hello-00001"});
    Route route;
    route.ns = "default";
    route.name = "hello";
    route.targets.push_back({.percent = 100, .backend = backend});
    routes_.apply({{"hello.default.example.org", std::make_shared<const Route>(std::move(route))}});
    return std::make_unique<Gateway>(
        executor_,
        GatewayParts{
            .routes = routes_, .waker = waker_, .clock = clock_, .counters = metrics_.gateway(0)},
        GatewaySettings{});
  }
  uint64_t allocations_of_client(const Message& request, const Message& answer) {
    const UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(server_.address().port);
    if (::connect(client.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
      ADD_FAILURE() << "cannot connect";
      return 0;
    }
    uint64_t before = 0;
    for (int i = 0; i < kWarm + kCounted; ++i) {
      if (i == kWarm) before = allocations.load();
      if (!send_all(client.get(), request.text) || !read_until(client.get(), answer.end)) {
        ADD_FAILURE() << "no answer to request " << i;
        break;
      }
    }
    return allocations.load() - before;
  }
  net::Task<void> end() {
    (void)co_await server_.drain(executor_.now() + 5s);
    executor_.stop();
  }

  static constexpr int kWarm = 200;
  static constexpr int kCounted = 1000;
  const std::string folder_ = make_folder();
  net::Executor executor_{"test"};
  SystemClock clock_;
  NoSource source_;
  NoWaker waker_;
  Traffic traffic_;
  Metrics metrics_{traffic_, 1};
  RoutingPublisher routes_;
  std::shared_ptr<Throttler> throttler_ = std::make_shared<Throttler>(
      ThrottlerOptions{.revision = "uid", .concurrency = 10}, source_, clock_,
      [](const std::string& /*pod*/, const std::string& /*error*/) {});
  UniqueFd pod_listener_ =
      std::move(net::bind_shared(net::Address::unix_path(folder_ + "/pod"), 1)->front());
  std::unique_ptr<Gateway> gateway_ = make_gateway();
  http::Server server_{executor_,
                       std::move(net::bind_shared(*net::Address::parse("127.0.0.1:0"), 1)->front()),
                       *gateway_, server_options({}, metrics_.gateway(0))};
};

// A way that is seldom gone may be gone for the first time after the others have warmed up.
constexpr double kFirstTimes = 0.005;

constexpr const char* kFields =
    "Host: hello.default.example.org:8080\r\nUser-Agent: a-browser/1.0 (of some length)\r\n"
    "Accept: text/html,application/xhtml+xml;q=0.9\r\nAccept-Encoding: gzip, deflate, br\r\n"
    "Cookie: session=0123456789abcdef0123456789abcdef\r\n";

std::string get() { return fmt::format("GET /path?query=1 HTTP/1.1\r\n{}\r\n", kFields); }
std::string sized(std::string_view start, size_t size) {
  return fmt::format("{}Content-Length: {}\r\n\r\n{}END", start, size, std::string(size - 3, 'x'));
}

TEST_F(Allocations, NoneForASmallAnswer) {
  EXPECT_LT(per_request({get(), "\r\n\r\n"}, {sized("HTTP/1.1 200 OK\r\n", 100)}), kFirstTimes);
}

TEST_F(Allocations, NoneForALargeAnswer) {
  EXPECT_LT(per_request({get(), "\r\n\r\n"}, {sized("HTTP/1.1 200 OK\r\n", 500'000)}), kFirstTimes);
}

TEST_F(Allocations, NoneForARequestWithABody) {
  const std::string start = fmt::format("POST /path HTTP/1.1\r\n{}", kFields);
  EXPECT_LT(per_request({sized(start, 5000)}, {sized("HTTP/1.1 201 Created\r\n", 10)}),
            kFirstTimes);
}

TEST_F(Allocations, NoneForAChunkedAnswer) {
  EXPECT_LT(
      per_request({get(), "\r\n\r\n"}, {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                        "6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n",
                                        "0\r\n\r\n"}),
      kFirstTimes);
}

TEST_F(Allocations, NoneForALargeUpload) {
  // Its sender is a task of its own.
  const std::string start = fmt::format("POST /path HTTP/1.1\r\n{}", kFields);
  EXPECT_LT(per_request({sized(start, 500'000)}, {sized("HTTP/1.1 201 Created\r\n", 10)}),
            kFirstTimes);
}

}  // namespace
}  // namespace ebb::serving
