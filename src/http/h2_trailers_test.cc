// Trailers of HTTP/2, and what a gRPC call is told, whose outcome stands in them.
#include <gmock/gmock.h>

#include "http/h2_client.h"
#include "http/h2_fixture.h"

namespace ebb::http {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

const std::string kTooMuch(40 << 10, 'x');  // for a head, and for trailers

// Answers with the body that it got and, behind it, with the trailers that it got.
struct TrailerEcho final : Handler {
  net::Task<void> serve(Exchange& x) override {
    std::string body;
    for (;;) {
      const auto piece = co_await x.read_body();
      if (!piece) co_return;
      if (piece->empty()) break;
      body += *piece;
    }
    may_come = x.request().body.trailers;
    ResponseHead head;
    head.body = sized ? BodyLength::sized(body.size(), true) : BodyLength::chunked();
    (void)co_await x.begin(head);
    (void)co_await x.write(body);
    Fields trailers = x.trailers();
    if (large) trailers.add("x-large", kTooMuch);
    (void)co_await x.finish(trailers);
  }
  bool sized = true;
  bool large = false;
  bool may_come = false;
};

class H2TrailersTest : public H2ServerTest {
 protected:
  struct Got {
    BodyLength length;
    std::string body;
    std::string status;  // of the trailers
    std::optional<HttpError> error;
  };

  void serve(ServerOptions options = {}) {
    auto fds = net::bind_shared(*net::Address::parse("127.0.0.1:0"), 1);
    options.http2 = true;
    server.emplace(executor, std::move(fds->front()), echo, options);
    server->start();
    session = connect();
  }
  void TearDown() override {
    if (session) session->cut();
    H2ServerTest::TearDown();
  }
  // As a client of Ebb's asks: a body, and then `trailers`.
  net::Task<Got> exchange(BodyLength length, std::string body, Fields trailers) {
    Got got;
    H2ClientExchange one(session);
    Fields fields;
    fields.add("host", "h");
    (void)co_await one.send_head("POST", "/", fields, length, body, soon());
    (void)co_await one.finish_body(trailers, soon());
    const auto head = co_await one.read_head(soon());
    if (!head) {
      got.error = head.error();
      co_return got;
    }
    got.length = (*head)->body;
    for (;;) {
      const auto piece = co_await one.read_body(soon());
      if (!piece) got.error = piece.error();
      if (!piece || piece->empty()) break;
      got.body += *piece;
    }
    got.status = one.trailers().get("grpc-status").value_or("");
    co_return got;
  }
  static Fields status_five() {
    Fields out;
    out.add("grpc-status", "5");
    return out;
  }
  // What a gRPC call is told.
  H2Answer call(std::vector<Field> fields, std::string body = "", bool has_body = true) {
    fields.insert(fields.begin() + 4, {"content-type", "application/grpc"});
    return run(ask(session, std::move(fields), std::move(body), has_body));
  }
  static void expect_grpc(const H2Answer& answer, const char* status, const char* message) {
    EXPECT_EQ(answer.status, 200);
    ASSERT_TRUE(answer.fields.contains("grpc-status")) << answer.body;
    EXPECT_EQ(answer.fields.at("content-type"), "application/grpc");
    EXPECT_EQ(answer.fields.at("grpc-status"), status);
    EXPECT_THAT(answer.fields.at("grpc-message"), HasSubstr(message));
    EXPECT_FALSE(answer.fields.contains("content-length"));
    EXPECT_EQ(answer.body, "");
  }

  TrailerEcho echo;
  std::shared_ptr<H2Session> session;
};

TEST_F(H2TrailersTest, FollowBodiesOfKnownSizeBothWays) {
  serve();
  for (const std::string body : {"abc", ""}) {
    const Got got = run(exchange(BodyLength::sized(body.size(), true), body, status_five()));
    EXPECT_FALSE(got.error) << body;
    EXPECT_EQ(got.length.kind, BodyLength::Kind::kSized);
    EXPECT_EQ(got.length.size, body.size());
    EXPECT_TRUE(got.length.trailers);
    EXPECT_EQ(got.body, body);
    EXPECT_EQ(got.status, "5") << body;
    EXPECT_TRUE(echo.may_come);
  }
}

TEST_F(H2TrailersTest, MayBeAnnouncedAndNotCome) {
  serve();
  const Got got = run(exchange(BodyLength::sized(3, true), "abc", kNoTrailers));
  EXPECT_FALSE(got.error);
  EXPECT_EQ(got.body, "abc");
  EXPECT_EQ(got.status, "");
  EXPECT_FALSE(echo.may_come) << "known at the end of the body";
}

TEST_F(H2TrailersTest, WithoutThemTheEndRidesOnTheLastPiece) {
  auto fds = net::bind_shared(*net::Address::parse("127.0.0.1:0"), 1);
  net::Listener listener(executor, std::move(fds->front()));
  auto client = run([](net::Executor& e, net::Address to, TimePoint by) -> net::Task<net::Stream> {
    auto stream = co_await net::connect(e, to, by);
    co_return std::move(*stream);
  }(executor, listener.local(), soon()));
  session = open_h2_client(executor, std::move(client));
  auto function = run(listener.accept());
  H2ClientExchange one(session);
  Fields fields;
  fields.add("host", "h");
  EXPECT_TRUE(run(one.send_head("POST", "/", fields, BodyLength::sized(3), "abc", soon())));
  EXPECT_TRUE(run(one.finish_body(status_five(), soon())));
  session->cut();
  const std::string sent = run(read_to_end(*function));
  EXPECT_THAT(sent, HasSubstr(std::string("\0\0\3\0\1\0\0\0\1abc", 12)));
}

TEST_F(H2TrailersTest, OverTheLimitAnAnswerFails) {
  echo.large = true;
  serve();
  for (const bool sized : {true, false}) {
    echo.sized = sized;
    const Got got = run(exchange(BodyLength::sized(3), "abc", kNoTrailers));
    EXPECT_EQ(got.error, HttpError::kHeadTooLarge) << sized;
    EXPECT_EQ(got.body, "abc");
    EXPECT_TRUE(got.length.kind == BodyLength::Kind::kChunked || got.length.trailers)
        << "nothing may end it before they have been looked at";
  }
}

TEST_F(H2TrailersTest, OverTheLimitARequestIsRefused) {
  serve();
  Fields large = status_five();
  large.add("x-large", kTooMuch);
  Fields many;
  for (int i = 0; i < 200; ++i) many.add("x-many", "1");
  for (const Fields& trailers : {large, many}) {
    for (const auto length : {BodyLength::sized(3, true), BodyLength::chunked()}) {
      const Got got = run(exchange(length, "abc", trailers));
      EXPECT_THAT(got.body, HasSubstr("431 Request Header Fields Too Large: the trailers"));
    }
  }
  EXPECT_EQ(run(exchange(BodyLength::sized(3), "abc", kNoTrailers)).body, "abc") << "others go on";
}

TEST_F(H2TrailersTest, GrpcCallsAreToldByTheirStatusWhyTheyAreRefused) {
  serve({.max_body = 1000, .body_timeout = 50ms});
  auto fields = request("POST", "/");
  fields.push_back({"content-length", "2000"});
  expect_grpc(call(fields, std::string(2000, 'x')), "8", "larger than 1000 bytes");
  expect_grpc(call(request("POST", "/"), std::string(2000, 'x')), "8", "larger than 1000 bytes");
  fields = request("POST", "/");
  fields.push_back({"x-large", kTooMuch});
  expect_grpc(call(fields, "", false), "8", "the head is too large");
  expect_grpc(call(request("POST", "/#fragment"), "", false), "13", "bad path");
  EXPECT_EQ(run(ask(session, request("POST", "/"), std::string(2000, 'x'))).status, 413)
      << "others as ever";
}

TEST_F(H2TrailersTest, AGrpcCallWhoseBodyIsSlowHasPassedItsDeadline) {
  serve({.body_timeout = 50ms});
  auto fields = request("POST", "/");
  fields.push_back({"content-type", "application/grpc"});
  fields.push_back({"content-length", "3"});
  auto stream = session->submit_request(fields, true);
  session->flush();
  H2Answer answer;
  run([](net::Task<void> receiving) -> net::Task<bool> {
    co_await receiving;
    co_return true;
  }(receive(*stream, answer)));
  expect_grpc(answer, "4", "did not come on in time");
}

}  // namespace
}  // namespace ebb::http
