// Calls of HTTP/2 clients, through a gateway, to functions that speak HTTP/2 themselves.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "http/h2_client.h"
#include "net/listener.h"
#include "serving/fakes.h"
#include "serving/gateway.h"
#include "serving/traffic.h"

namespace ebb::serving {
namespace {

using namespace std::chrono_literals;

// Answers with the body that it got, by its length, and behind it with the trailers.
struct H2cFunction final : http::Handler {
  net::Task<void> serve(http::Exchange& x) override {
    const auto body = co_await x.read_all(1000);
    if (!body) co_return;
    http::ResponseHead head;
    head.body = http::BodyLength::sized(body->size(), true);
    (void)co_await x.begin(head);
    (void)co_await x.write(*body);
    http::Fields trailers = x.trailers();
    if (!more.empty()) trailers.add("x-more", more);
    (void)co_await x.finish(trailers);
  }
  std::string more;
};

struct H2cAnswer {
  int status = 0;
  std::string body;
  std::string trailer;
  std::string grpc_status;  // in the head
  bool failed = false;
};

class H2cTest : public testing::Test {
 protected:
  H2cTest() {
    char folder[] = "/tmp/ebb-h2c-XXXXXX";
    folder_ = ::mkdtemp(folder);
    const std::string path = folder_ + "/pod";
    pod_.emplace(executor_, listen(net::Address::unix_path(path)), function_,
                 http::ServerOptions{.http2 = true});
    pod_->start();
    throttler_->pod_added({"pod", "unix:" + path, true});
    Route route;
    route.ns = "default";
    route.name = "hello";
    route.targets.push_back(
        {.percent = 100,
         .backend = {
             .throttler = throttler_,
             .name = "hello-00001",
             .metrics = traffic_.add(
                 throttler_, {.ns = "default", .service = "hello", .revision = "hello-00001"})}});
    routes_.apply({{"hello", std::make_shared<const Route>(std::move(route))}});
    gateway_.emplace(
        executor_,
        GatewayParts{
            .routes = routes_, .waker = waker_, .clock = clock_, .counters = metrics_.gateway(0)},
        GatewaySettings());
    server_.emplace(executor_, listen(*net::Address::parse("127.0.0.1:0")), *gateway_,
                    server_options({}, metrics_.gateway(0)));
    server_->start();
    session_ = http::open_h2_client(executor_, run(dial()));
  }
  ~H2cTest() override {
    session_->cut();
    EXPECT_EQ(run(server_->drain(soon())), 0u);
    gateway_.reset();
    run(pod_->drain(executor_.now()));
    executor_.run_until(TimePoint{});
    std::filesystem::remove_all(folder_);
  }
  static UniqueFd listen(const net::Address& address) {
    return std::move(net::bind_shared(address, 1)->front());
  }
  [[nodiscard]] TimePoint soon() const { return executor_.now() + 10s; }
  template <class T>
  T run(net::Task<T> task) {
    std::optional<T> result;
    executor_.spawn([](net::Task<T> t, std::optional<T>& out) -> net::Task<void> {
      out.emplace(co_await t);
    }(std::move(task), result));
    const TimePoint limit = executor_.now() + 20s;
    while (!result && executor_.now() < limit) executor_.run_until(limit);
    if (!result) throw std::runtime_error("the test hangs");
    return std::move(*result);
  }
  net::Task<net::Stream> dial() {
    auto stream = co_await net::connect(executor_, server_->address(), soon());
    co_return std::move(*stream);
  }
  // Sends "abc" by its length and then, after `pause`, the trailer.
  net::Task<H2cAnswer> call(std::string trailer, Duration pause = {}) {
    H2cAnswer answer;
    http::H2ClientExchange one(session_);
    http::Fields fields;
    fields.add("host", "hello");
    fields.add("content-type", "application/grpc");
    http::Fields trailers;
    if (!trailer.empty()) trailers.add("x-trailer", trailer);
    (void)co_await one.send_head("POST", "/", fields, http::BodyLength::sized(3, true), "abc",
                                 soon());
    if (pause > Duration::zero()) {
      auto nap = executor_.sleep_until(executor_.now() + pause);
      co_await nap;
    }
    (void)co_await one.finish_body(trailers, soon());
    const auto head = co_await one.read_head(soon());
    if (!head) {
      answer.failed = true;
      co_return answer;
    }
    answer.status = (*head)->status;
    answer.grpc_status = (*head)->fields.get("grpc-status").value_or("");
    for (;;) {
      const auto piece = co_await one.read_body(soon());
      answer.failed = !piece;
      if (!piece || piece->empty()) break;
      answer.body += *piece;
    }
    answer.trailer = one.trailers().get("x-trailer").value_or("");
    co_return answer;
  }
  net::Task<std::string> call_by_http1() {
    auto stream = co_await dial();
    static constexpr std::string_view kRequest =
        "POST / HTTP/1.1\r\nHost: hello\r\nConnection: close\r\nTE: trailers\r\n"
        "Content-Length: 3\r\n\r\nabc";
    (void)co_await stream.write_all(kRequest, soon());
    std::string answer;
    std::vector<char> buffer(64 * 1024);
    for (;;) {
      const auto n = co_await stream.read_some(buffer, soon());
      if (!n) co_return answer + "!";
      if (*n == 0) co_return answer;
      answer.append(buffer.data(), *n);
    }
  }

  std::string folder_;
  SystemClock clock_;
  net::Executor executor_{"test"};
  NoSource source_;
  NoWaker waker_;
  Traffic traffic_;
  Metrics metrics_{traffic_, 1};
  RoutingPublisher routes_;
  std::shared_ptr<Throttler> throttler_ =
      std::make_shared<Throttler>(ThrottlerOptions{.revision = "uid", .h2c = true}, source_, clock_,
                                  [](const std::string& /*pod*/, const std::string& /*error*/) {});
  H2cFunction function_;
  std::optional<http::Server> pod_;
  std::optional<Gateway> gateway_;
  std::optional<http::Server> server_;
  std::shared_ptr<http::H2Session> session_;
};

TEST_F(H2cTest, TrailersBehindBodiesOfKnownLengthGoBothWays) {
  const H2cAnswer answer = run(call("told"));
  EXPECT_FALSE(answer.failed);
  EXPECT_EQ(answer.body, "abc");
  EXPECT_EQ(answer.trailer, "told");
}

TEST_F(H2cTest, TrailersMayComeLaterThanTheBody) {
  const H2cAnswer answer = run(call("told", 20ms));
  EXPECT_FALSE(answer.failed);
  EXPECT_EQ(answer.body, "abc");
  EXPECT_EQ(answer.trailer, "told");
  EXPECT_EQ(run(call("", 20ms)).body, "abc") << "nor need they come";
}

TEST_F(H2cTest, AnAnswerWithoutRoomForItsTrailersFails) {
  function_.more = std::string(40 << 10, 'x');
  const H2cAnswer answer = run(call("told"));
  EXPECT_EQ(answer.body, "abc");
  EXPECT_TRUE(answer.failed);
}

TEST_F(H2cTest, ARequestWithoutRoomForItsTrailersIsRefused) {
  for (const Duration pause : {0ms, 20ms}) {
    const H2cAnswer answer = run(call(std::string(40 << 10, 'x'), pause));
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.grpc_status, "8");
    EXPECT_EQ(answer.body, "");
  }
}

TEST_F(H2cTest, Http1HasNoPlaceForTrailersBehindALength) {
  function_.more = "more";
  const std::string answer = run(call_by_http1());
  EXPECT_TRUE(answer.ends_with("\r\n\r\nabc")) << answer;
}

}  // namespace
}  // namespace ebb::serving
