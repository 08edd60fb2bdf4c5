// How long a request may take, and bodies that do not come, or not at once.
#include "serving/gateway_fixture.h"

namespace ebb::serving {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
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
  EXPECT_THAT(metrics_.exposition(), HasSubstr("ebb_pods_hung_total{"));
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
    (void)run(send(stream, text));
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
    (void)run(send(stream, text));
    EXPECT_THAT(run(read_up_to(stream, "\r\n\r\n")), StartsWith("HTTP/1.1 504 "));
    EXPECT_LT(executor_.now() - begun, 10s) << "the server's own patience is 30 s";
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

}  // namespace
}  // namespace ebb::serving
