#include "serving/gateway.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <deque>
#include <filesystem>

#include "net/listener.h"
#include "net/one_shot.h"
#include "net/test_util.h"
#include "net/tls.h"
#include "serving/fakes.h"
#include "serving/traffic.h"

namespace ebb::serving {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

struct HungPods final : NoSource {
  void pod_hung(const std::string& pod) override { hung.push_back(pod); }
  std::vector<std::string> hung;
};

// What a pod does with one request of a connection.
enum class Act {
  kAnswer,       // 200, with what it got as the body
  kCloseUnread,  // closes when the request has arrived, without reading it
  kReadClose,    // reads it and closes
  kSilence,      // reads it and says nothing
  kHalf,         // begins an answer and goes silent
  kUpgrade,      // 101, then sends back what comes
  kEarly,        // answers to the head, whatever comes of the body
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
          auto nap = executor_.sleep_until(executor_.now() + 1ms);
          co_await nap;
        }
        acts_.pop_front();
        co_return;
      }
      std::string request;
      const auto has_enough = [&] {
        return is_whole(request) ||
               (act == Act::kEarly && request.find("\r\n\r\n") != std::string::npos);
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
      std::string answer =
          fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", request.size(), request);
      if (act == Act::kHalf) answer = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";
      if (act == Act::kUpgrade) {
        answer =
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n"
            "early";
      }
      if (act != Act::kSilence) (void)co_await stream.write_all(answer, kNever);
      if (act == Act::kUpgrade) {
        co_await echo(stream);
        co_return;
      }
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

class GatewayTest : public testing::Test {
 protected:
  GatewayTest() {
    char folder[] = "/tmp/ebb-gateway-XXXXXX";
    folder_ = ::mkdtemp(folder);
    throttler_ = std::make_shared<Throttler>(
        ThrottlerOptions{.revision = "uid"}, source_, clock_,
        [](const std::string& /*pod*/, const std::string& /*error*/) {});
    backend_.throttler = throttler_;
    backend_.name = "hello-00001";
    backend_.metrics =
        traffic_.add(throttler_, {.ns = "default", .service = "hello", .revision = "hello-00001"});
  }
  ~GatewayTest() override {
    if (server_) {
      EXPECT_EQ(run(server_->drain(executor_.now() + 1s)), 0u);
    }
    pods_.clear();
    executor_.run_until(TimePoint{});
    std::filesystem::remove_all(folder_);
  }
  void start(GatewaySettings settings = {}) {
    gateway_ = std::make_unique<Gateway>(
        executor_,
        GatewayParts{
            .routes = routes_, .waker = waker_, .clock = clock_, .counters = metrics_.gateway(0)},
        settings);
    listen(*gateway_, server_options(settings, metrics_.gateway(0)));
    publish();
  }
  // Only there from now on.
  void listen(http::Handler& handler, http::ServerOptions options) {
    if (server_) (void)run(server_->drain(executor_.now() + 1s));
    auto fds = net::bind_shared(*net::Address::parse("127.0.0.1:0"), 1);
    server_ = std::make_unique<http::Server>(executor_, std::move(fds->front()), handler, options);
    server_->start();
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
    pods_.push_back(std::make_unique<FakePod>(executor_, path, std::move(acts)));
    throttler_->pod_added({name, "unix:" + path, true});
    return *pods_.back();
  }

  template <class T>
  T run(net::Task<T> task) {
    std::optional<T> result;
    executor_.spawn(store(std::move(task), &result));
    const TimePoint limit = executor_.now() + 20s;
    while (!result && executor_.now() < limit) executor_.run_until(limit);
    if (!result) throw std::runtime_error("the test hangs");
    return std::move(*result);
  }
  template <class T>
  static net::Task<void> store(net::Task<T> task, std::optional<T>* out) {
    out->emplace(co_await task);
  }
  net::Task<net::Stream> dial() {
    auto stream = co_await net::connect(executor_, server_->address(), executor_.now() + 10s);
    co_return std::move(*stream);
  }
  // Sends one request on a connection of its own; the whole answer.
  std::string call(const std::string& method = "GET", const std::string& body = "",
                   const std::string& fields = "") {
    std::string text =
        fmt::format("{} / HTTP/1.1\r\nHost: hello\r\nConnection: close\r\n{}", method, fields);
    if (!body.empty()) text += fmt::format("Content-Length: {}\r\n", body.size());
    return run(talk(text + "\r\n" + body));
  }
  net::Task<std::string> talk(std::string text) {
    auto stream = co_await dial();
    (void)co_await stream.write_all(text, executor_.now() + 10s);
    co_return co_await read_to_end(stream);
  }
  net::Task<std::string> talk_secured(const net::TlsContext& trust) {
    auto stream = co_await dial();
    auto securing = net::connect_tls(stream, trust, "localhost", executor_.now() + 10s);
    const auto secured = co_await securing;
    if (!secured) co_return secured.error().message;
    static constexpr std::string_view kRequest =
        "GET / HTTP/1.1\r\nHost: hello\r\nConnection: close\r\n\r\n";
    (void)co_await stream.write_all(kRequest, executor_.now() + 10s);
    co_return co_await read_to_end(stream);
  }
  net::Task<std::string> read_to_end(net::Stream& stream) {
    std::string answer;
    std::vector<char> buffer(64 * 1024);
    for (;;) {
      const auto n = co_await stream.read_some(buffer, executor_.now() + 10s);
      if (!n) co_return answer + (n.error() == net::IoError::kTimeout ? "?" : "!");
      if (*n == 0) co_return answer;
      answer.append(buffer.data(), *n);
    }
  }
  net::Task<std::string> read_up_to(net::Stream& stream, std::string end) {
    std::string answer;
    char byte = 0;
    while (!answer.ends_with(end)) {
      const auto n = co_await stream.read_some({&byte, 1}, executor_.now() + 10s);
      if (!n || *n == 0) co_return answer + "<end>";
      answer.push_back(byte);
    }
    co_return answer;
  }
  // Upgrades, sends 16 MiB, and returns how many came back.
  net::Task<size_t> flood(net::Stream& stream) {
    static constexpr std::string_view kRequest =
        "GET / HTTP/1.1\r\nHost: hello\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
    (void)co_await stream.write_all(kRequest, kNever);
    auto head = read_up_to(stream, "early");
    (void)co_await head;
    executor_.spawn(write_much(stream));
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
  uint64_t retries() { return backend_.metrics->on(0).retries.value(); }

  std::string folder_;
  SystemClock clock_;
  net::Executor executor_{"test"};
  HungPods source_;
  NoWaker waker_;
  Traffic traffic_;
  Metrics metrics_{traffic_, 1};
  RoutingPublisher routes_;
  std::shared_ptr<Throttler> throttler_;
  Backend backend_;
  std::vector<std::unique_ptr<FakePod>> pods_;
  std::unique_ptr<Gateway> gateway_;
  std::unique_ptr<http::Server> server_;
};

TEST_F(GatewayTest, PassesARequestOnWithItsIdentity) {
  start();
  FakePod& pod = add_pod("a");
  const auto answer = call("GET", "",
                           "X-Request-Id: mine\r\ntraceparent: 00-ab-cd-01\r\n"
                           "Knative-Serving-Tag: unknown\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(answer, HasSubstr("x-request-id: mine\r\n"));
  ASSERT_EQ(pod.requests.size(), 1u);
  EXPECT_THAT(pod.requests[0], HasSubstr("x-request-id: mine\r\n"));
  EXPECT_THAT(pod.requests[0], HasSubstr("traceparent: 00-ab-cd-01\r\n"));
  EXPECT_THAT(pod.requests[0], HasSubstr("x-forwarded-for: 127.0.0.1\r\n"));
  EXPECT_THAT(pod.requests[0], Not(HasSubstr("nown")));
  (void)call("GET", "", "Knative-Serving-Tag: next\r\n");
  EXPECT_THAT(pod.requests[1], HasSubstr("knative-serving-tag: next\r\n"));
}

TEST_F(GatewayTest, AnIdUnfitForLogsIsReplaced) {
  start();
  add_pod("a");
  const auto answer = call("GET", "", "X-Request-Id: two words\r\n");
  EXPECT_THAT(answer, HasSubstr("x-request-id: "));
  EXPECT_THAT(answer, Not(HasSubstr("two words")));
  EXPECT_THAT(call("GET", "", "X-Request-Id: " + std::string(129, 'x') + "\r\n"),
              Not(HasSubstr("xxx")));
}

TEST_F(GatewayTest, ARequestThatMeetsAnIdleCloseIsSentAgain) {
  start();
  FakePod& pod = add_pod("a", {Act::kAnswer, Act::kCloseUnread, Act::kAnswer});
  EXPECT_THAT(call(), StartsWith("HTTP/1.1 200 "));
  // Even one that may not be repeated: nobody has read it.
  EXPECT_THAT(call("POST", "data"), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(pod.requests.size(), 2u);
  EXPECT_EQ(pod.connections, 2);
  EXPECT_EQ(retries(), 1u);
}

TEST_F(GatewayTest, WhatAFunctionHasReadIsRepeatedOnlyIfThatDoesNoHarm) {
  start();
  FakePod& pod = add_pod("a", {Act::kAnswer, Act::kReadClose, Act::kAnswer, Act::kReadClose});
  (void)call();
  EXPECT_THAT(call("PUT", "data"), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(pod.requests.size(), 3u);
  EXPECT_EQ(retries(), 1u);
  backend_.timeout = 100ms;  // for the report of an exit that does not come
  publish();
  const auto answer = call("POST", "data");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 502 "));
  EXPECT_THAT(answer, HasSubstr("closed the connection without an answer"));
  EXPECT_EQ(pod.requests.size(), 4u);
  EXPECT_EQ(retries(), 1u);
}

TEST_F(GatewayTest, ADeadPodIsPassedOver) {
  start();
  FakePod& dead = add_pod("a");
  add_pod("b");
  dead.close();
  std::filesystem::remove(folder_ + "/a");
  for (int i = 0; i < 3; ++i) EXPECT_THAT(call("POST", "data"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(GatewayTest, ARequestInAPodThatDiesOnALateStartIsGivenToAnother) {
  start();
  add_pod("a", {Act::kReadClose});
  // It never was ready: no code of the function has seen the request.
  throttler_->pod_gone("a", {.reason = "Stopped", .message = "", .was_ready = false});
  throttler_->pod_added({"a", "unix:" + folder_ + "/a", false});
  auto answer = std::make_shared<std::optional<std::string>>();
  executor_.spawn(store(talk("POST / HTTP/1.1\r\nHost: hello\r\nConnection: close\r\n"
                             "Content-Length: 4\r\n\r\ndata"),
                        answer.get()));
  const TimePoint limit = executor_.now() + 20s;
  while (pods_[0]->requests.empty() && executor_.now() < limit) executor_.run_until(limit);
  add_pod("b");
  throttler_->pod_gone("a", {.reason = "LoadFailed", .message = "no luck"});
  while (!*answer && executor_.now() < limit) executor_.run_until(limit);
  EXPECT_THAT(**answer, StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(pods_[1]->requests.size(), 1u);
}

TEST_F(GatewayTest, ANodeThatTakesItsLoadingPodsAlongCostsARequestNothing) {
  start();
  auto answer = std::make_shared<std::optional<std::string>>();
  const TimePoint limit = executor_.now() + 20s;
  for (const char* name : {"a", "b"}) {
    add_pod(name, {Act::kReadClose});
    throttler_->pod_gone(name, {.reason = "Stopped", .message = "", .was_ready = false});
    throttler_->pod_added({name, "unix:" + folder_ + "/" + name, false});
    if (pods_.size() == 1) {
      executor_.spawn(store(talk("POST / HTTP/1.1\r\nHost: hello\r\nConnection: close\r\n"
                                 "Content-Length: 4\r\n\r\ndata"),
                            answer.get()));
    }
    while (pods_.back()->requests.empty() && executor_.now() < limit) executor_.run_until(limit);
    throttler_->pod_gone(name, {.reason = "NodeLost", .message = "its node has gone"});
  }
  add_pod("c");
  while (!*answer && executor_.now() < limit) executor_.run_until(limit);
  EXPECT_THAT(**answer, StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(pods_[2]->requests.size(), 1u);
}

TEST_F(GatewayTest, TimeoutsAreNamedByPhase) {
  backend_.response_start = 30ms;
  start();
  add_pod("a", {Act::kSilence});
  const auto answer = call();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 504 "));
  EXPECT_THAT(answer,
              HasSubstr("did not begin to answer within 0.03 s (responseStartTimeoutSeconds)"));
}

TEST_F(GatewayTest, APodThatIsSilentToAllIsPutOutOfUse) {
  backend_.response_start = 30ms;
  start();
  FakePod& hung = add_pod("a", {Act::kSilence, Act::kSilence, Act::kAnswer, Act::kSilence,
                                Act::kSilence, Act::kSilence});
  for (const char* status : {"504", "504", "200", "504", "504"}) {
    EXPECT_THAT(call(), StartsWith(fmt::format("HTTP/1.1 {} ", status)));
  }
  EXPECT_TRUE(source_.hung.empty()) << "it answered in between";
  EXPECT_THAT(call(), StartsWith("HTTP/1.1 504 "));
  EXPECT_EQ(source_.hung, std::vector<std::string>{"a"});
  FakePod& other = add_pod("b");
  EXPECT_THAT(call(), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(hung.requests.size(), 6u);
  EXPECT_EQ(other.requests.size(), 1u);
  EXPECT_THAT(metrics_.exposition(), HasSubstr("ebb_pods_hung_total{"));
}

TEST_F(GatewayTest, ARequestThatIsNotAllThereSaysNothingOfThePod) {
  backend_.response_start = 30ms;
  start();
  add_pod("a", std::deque<Act>(Throttler::kHungAfter, Act::kSilence));
  for (int i = 0; i < Throttler::kHungAfter; ++i) {
    auto stream = run(dial());
    (void)run([](net::Stream& s) -> net::Task<bool> {
      const auto sent = co_await s.write_all(
          "POST / HTTP/1.1\r\nHost: hello\r\nContent-Length: 100\r\n\r\nhalf", kNever);
      co_return sent.has_value();
    }(stream));
    EXPECT_THAT(run(read_up_to(stream, "\r\n\r\n")), StartsWith("HTTP/1.1 504 "));
  }
  EXPECT_TRUE(source_.hung.empty());
}

TEST_F(GatewayTest, SilenceBeforeTheAnswerIsIdleToo) {
  backend_.idle = 30ms;
  start();
  add_pod("a", {Act::kSilence});
  const auto answer = call();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 504 "));
  EXPECT_THAT(answer, HasSubstr("did not begin to answer within 0.03 s (idleTimeoutSeconds)"));
}

TEST_F(GatewayTest, AnEarlyAnswerEndsItsPodsPart) {
  start();
  FakePod& pod = add_pod("a", {Act::kEarly, Act::kEarly, Act::kEarly});
  for (const char* body : {"Content-Length: 100000\r\n\r\nab", "Content-Length: 100000\r\n\r\n",
                           "Transfer-Encoding: chunked\r\n\r\n1"}) {
    auto stream = run(dial());
    const std::string text = fmt::format("POST / HTTP/1.1\r\nHost: hello\r\n{}", body);
    (void)run([](net::Stream& s, const std::string& t) -> net::Task<bool> {
      const auto sent = co_await s.write_all(t, kNever);
      co_return sent.has_value();
    }(stream, text));
    EXPECT_THAT(run(read_up_to(stream, "\r\n\r\n")), StartsWith("HTTP/1.1 200 ")) << body;
    // Not only when the client has sent the rest, or run out of its time for that.
    const TimePoint patience = executor_.now() + 5s;
    while (throttler_->counts().in_flight > 0 && executor_.now() < patience) {
      executor_.run_until(executor_.now() + 10ms);
    }
    EXPECT_EQ(throttler_->counts().in_flight, 0) << body;
  }
  EXPECT_EQ(pod.connections, 3) << "none is used again that something of a body may follow on";
}

TEST_F(GatewayTest, ABodyThatStaysAwayHoldsAPodNoLongerThanItsRequestMayTake) {
  backend_.timeout = 300ms;
  start();
  add_pod("a", {Act::kSilence, Act::kSilence});
  for (const char* body : {"Content-Length: 10\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n1"}) {
    const TimePoint begun = executor_.now();
    auto stream = run(dial());
    const std::string text = fmt::format("POST / HTTP/1.1\r\nHost: hello\r\n{}", body);
    (void)run([](net::Stream& s, const std::string& t) -> net::Task<bool> {
      const auto sent = co_await s.write_all(t, kNever);
      co_return sent.has_value();
    }(stream, text));
    EXPECT_THAT(run(read_up_to(stream, "\r\n\r\n")), StartsWith("HTTP/1.1 504 "));
    EXPECT_LT(executor_.now() - begun, 10s) << "the server's own patience is 30 s";
    EXPECT_EQ(throttler_->counts().in_flight, 0);
  }
}

TEST_F(GatewayTest, WhatIsOursCannotBeMadeUp) {
  start();
  add_pod("a");
  const auto answer = call("GET", "",
                           "Connection: host, x-gone\r\nX-Gone: 1\r\nX-Kept: 2\r\n"
                           "Forwarded: for=\"open\r\nForwarded: for=\"[::1]\"\r\n"
                           "X_Forwarded_For: 6.6.6.6\r\nx_request-id: fake\r\n");
  EXPECT_THAT(answer, HasSubstr("Host: hello\r\n")) << "a request without is none";
  EXPECT_THAT(answer, HasSubstr("X-Kept: 2"));
  EXPECT_THAT(answer, HasSubstr("forwarded: for=\"[::1]\", for=127.0.0.1;host=\"hello\""));
  for (const char* not_there : {"X-Gone", "open", "6.6.6.6", "fake"}) {
    EXPECT_THAT(answer, testing::Not(HasSubstr(not_there)));
  }
}

TEST_F(GatewayTest, AnUpgradeMayHaveAnEmptyBody) {
  start();
  add_pod("a", {Act::kUpgrade});
  auto stream = run(dial());
  (void)run([](net::Stream& s) -> net::Task<bool> {
    const auto sent = co_await s.write_all(
        "GET / HTTP/1.1\r\nHost: hello\r\nConnection: Upgrade\r\nUpgrade: echo\r\n"
        "Content-Length: 0\r\n\r\n",
        kNever);
    co_return sent.has_value();
  }(stream));
  EXPECT_THAT(run(read_up_to(stream, "early")), StartsWith("HTTP/1.1 101 "));
}

TEST_F(GatewayTest, AnAnswerThatStopsIsCut) {
  backend_.idle = 30ms;
  start();
  add_pod("a", {Act::kHalf});
  const auto answer = call();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 "));
  EXPECT_TRUE(answer.ends_with("half!")) << answer;
  EXPECT_EQ(throttler_->counts().in_flight, 0);
}

TEST_F(GatewayTest, ABodyOverTheLimitIsRefused) {
  start({.max_body = 10});
  FakePod& pod = add_pod("a");
  EXPECT_THAT(call("POST", "0123456789"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(call("POST", "0123456789a"), StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(run(talk("POST / HTTP/1.1\r\nHost: hello\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "b\r\n0123456789a\r\n0\r\n\r\n")),
              StartsWith("HTTP/1.1 413 "));
  EXPECT_EQ(pod.requests.size(), 1u);
}

TEST_F(GatewayTest, ServerTimingAsAsked) {
  start({.server_timing = ServerTiming::kAll});
  add_pod("a");
  EXPECT_THAT(call(), HasSubstr("server-timing: queue;dur="));
}

TEST_F(GatewayTest, NoServerTimingOnWarmAnswersUnlessAsked) {
  start();
  add_pod("a");
  EXPECT_THAT(call(), Not(HasSubstr("server-timing")));
}

// --- TLS ---

TEST_F(GatewayTest, APlainRequestIsSentToHttps) {
  start({.https_port = 8443});
  FakePod& pod = add_pod("a");
  const auto answer = call("POST", "data");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 308 Permanent Redirect\r\n"));
  EXPECT_THAT(answer, HasSubstr("location: https://hello:8443/\r\n"));
  const auto get = [&](const std::string& target, const std::string& host) {
    return run(
        talk("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n"));
  };
  EXPECT_THAT(get("/a%20b?c=d", "HELLO:8080"),
              HasSubstr("location: https://hello:8443/a%20b?c=d\r\n"));
  EXPECT_THAT(get("http://hello/a?b", "hello"), HasSubstr("location: https://hello:8443/a?b\r\n"));
  EXPECT_THAT(get("/", "unknown"), StartsWith("HTTP/1.1 404 "));
  EXPECT_TRUE(pod.requests.empty());
  EXPECT_THAT(metrics_.exposition(),
              HasSubstr("ebb_requests_unrouted_total{reason=\"https_redirect\"} 3\n"));
}

TEST_F(GatewayTest, ThePortOfHttpsItselfIsNotNamed) {
  start({.https_port = 443});
  EXPECT_THAT(call(), HasSubstr("location: https://hello/\r\n"));
}

TEST_F(GatewayTest, WhatCameByHttpsOrFromInsideIsNotSentAway) {
  start({.https_port = 8443});
  FakePod& pod = add_pod("a");
  EXPECT_THAT(call("GET", "", "X-Forwarded-Proto: https\r\n"), StartsWith("HTTP/1.1 200 "))
      << "somebody ends TLS before us";
  EXPECT_THAT(pod.requests[0], HasSubstr("x-forwarded-proto: http\r\n"));
  listen(gateway_->inside(), {});
  EXPECT_THAT(call(), StartsWith("HTTP/1.1 200 "));
}

TEST_F(GatewayTest, OverTlsTheFunctionIsToldSo) {
  const GatewaySettings settings{.https_port = 8443};
  start(settings);
  FakePod& pod = add_pod("a");
  const net::TestIdentity ours;
  const net::TlsContexts contexts(*net::TlsContext::server(
      {{ours.identity.certificate_pem, ours.identity.key_pem}}, kProtocols));
  const auto client = net::TlsContext::client(ours.identity.ca_pem);
  listen(*gateway_, server_options(settings, metrics_.gateway(0), &contexts));
  EXPECT_THAT(run(talk_secured(*client)), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(pod.requests[0], HasSubstr("x-forwarded-proto: https\r\n"));
  (void)call();  // no TLS
  EXPECT_THAT(metrics_.exposition(), HasSubstr("ebb_gateway_tls_failures_total 1\n"));
}

// --- Upgrades ---

constexpr const char* kUpgrade =
    "GET / HTTP/1.1\r\nHost: hello\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";

TEST_F(GatewayTest, AnUpgradeIsATunnelThatHoldsItsSlot) {
  backend_.response_start = 50ms;
  backend_.timeout = 100ms;
  start();
  FakePod& pod = add_pod("a", {Act::kUpgrade});
  auto stream = run(dial());
  (void)run([](net::Stream& s) -> net::Task<bool> {
    const auto sent = co_await s.write_all(kUpgrade, kNever);
    co_return sent.has_value();
  }(stream));
  const auto head = run(read_up_to(stream, "early"));  // what came with the head is not lost
  EXPECT_THAT(head, StartsWith("HTTP/1.1 101 Switching Protocols\r\n"));
  EXPECT_THAT(head, HasSubstr("Upgrade: echo\r\n"));
  EXPECT_THAT(pod.requests[0], HasSubstr("upgrade: echo\r\n"));
  EXPECT_THAT(pod.requests[0], HasSubstr("connection: Upgrade\r\n"));
  executor_.run_until(executor_.now() + 1ms);
  const TimePoint later = executor_.now() + 150ms;  // beyond both timeouts
  while (executor_.now() < later) executor_.run_until(later);
  EXPECT_EQ(throttler_->counts().in_flight, 1);
  EXPECT_THAT(metrics_.exposition(), HasSubstr("ebb_upgraded_connections 1\n"));
  (void)run([](net::Stream& s) -> net::Task<bool> {
    const auto sent = co_await s.write_all("ping", kNever);
    co_return sent.has_value();
  }(stream));
  EXPECT_EQ(run(read_up_to(stream, "ping")), "ping");
  stream.shutdown_write();  // the end is passed on, and the pod's end back
  EXPECT_EQ(run(read_to_end(stream)), "");
  while (throttler_->counts().in_flight > 0) executor_.run_until(executor_.now() + 10ms);
  EXPECT_THAT(metrics_.exposition(), HasSubstr("code=\"1xx\"} 1\n"));
}

TEST_F(GatewayTest, ATunnelMovesMuchWithBackPressure) {
  start();
  add_pod("a", {Act::kUpgrade});
  auto stream = run(dial());
  EXPECT_EQ(run(flood(stream)), 16u << 20);
}

TEST_F(GatewayTest, ASilentTunnelEndsIfAskedTo) {
  backend_.idle = 30ms;
  start();
  add_pod("a", {Act::kUpgrade});
  EXPECT_TRUE(run(talk(kUpgrade)).find("early") != std::string::npos);
  EXPECT_EQ(throttler_->counts().in_flight, 0);
}

TEST_F(GatewayTest, ATunnelOutlivesNoDrain) {
  start();
  add_pod("a", {Act::kUpgrade});
  auto stream = run(dial());
  (void)run([](net::Stream& s) -> net::Task<bool> {
    const auto sent = co_await s.write_all(kUpgrade, kNever);
    co_return sent.has_value();
  }(stream));
  (void)run(read_up_to(stream, "early"));
  EXPECT_EQ(run(server_->drain(executor_.now() + 50ms)), 0u);
  EXPECT_EQ(throttler_->counts().in_flight, 0);
  server_.reset();
}

TEST_F(GatewayTest, AnUpgradeNobodyAskedForIsNoAnswer) {
  start();
  add_pod("a", {Act::kUpgrade});
  EXPECT_THAT(call(), StartsWith("HTTP/1.1 502 "));
}

TEST_F(GatewayTest, Http2IsNotSmuggledInByAnUpgrade) {
  start();
  FakePod& pod = add_pod("a");
  // With a body it stays HTTP/1.1; without one the gateway itself speaks HTTP/2 from there on.
  EXPECT_THAT(call("POST", "abc",
                   "Upgrade: h2c\r\nConnection: close, Upgrade, HTTP2-Settings\r\n"
                   "HTTP2-Settings: AAMAAABkAARAAAAA\r\n"),
              StartsWith("HTTP/1.1 200 "));
  auto stream = run(dial());
  (void)run([](net::Stream& s) -> net::Task<bool> {
    const auto sent = co_await s.write_all(
        "GET / HTTP/1.1\r\nHost: hello\r\nUpgrade: h2c\r\n"
        "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAA\r\n\r\n",
        kNever);
    co_return sent.has_value();
  }(stream));
  EXPECT_THAT(run(read_up_to(stream, "\r\n\r\n")), StartsWith("HTTP/1.1 101 "));
  const TimePoint limit = executor_.now() + 10s;
  while (pod.requests.size() < 2 && executor_.now() < limit) executor_.run_until(limit);
  ASSERT_EQ(pod.requests.size(), 2u);
  for (const auto& request : pod.requests) {
    EXPECT_THAT(request, Not(HasSubstr("h2c")));
    EXPECT_THAT(request, Not(HasSubstr("HTTP2")));
  }
  stream.close();
}

TEST_F(GatewayTest, NoRouteNoPodNoGuess) {
  start();
  EXPECT_THAT(run(talk("GET / HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n")),
              StartsWith("HTTP/1.1 404 "));
  backend_.timeout = 30ms;
  publish();
  const auto answer = call();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 504 "));
  EXPECT_THAT(answer, HasSubstr("too busy"));
}

}  // namespace
}  // namespace ebb::serving
