// Calls of HTTP/2 clients, through a gateway, to functions that speak HTTP/2 themselves.
#include "http/h2_client.h"
#include "serving/gateway_fixture.h"

namespace ebb::serving {
namespace {

using namespace std::chrono_literals;

// Answers with the body that it got, by its length, and behind it with the trailers.
struct H2cFunction final : http::Handler {
  net::Task<void> serve(http::Exchange& x) override {
    const auto body = co_await x.read_all(1000);
    if (!body) co_return;
    http::ResponseHead hints;
    hints.status = 103;
    hints.fields.add("link", "</a>");
    (void)co_await x.send_interim(hints);
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
  std::string hint;  // from before it
  int status = 0;
  std::string body;
  std::string trailer;
  std::string grpc_status;  // in the head
  bool failed = false;
};

class H2cTest : public GatewayTest {
 protected:
  H2cTest() : GatewayTest({.revision = "uid", .h2c = true}) {
    const std::string path = folder_ + "/pod";
    auto listening = net::bind_shared(net::Address::unix_path(path), 1);
    pod_.emplace(executor, std::move(listening->front()), function_,
                 http::ServerOptions{.http2 = true});
    pod_->start();
    throttler_->pod_added({"pod", "unix:" + path, true});
    start();
    session_ = http::open_h2_client(executor, run(dial()));
  }
  ~H2cTest() override {
    session_->cut();
    EXPECT_EQ(run(server->drain(soon())), 0u);
    server.reset();
    gateway_.reset();
    run(pod_->drain(executor.now()));
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
      auto nap = executor.sleep_until(executor.now() + pause);
      co_await nap;
    }
    (void)co_await one.finish_body(trailers, soon());
    auto head = co_await one.next_head(soon());
    if (head && (*head)->status == 103) {
      answer.hint = (*head)->fields.get("link").value_or("");
      head = co_await one.next_head(soon());
    }
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
  H2cFunction function_;
  std::optional<http::Server> pod_;
  std::shared_ptr<http::H2Session> session_;
};

TEST_F(H2cTest, TrailersBehindBodiesOfKnownLengthGoBothWays) {
  const H2cAnswer answer = run(call("told"));
  EXPECT_FALSE(answer.failed);
  EXPECT_EQ(answer.body, "abc");
  EXPECT_EQ(answer.trailer, "told");
}

TEST_F(H2cTest, EarlyHintsArePassedOn) {
  const H2cAnswer answer = run(call(""));
  EXPECT_EQ(answer.hint, "</a>");
  EXPECT_EQ(answer.status, 200);
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
  const std::string answer = GatewayTest::call("POST", "abc", "TE: trailers\r\n");
  EXPECT_TRUE(answer.ends_with("\r\n\r\nabc")) << answer;
}

}  // namespace
}  // namespace ebb::serving
