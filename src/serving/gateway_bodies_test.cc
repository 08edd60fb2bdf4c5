// How long a request may take, and bodies that do not come, or not at once.
#include "http/h2_client.h"
#include "serving/gateway_fixture.h"

namespace ebb::serving {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

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
  EXPECT_THAT(metrics_.exposition(),
              testing::ContainsRegex("\nebb_pods_hung_total\\{[^}]*\\} 1\n"));
}

TEST_F(GatewayTest, ARequestThatIsNotAllThereSaysNothingOfThePod) {
  backend_.response_start = 30ms;
  start();
  add_pod("a", std::deque<Act>(Throttler::kHungAfter, Act::kSilence));
  for (int i = 0; i < Throttler::kHungAfter; ++i) {
    auto stream = run(dial());
    (void)run(send(stream, "POST / HTTP/1.1\r\nHost: hello\r\nContent-Length: 100\r\n\r\nhalf"));
    EXPECT_THAT(run(read_up_to(stream, "\r\n\r\n")), StartsWith("HTTP/1.1 504 "));
  }
  EXPECT_TRUE(source_.hung.empty());
}

TEST_F(GatewayTest, APodThatDoesNotTakeTheBodyIsSilentToo) {
  backend_.response_start = 200ms;
  start();
  add_pod("a", std::deque<Act>(Throttler::kHungAfter, Act::kStuck));
  for (int i = 0; i < Throttler::kHungAfter; ++i) {
    auto stream = run(dial());
    const std::string request = fmt::format(
        "POST / HTTP/1.1\r\nHost: hello\r\nContent-Length: {0}\r\n\r\n{1:x<{0}}", 4 << 20, "");
    auto sent = launch(send(stream, request));
    const std::string answer = run(read_up_to(stream, "(responseStartTimeoutSeconds)"));
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 504 "));
    EXPECT_TRUE(await(sent)) << "the rest is read and dropped";
  }
  EXPECT_EQ(source_.hung, std::vector<std::string>{"a"});
}

TEST_F(GatewayTest, SilenceBeforeTheAnswerIsIdleToo) {
  backend_.idle = 30ms;
  start();
  add_pod("a", {Act::kSilence});
  const auto answer = call();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 504 "));
  EXPECT_THAT(answer, HasSubstr("did not begin to answer within 0.03 s (idleTimeoutSeconds)"));
}

TEST_F(GatewayTest, APodIsSilentFromWhenItHasLoadedItsCodeAndGotAllOfTheRequest) {
  backend_.idle = 500ms;
  start();
  add_pod("slow", {Act::kAnswer, Act::kSilence});
  for (const char* status : {"200", "504"}) {
    const TimePoint begun = executor.now();
    auto stream = run(dial());
    (void)run(send(stream, "POST / HTTP/1.1\r\nHost: hello\r\nContent-Length: 4\r\n\r\nda"));
    run_until(begun + 750ms);
    (void)run(send(stream, "ta"));
    EXPECT_THAT(run(read_up_to(stream, "\r\n\r\n")),
                StartsWith(fmt::format("HTTP/1.1 {} ", status)));
    EXPECT_GE(executor.now() - begun, 750ms);
  }
  throttler_->pod_gone("slow", {.reason = "Stopped", .message = ""});

  add_pod("cold", {Act::kSilence});
  throttler_->pod_gone("cold", {.reason = "Stopped", .message = ""});
  throttler_->pod_added({"cold", "unix:" + folder_ + "/cold", false});
  auto answer = launch(talk("GET / HTTP/1.1\r\nHost: hello\r\nConnection: close\r\n\r\n"));
  const TimePoint loaded = executor.now() + 750ms;
  run_until(loaded);
  EXPECT_FALSE(*answer);
  throttler_->pod_ready("cold");
  EXPECT_THAT(await(answer), HasSubstr("within 0.5 s (idleTimeoutSeconds)"));
  EXPECT_GE(executor.now(), loaded + 500ms);
}

TEST_F(GatewayTest, AClientThatTakesItsTimeForHintsSaysNothingOfThePod) {
  constexpr int kRequests = 30;
  backend_.idle = 1s;
  start();
  add_pod("a", std::deque<Act>(kRequests, Act::kManyHints));
  auto stream = run(dial());
  std::string requests;
  for (int i = 0; i < kRequests; ++i) {
    requests += fmt::format("GET / HTTP/1.1\r\nHost: hello\r\n{}\r\n",
                            i + 1 < kRequests ? "" : "Connection: close\r\n");
  }
  ASSERT_TRUE(run(send(stream, requests)));
  run_until(executor.now() + 2500ms);
  const std::string answers = run(read_to_end(stream));
  EXPECT_EQ(http::times(answers, "HTTP/1.1 200 OK"), static_cast<size_t>(kRequests));
  EXPECT_EQ(http::times(answers, "HTTP/1.1 103 Early Hints"),
            static_cast<size_t>(kRequests * http::ClientExchange::kMaxInterim));
  EXPECT_TRUE(source_.hung.empty());
}

TEST_F(GatewayTest, APodThatAnswersBeforeItIsKnownToHaveLoadedHasItsTimeToo) {
  backend_.idle = 500ms;
  start();
  add_pod("cold", {Act::kSilence, Act::kAnswer});
  throttler_->pod_gone("cold", {.reason = "Stopped", .message = ""});
  throttler_->pod_added({"cold", "unix:" + folder_ + "/cold", false});
  const auto answer = launch(talk("GET / HTTP/1.1\r\nHost: hello\r\nConnection: close\r\n\r\n"));
  run_until(executor.now() + 750ms);
  const TimePoint able = executor.now();
  EXPECT_THAT(call(), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(await(answer), HasSubstr("(idleTimeoutSeconds)"));
  EXPECT_GE(executor.now(), able + 500ms);
}

TEST_F(GatewayTest, ARequestOfWhoseBodyNothingHasComeIsSentAgain) {
  start();
  FakePod& pod = add_pod("a", {Act::kCloseUnread, Act::kAnswer});
  auto stream = run(dial());
  (void)run(send(stream, "POST / HTTP/1.1\r\nHost: hello\r\nContent-Length: 4\r\n\r\n"));
  run_while([&] { return pod.connections == 0; });
  throttler_->pod_gone("a", {.reason = "OOMKilled", .message = "out of memory"});
  throttler_->pod_added({"b", "unix:" + folder_ + "/a", true});
  run_while([&] { return pod.connections == 1; });
  (void)run(send(stream, "data"));
  EXPECT_THAT(run(read_up_to(stream, "data")), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(retries(), 1u);
}

TEST_F(GatewayTest, SoIsOneOfHttp2) {
  start();
  FakePod& pod = add_pod("a", {Act::kCloseUnread, Act::kAnswer});
  const auto session = http::open_h2_client(executor, run(dial()));
  {
    http::H2ClientExchange one(session);
    http::Fields fields;
    fields.add("host", "hello");
    ASSERT_TRUE(run(one.send_head("POST", "/", fields, http::BodyLength::sized(4), "", soon())));
    run_while([&] { return pod.connections == 0; });
    throttler_->pod_gone("a", {.reason = "OOMKilled", .message = "out of memory"});
    throttler_->pod_added({"b", "unix:" + folder_ + "/a", true});
    run_while([&] { return pod.connections == 1; });
    ASSERT_TRUE(run(one.send_body("data", soon())));
    const auto head = run(one.read_head(soon()));
    ASSERT_TRUE(head);
    EXPECT_EQ((*head)->status, 200);
    EXPECT_THAT(pod.requests.at(0), EndsWith("data"));
  }
  session->cut();
  EXPECT_EQ(retries(), 1u);
}

TEST_F(GatewayTest, ARequestOfWhoseBodySomethingIsGoneIsNot) {
  start();
  FakePod& pod = add_pod("a", {Act::kReadClose});
  auto stream = run(dial());
  (void)run(send(stream, "PUT / HTTP/1.1\r\nHost: hello\r\nContent-Length: 4\r\n\r\n"));
  run_while([&] { return pod.connections == 0; });
  (void)run(send(stream, "data"));
  run_while([&] { return pod.requests.empty(); });
  throttler_->pod_gone("a", {.reason = "OOMKilled", .message = "out of memory"});
  throttler_->pod_added({"b", "unix:" + folder_ + "/a", true});
  EXPECT_THAT(run(read_up_to(stream, "out of memory\n")), StartsWith("HTTP/1.1 502 "));
  EXPECT_EQ(retries(), 0u);
}

TEST_F(GatewayTest, AnEarlyAnswerEndsItsPodsPart) {
  start();
  FakePod& pod = add_pod("a", {Act::kEarly, Act::kEarly, Act::kEarly});
  for (const char* body : {"Content-Length: 100000\r\n\r\nab", "Content-Length: 100000\r\n\r\n",
                           "Transfer-Encoding: chunked\r\n\r\n1"}) {
    auto stream = run(dial());
    const std::string text = fmt::format("POST / HTTP/1.1\r\nHost: hello\r\n{}", body);
    (void)run(send(stream, text));
    EXPECT_THAT(run(read_up_to(stream, "\r\n\r\n")), StartsWith("HTTP/1.1 200 ")) << body;
    // Not only when the client has sent the rest, or run out of its time for that.
    run_until(executor.now() + 5s, [&] { return throttler_->counts().in_flight == 0; });
    EXPECT_EQ(throttler_->counts().in_flight, 0) << body;
  }
  EXPECT_EQ(pod.connections, 3) << "none is used again that something of a body may follow on";
}

TEST_F(GatewayTest, ABodyThatStaysAwayHoldsAPodNoLongerThanItsRequestMayTake) {
  backend_.timeout = 300ms;
  start();
  add_pod("a", {Act::kSilence, Act::kSilence});
  for (const char* body : {"Content-Length: 10\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n1"}) {
    const TimePoint begun = executor.now();
    auto stream = run(dial());
    const std::string text = fmt::format("POST / HTTP/1.1\r\nHost: hello\r\n{}", body);
    (void)run(send(stream, text));
    EXPECT_THAT(run(read_up_to(stream, "\r\n\r\n")), StartsWith("HTTP/1.1 504 "));
    EXPECT_LT(executor.now() - begun, 10s) << "the server's own patience is 30 s";
    EXPECT_EQ(throttler_->counts().in_flight, 0);
  }
}

TEST_F(GatewayTest, AnAnswerThatStopsIsCut) {
  backend_.idle = 30ms;
  start();
  add_pod("a", {Act::kHalf});
  const auto answer = call();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 "));
  EXPECT_TRUE(answer.ends_with("half!")) << answer;
  EXPECT_EQ(throttler_->counts().in_flight, 0);
  EXPECT_THAT(cuts(), ElementsAre("idle_timeout"));
  EXPECT_THAT(source_.misbehaved, ElementsAre(HasSubstr("(idleTimeoutSeconds)")));
}

TEST_F(GatewayTest, AnAnswerThatTakesTooLongIsCut) {
  backend_.timeout = 300ms;
  start();
  add_pod("a", {Act::kHalf});
  EXPECT_THAT(call(), EndsWith("half!"));
  EXPECT_THAT(cuts(), ElementsAre("timeout"));
  EXPECT_THAT(source_.misbehaved,
              ElementsAre("RequestTimedOut: function hello did not end its answer within 0.3 s "
                          "(timeoutSeconds)"));
}

TEST_F(GatewayTest, ARequestThatWaitedMostOfItsTimeForAPodIsNotTheFunctionsFault) {
  backend_.timeout = 600ms;
  start();
  auto answer = launch(talk("GET / HTTP/1.1\r\nHost: hello\r\nConnection: close\r\n\r\n"));
  run_until(executor.now() + 400ms);
  add_pod("a", {Act::kHalf});
  EXPECT_THAT(await(answer), EndsWith("half!"));
  EXPECT_THAT(cuts(), ElementsAre("timeout"));
  EXPECT_THAT(source_.misbehaved, IsEmpty());
}

TEST_F(GatewayTest, AnAnswerThatItsPodBreaksOffOrGetsWrongIsCut) {
  start();
  add_pod("a", {Act::kHalfClose, Act::kBadBody});
  EXPECT_THAT(call(), EndsWith("!"));
  EXPECT_THAT(cuts(), ElementsAre("pod_failed"));
  EXPECT_THAT(source_.misbehaved, IsEmpty());
  EXPECT_THAT(call(), EndsWith("!")) << "perhaps without what came before";
  EXPECT_THAT(cuts(), ElementsAre("pod_failed", "bad_answer"));
  EXPECT_THAT(source_.misbehaved, ElementsAre(StartsWith("BadAnswer: ")));
}

TEST_F(GatewayTest, AnAnswerWhoseClientLeavesIsCut) {
  start();
  add_pod("a", {Act::kHalf});
  {
    auto stream = run(dial());
    (void)run(send(stream, "GET / HTTP/1.1\r\nHost: hello\r\n\r\n"));
    (void)run(read_up_to(stream, "half"));
  }
  run_while([&] { return throttler_->counts().in_flight > 0; });
  EXPECT_THAT(cuts(), ElementsAre("client_left"));
}

TEST_F(GatewayTest, AnAnswerWhoseClientFailsToSendItsBodyIsNotThePodsFault) {
  start();
  add_pod("a", {Act::kEarlyHalf, Act::kEarlyHalf});
  const std::string_view begin =
      "POST / HTTP/1.1\r\nHost: hello\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n";
  {
    auto stream = run(dial());
    (void)run(send(stream, std::string(begin)));
    (void)run(read_up_to(stream, "half"));
  }
  run_while([&] { return throttler_->counts().in_flight > 0; });
  EXPECT_THAT(cuts(), ElementsAre("client_left"));
  auto stream = run(dial());
  (void)run(send(stream, std::string(begin)));
  (void)run(read_up_to(stream, "half"));
  (void)run(send(stream, "zz\r\n"));
  run_while([&] { return throttler_->counts().in_flight > 0; });
  EXPECT_THAT(cuts(), ElementsAre("client_left", "client_failed"));
  EXPECT_THAT(source_.misbehaved, IsEmpty());
}

TEST_F(GatewayTest, AnAnswerUnderWayWhenADrainsTimeIsOverIsCut) {
  start();
  add_pod("a", {Act::kHalf});
  auto stream = run(dial());
  (void)run(send(stream, "GET / HTTP/1.1\r\nHost: hello\r\n\r\n"));
  (void)run(read_up_to(stream, "half"));
  EXPECT_EQ(run(server->drain(executor.now() + 20ms)), 1u);
  EXPECT_EQ(throttler_->counts().in_flight, 0) << "its end has been seen";
  EXPECT_THAT(cuts(), ElementsAre("shutdown"));
  server.reset();
}

TEST_F(GatewayTest, ABodyThatIsNoneIsRefused) {
  start();
  FakePod& pod = add_pod("a");
  const auto answer =
      run(talk("POST / HTTP/1.1\r\nHost: hello\r\nX-Request-Id: mine\r\n"
               "Transfer-Encoding: chunked\r\n\r\nzz\r\n"));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(answer, HasSubstr("x-request-id: mine\r\n"));
  EXPECT_THAT(answer, EndsWith("the request's body is not valid HTTP\n"));
  EXPECT_EQ(pod.connections, 0);
}

TEST_F(GatewayTest, ABodyThatEndsEarlyOrTurnsBadBehindItsFirstPieceIsNamed) {
  start();
  add_pod("a", {Act::kSilence, Act::kSilence});
  for (const auto& [rest, what] :
       {std::pair("zz", "is not valid HTTP\n"), std::pair("", "ended early\n")}) {
    auto stream = run(dial());
    (void)run(send(stream,
                   "POST / HTTP/1.1\r\nHost: hello\r\nX-Request-Id: mine\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"));
    run_while([&] { return throttler_->counts().in_flight == 0; });
    run_until(executor.now() + 50ms);  // the head and the first piece have gone, or go now
    (void)run(send(stream, rest));
    stream.shutdown_write();
    const auto answer = run(read_to_end(stream));
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 ")) << what;
    EXPECT_THAT(answer, HasSubstr("x-request-id: mine\r\n"));
    EXPECT_THAT(answer, EndsWith(what));
  }
  EXPECT_EQ(throttler_->counts().in_flight, 0);
}

TEST_F(GatewayTest, AClientThatReadsOnlyWhenItHasSentAllSeesThatItsBodyIsTooLarge) {
  start({.max_body = 10});
  add_pod("a");
  constexpr size_t kMuch = 16 << 20;
  for (const std::string& framing :
       {fmt::format("Content-Length: {}\r\n\r\n", kMuch),
        fmt::format("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", kMuch)}) {
    auto stream = run(dial());
    ASSERT_TRUE(run(send(stream, "POST / HTTP/1.1\r\nHost: hello\r\n" + framing)));
    ASSERT_TRUE(run(send(stream, std::string(kMuch, 'x')))) << framing;
    EXPECT_THAT(run(read_up_to(stream, "\n\n")), StartsWith("HTTP/1.1 413 ")) << framing;
  }
}

TEST_F(GatewayTest, ABodyOverTheLimitIsRefused) {
  start({.max_body = 10});
  FakePod& pod = add_pod("a");
  EXPECT_THAT(call("POST", "0123456789"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(call("POST", "0123456789a"), StartsWith("HTTP/1.1 413 "));
  const auto answer =
      run(talk("POST / HTTP/1.1\r\nHost: hello\r\nX-Request-Id: mine\r\n"
               "Transfer-Encoding: chunked\r\n\r\nb\r\n0123456789a\r\n0\r\n\r\n"));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(answer, HasSubstr("x-request-id: mine\r\n"));
  EXPECT_THAT(answer, EndsWith("the request's body is larger than 10 bytes\n"));
  EXPECT_EQ(pod.requests.size(), 1u);
}

}  // namespace
}  // namespace ebb::serving
