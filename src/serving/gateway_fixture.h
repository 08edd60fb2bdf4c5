// For tests: a gateway over real sockets, and pods that do what the test says.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <deque>
#include <filesystem>

#include "http/talk_fixture.h"
#include "net/test_util.h"
#include "net/tls.h"
#include "serving/fakes.h"
#include "serving/gateway.h"
#include "serving/traffic.h"

namespace ebb::serving {

struct ToldOf final : NoSource {
  void pod_hung(const std::string& pod) override { hung.push_back(pod); }
  void pod_misbehaved(const std::string& /*pod*/, const std::string& reason,
                      const std::string& message) override {
    misbehaved.push_back(reason + ": " + message);
  }
  std::vector<std::string> hung;
  std::vector<std::string> misbehaved;
};

// What a pod does with one request of a connection.
enum class Act {
  kAnswer,       // 200, with what it got as the body
  kCloseUnread,  // closes when the request has arrived, without reading it
  kReadClose,    // reads it and closes
  kSilence,      // reads it and says nothing
  kHalf,         // begins an answer and goes silent
  kEarlyHalf,    // the same to the head, whatever comes of the body
  kHalfClose,    // begins an answer and closes
  kBadBody,      // begins an answer of chunks that are none
  kUpgrade,      // 101, then sends back what comes
  kUpgradeEnd,   // 101, then closes
  kHints,        // 200 as kAnswer, after 100 and 103
  kManyHints,    // 200, after as many and as large ones as there may be
  kEarly,        // answers to the head, whatever comes of the body
  kStuck,        // reads its head and nothing more, and says nothing
};

// A pod whose acts are given, one for each request, over all connections.
class FakePod final {
 public:
  FakePod(net::Executor& executor, const std::string& path, std::deque<Act> acts)
      : executor_(executor),
        acts_(std::move(acts)),
        listener_(executor,
                  std::move(net::bind_shared(net::Address::unix_path(path), 1)->front())) {
    executor_.spawn(accept());
  }
  ~FakePod() { close(); }
  void close() { listener_.close(); }

  std::vector<std::string> requests;  // that were read, with their bodies
  int connections = 0;

 private:
  net::Task<void> accept() {
    for (;;) {
      auto stream = co_await listener_.accept();
      if (!stream) co_return;
      ++connections;
      executor_.spawn(serve(std::move(*stream)));
    }
  }
  net::Task<void> serve(net::Stream stream) {
    for (;;) {
      const Act act = acts_.empty() ? Act::kAnswer : acts_.front();
      if (act == Act::kCloseUnread) {
        while (stream.quiet()) {
          auto nap = executor_.sleep_until(executor_.now() + std::chrono::milliseconds(1));
          co_await nap;
        }
        acts_.pop_front();
        co_return;
      }
      std::string request;
      const auto has_enough = [&] {
        return is_whole(request) ||
               ((act == Act::kEarly || act == Act::kEarlyHalf || act == Act::kStuck) &&
                request.find("\r\n\r\n") != std::string::npos);
      };
      while (!has_enough()) {
        std::array<char, 4096> buffer;
        const auto n = co_await stream.read_some(buffer, kNever);
        if (!n || *n == 0) co_return;
        request.append(buffer.data(), *n);
      }
      requests.push_back(request);
      if (!acts_.empty()) acts_.pop_front();
      if (act == Act::kReadClose) co_return;
      if (act == Act::kStuck) {
        while (!stream.peer_left()) {
          auto nap = executor_.sleep_until(executor_.now() + std::chrono::milliseconds(1));
          co_await nap;
        }
        co_return;
      }
      std::string answer =
          fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", request.size(), request);
      if (act == Act::kHints) {
        answer =
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + answer;
      }
      if (act == Act::kManyHints) {
        answer.clear();
        for (int i = 0; i < http::ClientExchange::kMaxInterim; ++i) {
          answer += fmt::format("HTTP/1.1 103 Early Hints\r\nLink: {:x<30000}\r\n\r\n", "");
        }
        answer += "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
      }
      if (act == Act::kHalf || act == Act::kEarlyHalf || act == Act::kHalfClose) {
        answer = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";
      }
      if (act == Act::kBadBody) {
        answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n";
      }
      if (act == Act::kUpgrade || act == Act::kUpgradeEnd) {
        answer =
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n"
            "early";
      }
      if (act != Act::kSilence) (void)co_await stream.write_all(answer, kNever);
      if (act == Act::kUpgrade) co_await echo(stream);
      if (act == Act::kUpgrade || act == Act::kUpgradeEnd || act == Act::kHalfClose) co_return;
    }
  }
  net::Task<void> echo(net::Stream& stream) {
    std::vector<char> buffer(64 * 1024);
    for (;;) {
      const auto n = co_await stream.read_some(buffer, kNever);
      if (!n || *n == 0) co_return;
      const auto sent = co_await stream.write_all({buffer.data(), *n}, kNever);
      if (!sent) co_return;
    }
  }
  static bool is_whole(const std::string& request) {
    const size_t end = request.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    const size_t at = request.find("Content-Length: ");
    const size_t body = at < end ? std::stoul(request.substr(at + 16)) : 0;
    return request.size() >= end + 4 + body;
  }

  net::Executor& executor_;
  std::deque<Act> acts_;
  net::Listener listener_;
};

// A gateway with one route, "hello", to pods of one revision.
class GatewayTest : public http::TalkTest {
 protected:
  explicit GatewayTest(ThrottlerOptions options = {.revision = "uid"}) {
    std::string folder = std::filesystem::temp_directory_path() / "ebb-gateway-XXXXXX";
    folder_ = ::mkdtemp(folder.data());
    throttler_ = std::make_shared<Throttler>(
        std::move(options), source_, clock_,
        [](const std::string& /*pod*/, const std::string& /*error*/) {});
    backend_.throttler = throttler_;
    backend_.name = "hello-00001";
    backend_.metrics =
        traffic_.add(throttler_, {.ns = "default", .service = "hello", .revision = "hello-00001"});
  }
  ~GatewayTest() override {
    if (server) {
      EXPECT_EQ(run(server->drain(executor.now() + std::chrono::seconds(1))), 0u);
    }
    server.reset();
    pods_.clear();
    executor.run_until(TimePoint{});
    std::filesystem::remove_all(folder_);
  }
  void start(GatewaySettings settings = {}) {
    gateway_ = std::make_unique<Gateway>(
        executor,
        GatewayParts{
            .routes = routes_, .waker = waker_, .clock = clock_, .counters = metrics_.gateway(0)},
        settings);
    listen(*gateway_, server_options(settings, metrics_.gateway(0)));
    publish();
  }
  // The route, with what backend_ says.
  void publish() {
    Route route;
    route.ns = "default";
    route.name = "hello";
    route.targets.push_back({.percent = 100, .backend = backend_});
    route.tags.emplace_back("next", backend_);
    routes_.apply({{"hello", std::make_shared<const Route>(std::move(route))}});
  }
  FakePod& add_pod(const std::string& name, std::deque<Act> acts = {}) {
    const std::string path = folder_ + "/" + name;
    pods_.push_back(std::make_unique<FakePod>(executor, path, std::move(acts)));
    throttler_->pod_added({name, "unix:" + path, true});
    return *pods_.back();
  }

  // Sends one request on a connection of its own; the whole answer.
  std::string call(const std::string& method = "GET", const std::string& body = "",
                   const std::string& fields = "") {
    std::string text =
        fmt::format("{} / HTTP/1.1\r\nHost: hello\r\nConnection: close\r\n{}", method, fields);
    if (!body.empty()) text += fmt::format("Content-Length: {}\r\n", body.size());
    return run(talk(text + "\r\n" + body));
  }
  net::Task<std::string> talk_secured(const net::TlsContext& trust) {
    auto stream = co_await dial();
    auto securing =
        net::connect_tls(stream, trust, "localhost", executor.now() + std::chrono::seconds(10));
    const auto secured = co_await securing;
    if (!secured) co_return secured.error().message;
    static constexpr std::string_view kRequest =
        "GET / HTTP/1.1\r\nHost: hello\r\nConnection: close\r\n\r\n";
    (void)co_await stream.write_all(kRequest, executor.now() + std::chrono::seconds(10));
    co_return co_await read_to_end(stream);
  }
  // Upgrades, sends 16 MiB, and returns how many came back.
  net::Task<size_t> flood(net::Stream& stream) {
    static constexpr std::string_view kRequest =
        "GET / HTTP/1.1\r\nHost: hello\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
    (void)co_await stream.write_all(kRequest, kNever);
    auto head = read_up_to(stream, "early");
    (void)co_await head;
    executor.spawn(write_much(stream));
    auto reading = read_to_end(stream);
    const std::string back = co_await reading;
    co_return back.size();
  }
  static net::Task<void> write_much(net::Stream& to) {
    const std::string block(1 << 20, 'x');
    for (int i = 0; i < 16; ++i) {
      const auto sent = co_await to.write_all(block, kNever);
      if (!sent) co_return;
    }
    to.shutdown_write();
  }
  // Why answers were cut so far.
  std::vector<std::string_view> cuts() {
    std::vector<std::string_view> out;
    for (size_t i = 0; i < kCutNames.size(); ++i) {
      out.insert(out.end(), backend_.metrics->on(0).cut[i].value(), kCutNames[i]);
    }
    return out;
  }
  uint64_t retries() { return backend_.metrics->on(0).retries.value(); }

  std::string folder_;
  SystemClock clock_;
  ToldOf source_;
  NoWaker waker_;
  Traffic traffic_;
  Metrics metrics_{traffic_, 1};
  RoutingPublisher routes_;
  std::shared_ptr<Throttler> throttler_;
  Backend backend_;
  std::vector<std::unique_ptr<FakePod>> pods_;
  std::unique_ptr<Gateway> gateway_;
};

}  // namespace ebb::serving
