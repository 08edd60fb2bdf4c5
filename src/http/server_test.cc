#include "http/server.h"

#include <fcntl.h>
#include <gmock/gmock.h>

#include "http/connection.h"
#include "http/server_fixture.h"
#include "net/test_util.h"
#include "net/tls.h"

namespace ebb::http {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string get(const std::string& path, const std::string& fields = "") {
  return "GET " + path + " HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n";
}
std::string last_get(const std::string& path) { return get(path, "Connection: close\r\n"); }

TEST_F(ServerTest, AnswersWithLengthDateAndClose) {
  start();
  const auto answer = run(talk(last_get("/hello")));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\nContent-Type: text/plain\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\nContent-Length: 6\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\nConnection: close\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\nDate: "));
  EXPECT_THAT(answer, EndsWith("\r\n\r\nhello\n"));
}

TEST_F(ServerTest, KeepsAliveAndServesPipelinedRequestsInOrder) {
  start();
  const auto answer =
      run(talk(get("/hello") + "POST /all HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" +
               get("/chunked") + last_get("/hello")));
  EXPECT_EQ(times(answer, "HTTP/1.1 200 OK"), 4u);
  EXPECT_EQ(times(answer, "Connection: close"), 1u);
  EXPECT_LT(answer.find("\r\n\r\nabcHTTP/1.1"),
            answer.find("3\r\nabc\r\n3\r\nabc\r\n3\r\nabc\r\n0\r\n\r\nHTTP/1.1"));
  EXPECT_EQ(handler.requests, 4);
}

TEST_F(ServerTest, HeadIsSentFramingWithoutBody) {
  start();
  const auto answer =
      run(talk("HEAD /hello HTTP/1.1\r\nHost: h\r\n\r\nHEAD /chunked HTTP/1.1\r\nHost: h\r\n\r\n" +
               std::string("HEAD /half HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")));
  EXPECT_THAT(answer, HasSubstr("Content-Length: 6\r\n"));
  EXPECT_THAT(answer, HasSubstr("Transfer-Encoding: chunked\r\n"));
  EXPECT_THAT(answer, Not(HasSubstr("hello")));
  EXPECT_THAT(answer, Not(HasSubstr("abc")));
}

TEST_F(ServerTest, InterimHeadsComeBeforeTheAnswers) {
  start();
  const auto answer = run(talk(last_get("/hints")));
  EXPECT_THAT(answer,
              StartsWith("HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
                         "HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, EndsWith("hinted\n"));
  EXPECT_THAT(run(talk("GET /hints HTTP/1.0\r\n\r\n")), StartsWith("HTTP/1.1 200 OK\r\n"))
      << "it knows none";
  EXPECT_EQ(handler.last_error, std::nullopt);
}

TEST_F(ServerTest, StatusesWithoutBody) {
  start();
  const auto answer = run(talk(get("/status?204") + get("/status?304") + last_get("/status?200")));
  EXPECT_EQ(times(answer, "Content-Length"), 1u);
  EXPECT_EQ(times(answer, "HTTP/1.1 "), 3u);
  EXPECT_THAT(answer, HasSubstr("Content-Length: 0"));
}

TEST_F(ServerTest, Http10ClosesByDefaultAndIsNeverChunked) {
  start();
  auto answer = run(talk("GET /chunked HTTP/1.0\r\n\r\n"));
  EXPECT_THAT(answer, Not(HasSubstr("chunked")));
  EXPECT_THAT(answer, Not(HasSubstr("Content-Length")));
  EXPECT_THAT(answer, EndsWith("\r\n\r\nabcabcabc"));
  answer =
      run(talk("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /hello HTTP/1.0\r\n\r\n"));
  EXPECT_EQ(times(answer, "hello\n"), 2u);
  EXPECT_EQ(times(answer, "Connection: keep-alive"), 1u);
  EXPECT_EQ(times(answer, "Connection: close"), 1u);
}

TEST_F(ServerTest, UntilCloseBecomesChunked) {
  start();
  const auto answer = run(talk(last_get("/until-close")));
  EXPECT_THAT(answer, HasSubstr("Transfer-Encoding: chunked\r\n"));
  EXPECT_THAT(answer, EndsWith("3\r\nabc\r\n3\r\nabc\r\n3\r\nabc\r\n0\r\n\r\n"));
}

TEST_F(ServerTest, DropsConnectionFieldsOfTheHandler) {
  start();
  const auto answer = run(talk(get("/fields") + last_get("/hello")));
  EXPECT_THAT(answer, HasSubstr("X-Kept: 1\r\n"));
  EXPECT_THAT(answer, HasSubstr("Date: mine\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Length: 2\r\n"));
  for (const char* dropped : {"X-Named", "Keep-Alive", "Transfer-Encoding", "999"}) {
    EXPECT_THAT(answer, Not(HasSubstr(dropped)));
  }
  EXPECT_EQ(times(answer, "Date: "), 2u);
}

TEST_F(ServerTest, BadFieldOfTheHandlerIsNotSent) {
  start();
  const auto answer = run(talk(last_get("/bad-field")));
  EXPECT_EQ(handler.last_error, HttpError::kMalformed);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 502 "));
  EXPECT_THAT(answer, Not(HasSubstr("Cookie")));
}

TEST_F(ServerTest, NoAnswerIs500) {
  start();
  for (const char* path : {"/nothing", "/throw"}) {
    const auto answer = run(talk(get(path)));
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 500 Internal Server Error\r\n"));
    EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
  }
}

TEST_F(ServerTest, HalfAnAnswerIsCutByAReset) {
  start();
  for (const char* path : {"/half", "/half-chunked", "/throw-late", "/short", "/long"}) {
    const auto answer = run(talk(last_get(path)));
    EXPECT_THAT(answer, Not(EndsWith("0\r\n\r\n"))) << path;
    EXPECT_THAT(answer, EndsWith("!")) << path;
  }
  // Where the end of the connection is the end of the body it matters most.
  EXPECT_THAT(run(talk("GET /half-until-close HTTP/1.0\r\n\r\n")), EndsWith("!"));
}

TEST_F(ServerTest, WrongSizeIsAnError) {
  start();
  (void)run(talk(last_get("/short")));
  EXPECT_EQ(handler.last_error, HttpError::kTruncated);
  (void)run(talk(last_get("/long")));
  EXPECT_EQ(handler.last_error, HttpError::kMalformed);
}

TEST_F(ServerTest, RefusesWithTheFittingStatusAndCloses) {
  ServerOptions options;
  options.head.bytes = 1000;
  options.max_body = 1000;
  start(options);
  const std::pair<std::string, const char*> cases[] = {
      {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
      {get("/hello", "Transfer-Encoding: gzip\r\n"), "HTTP/1.1 501 "},
      {"CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", "HTTP/1.1 501 "},
      {"GET / HTTP/2.0\r\n\r\n", "HTTP/1.1 505 "},
      {get("/hello", "A: " + std::string(1000, 'x') + "\r\n"), "HTTP/1.1 431 "},
      {get("/hello", "Content-Length: 1001\r\n"), "HTTP/1.1 413 "},
      {get("/count", "Transfer-Encoding: chunked\r\n") + "400\r\n" + std::string(1024, 'x') +
           "\r\n",
       "HTTP/1.1 413 "},
      {get("/count", "Transfer-Encoding: chunked\r\n") + "x\r\n", "HTTP/1.1 400 "},
  };
  for (const auto& [request, status] : cases) {
    const auto answer = run(talk(request));
    EXPECT_THAT(answer, StartsWith(status)) << request;
    EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
    EXPECT_THAT(answer, HasSubstr("Content-Type: text/plain"));
    EXPECT_THAT(answer, EndsWith("\n")) << "not reset";
  }
  EXPECT_THAT(run(talk("GET / HTTP/1.1\r\n\r\n")), HasSubstr("missing Host"));
}

TEST_F(ServerTest, RefusedRequestEndsThePipeline) {
  start();
  const auto answer = run(talk(get("/hello") + "GET / HTTP/1.1\r\n\r\n" + get("/hello")));
  EXPECT_EQ(times(answer, "hello\n"), 1u);
  EXPECT_EQ(handler.requests, 1);
}

TEST_F(ServerTest, AnUnreadBodyIsSkippedIfItComes) {
  start();
  const std::string small =
      "POST /hello HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n" + std::string(60000, 'x');
  EXPECT_EQ(times(run(talk(small + small + last_get("/hello"))), "hello\n"), 3u);
  const std::string large = "POST /hello HTTP/1.1\r\nHost: h\r\nContent-Length: 5000000\r\n\r\n" +
                            std::string(5'000'000, 'x');
  EXPECT_EQ(times(run(talk(large + last_get("/hello"))), "hello\n"), 2u);
  const std::string half = "POST /hello HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf";
  EXPECT_EQ(times(run(talk(half)), "hello\n"), 1u) << "then it ends, since nothing comes";
}

TEST_F(ServerTest, NothingFollowsASkippedBodyThatDoesNotEndAsItShould) {
  start();
  auto stream = run(dial());
  ASSERT_TRUE(run(send(
      stream, "POST /hello HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r")));
  EXPECT_THAT(run(read_up_to(stream, "hello\n")), StartsWith("HTTP/1.1 200 "));
  ASSERT_TRUE(run(send(stream, get("/hello"))));
  EXPECT_EQ(times(run(read_to_end(stream)), "hello\n"), 0u);
  EXPECT_EQ(handler.requests, 1);
}

class ContinueTest : public ServerTest {
 protected:
  net::Task<std::string> ask(std::string path, bool send_body) {
    auto stream = co_await dial();
    const std::string head =
        "POST " + path +
        " HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    (void)co_await stream.write_all(head, soon());
    auto reading = read_up_to(stream, "\r\n\r\n");
    const std::string first = co_await reading;
    if (!send_body) co_return first;
    const std::string rest = "abc" + last_get("/hello");
    (void)co_await stream.write_all(rest, soon());
    const std::string second = co_await read_to_end(stream);
    co_return first + second;
  }
};

TEST_F(ContinueTest, IsSentAtTheFirstRead) {
  start();
  const auto answer = run(ask("/all", true));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\n\r\nabcHTTP/1.1 200 OK\r\n"));
}

TEST_F(ContinueTest, IsNotSentWithoutARead) {
  start();
  const auto answer = run(ask("/hello", false));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
}

TEST_F(ContinueTest, IsTooLateAfterTheResponseBegan) {
  start();
  (void)run(ask("/echo", false));
  EXPECT_EQ(handler.last_error, HttpError::kClosed);
}

TEST_F(ServerTest, SlowHeadTimesOutWith408) {
  ServerOptions options;
  options.head_timeout = std::chrono::milliseconds(30);
  start(options);
  EXPECT_THAT(run(talk("GET / HTTP/1.1\r\nHos")), StartsWith("HTTP/1.1 408 "));
}

TEST_F(ServerTest, SlowBodyTimesOutWith408) {
  ServerOptions options;
  options.body_timeout = std::chrono::milliseconds(30);
  start(options);
  EXPECT_THAT(run(talk(get("/count", "Content-Length: 5\r\n") + "ab")),
              StartsWith("HTTP/1.1 408 "));
  EXPECT_EQ(handler.last_error, HttpError::kTimeout);
}

TEST_F(ServerTest, IdleConnectionIsClosedSilently) {
  ServerOptions options;
  options.idle_timeout = std::chrono::milliseconds(30);
  start(options);
  EXPECT_EQ(run(talk("")), "");
  const auto answer = run(talk(get("/hello")));
  EXPECT_THAT(answer, EndsWith("hello\n"));
  EXPECT_EQ(server->connections(), 0u);
}

TEST_F(ServerTest, OverTheConnectionBoundIsClosedAtAccept) {
  ServerOptions options;
  options.max_connections = 1;
  start(options);
  auto first = run(dial());
  run_while([&] { return server->connections() == 0; });
  const auto refused = run(talk(get("/hello")));
  EXPECT_TRUE(refused.empty() || refused == "!") << refused;
  first.close();
  run_while([&] { return server->connections() > 0; });
  EXPECT_THAT(run(talk(last_get("/hello"))), EndsWith("hello\n"));
}

TEST_F(ServerTest, ClientThatLeavesMidBodyEndsTheExchange) {
  start();
  auto stream = run(dial());
  const std::string part = get("/count", "Content-Length: 100\r\n") + "abc";
  ASSERT_TRUE(run(send(stream, part)));
  run_while([&] { return handler.requests == 0; });
  stream.close();
  run_while([&] { return server->connections() > 0; });
  EXPECT_EQ(handler.last_error, HttpError::kTruncated);
}

TEST_F(ServerTest, DrainClosesIdleAndFinishesWhatIsUnderWay) {
  start();
  auto idle = run(dial());
  auto busy = run(dial());
  const std::string request = get("/hold");
  ASSERT_TRUE(run(send(busy, request)));
  run_while([&] { return handler.held.empty() || server->connections() < 2; });
  std::optional<size_t> cut;
  const auto drain = [](Server& s, TimePoint deadline,
                        std::optional<size_t>& out) -> net::Task<void> {
    out = co_await s.drain(deadline);
  };
  executor.spawn(drain(*server, soon(), cut));
  EXPECT_EQ(run(read_to_end(idle)), "");
  EXPECT_FALSE(cut);
  ASSERT_TRUE(handler.held.front().set(true));
  const auto answer = run(read_to_end(busy));
  EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(answer, EndsWith("held\n"));
  run_while([&] { return !cut; });
  EXPECT_EQ(*cut, 0u);
  server.reset();
}

net::Task<void> drip(net::Stream& stream, const bool& ends) {
  while (!ends) {
    const auto sent = co_await stream.write_all("x", kNever);
    if (!sent) co_return;
    auto pause =
        stream.executor().sleep_until(stream.executor().now() + std::chrono::milliseconds(50));
    co_await pause;
  }
}

TEST_F(ServerTest, AnAnswerEndsWhileItsRequestsBodyIsSkipped) {
  start();
  auto stream = run(dial());
  // Whose end is the connection's; and one that names its length.
  for (const char* request : {"POST /chunked HTTP/1.0\r\n", "POST /hello HTTP/1.0\r\n"}) {
    stream = run(dial());
    ASSERT_TRUE(run(send(stream, std::string(request) + "Content-Length: 9\r\n\r\nhalf")));
    const TimePoint begun = executor.now();
    EXPECT_THAT(run(read_to_end(stream)),
                testing::AnyOf(EndsWith("abcabcabc"), EndsWith("hello\n")));
    EXPECT_LT(executor.now() - begun, Connection::kSkipPause) << "not when it gives up";
  }
}

TEST_F(ServerTest, AnAnswerIsSeenByWhoSendsMoreThanMayBeBeforeItReads) {
  constexpr size_t kMuch = 16 << 20;
  ServerOptions options;
  options.max_body = 1000;
  start(options);
  auto stream = run(dial());
  // The handler answers without the body.
  ASSERT_TRUE(run(send(stream, fmt::format("POST /hello HTTP/1.1\r\nHost: h\r\n"
                                           "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n",
                                           kMuch))));
  EXPECT_TRUE(run(send(stream, std::string(kMuch, 'x'))));
  EXPECT_THAT(run(read_up_to(stream, "hello\n")), StartsWith("HTTP/1.1 200 "));
}

TEST_F(ServerTest, ADrainDoesNotWaitForABodyThatNobodyWants) {
  start();
  auto stream = run(dial());
  ASSERT_TRUE(run(send(stream, "POST /hello HTTP/1.1\r\nHost: h\r\nContent-Length: 999\r\n\r\n")));
  EXPECT_THAT(run(read_up_to(stream, "hello\n")), StartsWith("HTTP/1.1 200 "));
  // It goes on coming, often enough to be skipped.
  bool ends = false;
  executor.spawn(drip(stream, ends));
  const TimePoint begun = executor.now();
  EXPECT_EQ(run(server->drain(soon())), 0u) << "its client has the answer: it counts as served";
  EXPECT_LT(executor.now() - begun, 4 * Connection::kLingerTime);
  ends = true;
  server.reset();
}

// Two servers with one socket, as of two processes.
TEST_F(ServerTest, OneThatLeavesServesWhoIsThereAndLeavesTheQueueToAnother) {
  auto fds = net::bind_shared(*net::Address::parse("127.0.0.1:0"), 1);
  ASSERT_TRUE(fds) << fds.error().message;
  UniqueFd same(::fcntl(fds->front().get(), F_DUPFD_CLOEXEC, 0));
  server.emplace(executor, std::move(fds->front()), handler, ServerOptions{});
  server->start();
  auto served = run(dial());
  ASSERT_TRUE(run(send(served, get("/hello"))));
  EXPECT_THAT(run(read_up_to(served, "hello\n")), StartsWith("HTTP/1.1 200 "));
  auto busy = run(dial());
  ASSERT_TRUE(run(send(busy, get("/hold"))));
  auto silent = run(dial());
  run_while([&] { return handler.held.empty() || server->connections() < 3; });

  server->leave();
  EXPECT_EQ(run(read_to_end(served)), "");
  PathHandler other_handler;
  Server other(executor, std::move(same), other_handler, ServerOptions{});
  auto next = run(dial());  // before the other one accepts
  EXPECT_EQ(server->connections(), 2u);
  other.start();
  ASSERT_TRUE(run(send(next, get("/hello"))));
  EXPECT_THAT(run(read_up_to(next, "hello\n")), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(other_handler.requests, 1);

  auto cut = launch(server->drain(soon()));
  ASSERT_TRUE(run(send(silent, get("/hello"))));
  const auto late = run(read_to_end(silent));
  EXPECT_THAT(late, HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(late, EndsWith("hello\n"));
  ASSERT_TRUE(handler.held.front().set(true));
  EXPECT_THAT(run(read_to_end(busy)), EndsWith("held\n"));
  EXPECT_EQ(await(cut), 0u);
  EXPECT_EQ(handler.requests, 3);
  EXPECT_EQ(run(other.drain(soon())), 0u);
  server.reset();
}

TEST_F(ServerTest, DrainCutsAtTheDeadline) {
  start();
  auto busy = run(dial());
  ASSERT_TRUE(run(send(busy, get("/count", "Content-Length: 5\r\n"))));
  run_while([&] { return handler.requests == 0; });
  EXPECT_EQ(run(server->drain(executor.now() + std::chrono::milliseconds(20))), 1u);
  EXPECT_EQ(server->connections(), 0u);
  EXPECT_EQ(run(read_to_end(busy)), "!");
  server.reset();
}

class TlsServerTest : public ServerTest {
 protected:
  TlsServerTest()
      : server_contexts_(*net::TlsContext::server(
            {{ours_.identity.certificate_pem, ours_.identity.key_pem}}, {})),
        client_context_(*net::TlsContext::client(ours_.identity.ca_pem)) {
    options_.tls = &server_contexts_;
  }

  net::Task<std::string> talk_secured(std::string text) {
    auto stream = co_await dial();
    auto securing = net::connect_tls(stream, client_context_, "127.0.0.1", soon());
    const auto secured = co_await securing;
    if (!secured) co_return secured.error().message;
    (void)co_await stream.write_all(text, soon());
    co_return co_await read_to_end(stream);
  }

  net::TestIdentity ours_;
  net::TlsContexts server_contexts_;
  net::TlsContext client_context_;
  ServerOptions options_;
};

TEST_F(TlsServerTest, ServesAsInPlainText) {
  start(options_);
  const auto answer =
      run(talk_secured("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nfirst"
                       "GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
  EXPECT_THAT(answer, HasSubstr("first"));
  EXPECT_TRUE(answer.ends_with("hello\n")) << answer;
}

TEST_F(TlsServerTest, ABrokenAnswerIsSeenAsOne) {
  start(options_);
  const auto answer = run(talk_secured("GET /half-until-close HTTP/1.0\r\nHost: h\r\n\r\n"));
  EXPECT_TRUE(answer.ends_with("!")) << answer;
}

TEST_F(TlsServerTest, TellsPlainClientsWhatToDo) {
  start(options_);
  const auto answer = run(talk("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n"));
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 ")) << answer;
  EXPECT_THAT(answer, HasSubstr("https://"));
}

TEST_F(TlsServerTest, ASilentClientIsLetGo) {
  options_.handshake_timeout = std::chrono::milliseconds(20);
  start(options_);
  EXPECT_EQ(run(talk("")), "");
}

TEST_F(TlsServerTest, FailuresAreCounted) {
  std::atomic<uint64_t> failures = 0;
  options_.tls_failures = &failures;
  start(options_);
  (void)run(talk_secured("GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
  EXPECT_EQ(failures, 0u);
  (void)run(talk("no TLS at all, and no HTTP\r\n\r\n"));
  EXPECT_EQ(failures, 1u);
}

TEST_F(TlsServerTest, NewConnectionsGetTheNewCertificate) {
  start(options_);
  const std::string last = "GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
  EXPECT_THAT(run(talk_secured(last)), EndsWith("hello\n"));
  const net::TestIdentity next;
  server_contexts_.set(
      *net::TlsContext::server({{next.identity.certificate_pem, next.identity.key_pem}}, {}));
  EXPECT_THAT(run(talk_secured(last)), HasSubstr("certificate"));
  client_context_ = *net::TlsContext::client(next.identity.ca_pem);
  EXPECT_THAT(run(talk_secured(last)), EndsWith("hello\n"));
}

}  // namespace
}  // namespace ebb::http
