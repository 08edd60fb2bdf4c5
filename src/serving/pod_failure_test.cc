#include "serving/pod_failure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace ebb::serving {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StrEq;

TEST(LateAnswer, NamesTheSettingThatWasReached) {
  using Bound = LateAnswer::Bound;
  const auto text = [](Bound bound, Duration allowed) {
    return late_answer("hello", {.bound = bound, .allowed = allowed}).answer.text;
  };
  EXPECT_THAT(text(Bound::kWhole, 30s),
              StrEq("function hello did not answer within 30 s (timeoutSeconds)"));
  EXPECT_THAT(
      text(Bound::kFirstByte, 1500ms),
      StrEq("function hello did not begin to answer within 1.5 s (responseStartTimeoutSeconds)"));
  EXPECT_THAT(text(Bound::kSilence, 2s),
              StrEq("function hello did not begin to answer within 2 s (idleTimeoutSeconds)"));
}

TEST(LateAnswer, IsTheFunctionsOnlyIfTheTimeWasItsOwn) {
  const PodFailure own = late_answer("hello", {.allowed = 1s});
  EXPECT_THAT(own.event, StrEq("RequestTimedOut"));
  EXPECT_EQ(own.answer.why, Refusal::kTimeout);
  EXPECT_EQ(own.answer.status, 504);
  EXPECT_EQ(late_answer("hello", {.allowed = 1s, .was_pods_turn = false}).event, nullptr);
  const PodFailure queued = late_answer("hello", {.allowed = 1s, .waited_for_pod = 800ms});
  EXPECT_EQ(queued.event, nullptr);
  EXPECT_THAT(queued.answer.text, HasSubstr("the request waited 0.800 s for a pod"));
}

TEST(BadAnswer, SaysWhatIsWrongWithIt) {
  const PodFailure large = bad_answer("hello", http::HttpError::kHeadTooLarge);
  EXPECT_THAT(large.answer.text, HasSubstr("whose head is larger than"));
  EXPECT_EQ(large.answer.status, 502);
  EXPECT_EQ(large.answer.why, Refusal::kBadAnswer);
  EXPECT_THAT(large.event, StrEq("BadAnswer"));
  EXPECT_THAT(bad_answer("hello", http::HttpError::kMalformed).answer.text,
              StrEq("function hello gave an answer that is not valid HTTP"));
}

TEST(CutAnswer, IsToldOfWhereTheFunctionIsAtFaultAndNothingElseTells) {
  const auto timed = cut_answer("hello", Cut::kTimeout, 30s);
  ASSERT_TRUE(timed);
  EXPECT_THAT(timed->reason, StrEq("RequestTimedOut"));
  EXPECT_EQ(timed->text, "function hello did not end its answer within 30 s (timeoutSeconds)");
  EXPECT_THAT(cut_answer("hello", Cut::kIdleTimeout, 2s)->text, HasSubstr("was silent for 2 s"));
  EXPECT_THAT(cut_answer("hello", Cut::kBadAnswer, {})->reason, StrEq("BadAnswer"));
  for (const Cut why : {Cut::kClientLeft, Cut::kClientFailed, Cut::kSlowClient, Cut::kPodFailed,
                        Cut::kPodDrained, Cut::kShutdown}) {
    EXPECT_FALSE(cut_answer("hello", why, {})) << to_string(why);
  }
}

TEST(BrokenConnection, SaysHowThePodEnded) {
  const PodFailure alive = broken_connection("hello", std::nullopt);
  EXPECT_THAT(alive.answer.text, StrEq("function hello closed the connection without an answer"));
  EXPECT_THAT(alive.event, StrEq("NoAnswer"));

  scheduling::PodExit exit{.reason = "OOMKilled", .message = "out of memory", .was_ready = true};
  const PodFailure killed = broken_connection("hello", exit);
  EXPECT_THAT(killed.answer.text, StrEq("function hello failed: out of memory"));
  EXPECT_EQ(killed.answer.status, 502);
  EXPECT_EQ(killed.answer.why, Refusal::kPodFailed);
  EXPECT_EQ(killed.event, nullptr) << "the pod's end has an event of its own";

  exit.message.clear();
  EXPECT_THAT(broken_connection("hello", exit).answer.text, HasSubstr("its pod was stopped"));

  exit = {.reason = "LoadFailed", .message = "SyntaxError", .was_ready = false};
  const PodFailure unready = broken_connection("hello", exit);
  EXPECT_THAT(unready.answer.text, StrEq("function hello failed to start: SyntaxError"));
  EXPECT_EQ(unready.answer.status, 503);
  EXPECT_EQ(unready.answer.retry_after_s, 1);
  EXPECT_EQ(unready.answer.why, Refusal::kStartFailed);
}

TEST(Refusal, EveryOneHasANameOfItsOwn) {
  std::set<std::string_view> names(kRefusalNames.begin(), kRefusalNames.end());
  EXPECT_EQ(names.size(), kRefusalNames.size());
  EXPECT_EQ(to_string(Refusal::kBadRequest), "bad_request");
  EXPECT_EQ(to_string(Refusal::kQueueShare), "queue_share");
  EXPECT_EQ(to_string(Refusal::kClientLeft), "client_left");
  EXPECT_EQ(to_string(Refusal::kTimeout), "timeout");
  EXPECT_EQ(to_string(Refusal::kShortOfDescriptors), "short_of_descriptors");
}

}  // namespace
}  // namespace ebb::serving
