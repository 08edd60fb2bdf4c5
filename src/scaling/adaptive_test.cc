#include "scaling/adaptive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scaling/kpa.h"
#include "scaling/testing.h"

namespace ebb::scaling {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

TimePoint at(double t) { return kStart + milliseconds(static_cast<int64_t>(t * 1000)); }

static_assert(sizeof(Adaptive) <= 1024);

// Seconds of a load that pods of one slot carry: `rate` requests a second of 0.1 s.
void feed(Policy& policy, int from, int to, double rate) {
  for (int t = from; t <= to; ++t) {
    policy.observe({.at = at(t),
                    .concurrency = rate / 10,
                    .requests = rate,
                    .ended = rate,
                    .service_seconds = rate / 10});
  }
}

Situation calm(double t, int ready, Duration start = seconds(2)) {
  return {.now = at(t), .ready = ready, .pod_concurrency = 1, .start_time = start};
}

TEST(AdaptiveTest, StaffsByQueueingWhereAStartIsSlow) {
  Adaptive few({.wait = Duration(0), .patience = 0});
  feed(few, 1, 60, 10);  // a load of 1
  EXPECT_EQ(few.decide(calm(60, 5)).desired, 5);
  Adaptive many({.wait = Duration(0), .patience = 0});
  feed(many, 1, 60, 1000);  // a load of 100
  const Decision d = many.decide(calm(60, 130));
  EXPECT_GT(d.desired, 100);
  EXPECT_LT(d.desired, 143);  // which is 70 %
  EXPECT_THAT(d.reason, HasSubstr("steady load 100.00, 1 a pod, at most 1 % wait over 0 ms -> "));
}

TEST(AdaptiveTest, HoldsNoSpareWhereAStartIsQuickerThanTheWait) {
  Adaptive policy({});
  feed(policy, 1, 60, 100);
  EXPECT_EQ(policy.decide(calm(60, 10, milliseconds(2))).desired, 10);
  Adaptive slow({});
  feed(slow, 1, 60, 100);
  EXPECT_GT(slow.decide(calm(60, 10, seconds(2))).desired, 10);
}

// A load of 0.3 by requests of 5 s each: a second pod would stand by for a wait that is
// short beside the request.
TEST(AdaptiveTest, LongRequestsArePatient) {
  const auto long_requests = [](Adaptive& policy) {
    for (int t = 1; t <= 120; ++t) {
      const double ended = t % 17 == 0 ? 1 : 0;
      policy.observe({.at = at(t),
                      .concurrency = 0.3,
                      .requests = ended,
                      .ended = ended,
                      .service_seconds = 5 * ended});
    }
    return policy.decide(calm(120, 1)).desired;
  };
  Adaptive patient({});
  EXPECT_EQ(long_requests(patient), 1);
  Adaptive impatient({.patience = 0});
  EXPECT_GT(long_requests(impatient), 1);
}

// Ten that arrive in one second and stay ten minutes each are ten, not 6000.
TEST(AdaptiveTest, ABurstOfLongRequestsIsNoLoadToCome) {
  Adaptive policy({.window = seconds(6)});
  for (int t = 1; t <= 30; ++t) {
    policy.observe({.at = at(t), .concurrency = 1, .ended = 1.0 / 30, .service_seconds = 20});
  }
  policy.observe({.at = at(31), .concurrency = 6, .requests = 10});
  Situation now = calm(31, 11);
  now.in_flight = 11;
  EXPECT_GE(policy.decide(now).desired, 11);
  EXPECT_LE(policy.decide(now).desired, 15);
}

TEST(AdaptiveTest, PodsOfManySlotsShareThem) {
  Adaptive policy({});
  feed(policy, 1, 60, 1000);
  Situation situation = calm(60, 2);
  situation.pod_concurrency = 100;
  EXPECT_EQ(policy.decide(situation).desired, 2);  // 100 busy slots of 200
  situation.pod_concurrency = 0;                   // the target stands in
  EXPECT_EQ(policy.decide(situation).desired, 2);
}

TEST(AdaptiveTest, AQueueDoesNotInflateTheLoad) {
  Adaptive policy({});
  for (int t = 1; t <= 30; ++t) {
    // Two pods are full and the queue grows, while 15 requests of 0.1 s come a second.
    policy.observe({.at = at(t),
                    .concurrency = 2.0 + 5 * t,
                    .requests = 15,
                    .queued = 5.0 * t,
                    .ended = 10,
                    .service_seconds = 1});
  }
  EXPECT_NEAR(policy.decide(calm(30, 2, milliseconds(2))).stable, 2, 0.01);
}

// What spans many seconds is as many samples: the simulator skips silence so.
TEST(AdaptiveTest, OneLongSilenceIsManyShortOnes) {
  Adaptive one({});
  Adaptive many({});
  feed(one, 1, 30, 50);
  feed(many, 1, 30, 50);
  feed(many, 31, 60, 0);
  one.observe({.at = at(60), .period = seconds(30)});
  const Decision a = one.decide(calm(60, 9));
  const Decision b = many.decide(calm(60, 9));
  EXPECT_EQ(a.desired, b.desired);
  EXPECT_NEAR(a.stable, b.stable, 1e-9);
  EXPECT_NEAR(a.panic_value, b.panic_value, 1e-9);
  EXPECT_EQ(a.reason, b.reason);
}

// 20 ms of a second in which one came are no 50 requests a second.
TEST(AdaptiveTest, APartOfASecondIsNoRate) {
  Adaptive policy({});
  policy.observe({.at = at(1), .period = milliseconds(20), .concurrency = 1, .requests = 50});
  const Decision d = policy.decide(calm(1, 1));
  EXPECT_EQ(d.desired, 1);
  EXPECT_NEAR(d.stable, 0, 1e-9);
}

TEST(AdaptiveTest, AnswersAnEventBetweenTicks) {
  Adaptive policy({});
  Decision d = policy.decide({.now = at(0.137), .waiting = 1, .pod_concurrency = 1});
  EXPECT_TRUE(d.valid);
  EXPECT_EQ(d.desired, 1);
  d = policy.decide(
      {.now = at(0.14), .ready = 1, .in_flight = 1, .waiting = 3, .pod_concurrency = 1});
  EXPECT_EQ(d.desired, 4);
  EXPECT_TRUE(d.panic);
  EXPECT_EQ(d.reason, "1 in pods and 3 waiting now -> 4");
}

TEST(AdaptiveTest, OneStartPerNeed) {
  Adaptive policy({});
  const Situation two{.now = at(1), .starting = 2, .waiting = 2, .pod_concurrency = 1};
  EXPECT_EQ(policy.decide(two).desired, 2);  // those on the way will do
}

TEST(AdaptiveTest, WaitsForABusyPodWhereThatIsSoonerThanAStart) {
  Adaptive policy({});
  feed(policy, 1, 10, 20);  // a request takes 0.1 s
  Situation crowd{.now = at(10),
                  .ready = 8,
                  .in_flight = 8,
                  .waiting = 8,
                  .pod_concurrency = 1,
                  .start_time = seconds(1)};
  EXPECT_EQ(policy.decide(crowd).desired, 8);  // 80 are served while a pod starts
  crowd.start_time = milliseconds(10);
  EXPECT_GT(policy.decide(crowd).desired, 14);
}

TEST(AdaptiveTest, LessMustLastForTheWindow) {
  Adaptive policy({.window = seconds(10)});
  feed(policy, 1, 60, 300);
  const int high = policy.decide(calm(60, 40)).desired;
  feed(policy, 61, 69, 50);
  const Decision held = policy.decide(calm(69, high));
  EXPECT_EQ(held.desired, high);
  EXPECT_THAT(held.reason, HasSubstr("for the window"));
  int desired = high;
  for (int t = 70; t <= 100; ++t) {
    feed(policy, t, t, 50);
    const int next = policy.decide(calm(t, desired)).desired;
    EXPECT_LE(next, desired);
    desired = next;
  }
  EXPECT_LT(desired, 15);
  EXPECT_GE(desired, 5);
}

TEST(AdaptiveTest, WindowsOfASecondGoToZeroInASecond) {
  Adaptive policy({.window = seconds(1)});
  feed(policy, 1, 5, 10);
  EXPECT_GE(policy.decide(calm(5.9, 1)).desired, 1);
  EXPECT_GE(policy.decide(calm(6, 1)).desired, 1) << "nobody has measured that it rests";
  feed(policy, 6, 6, 0);
  EXPECT_EQ(policy.decide(calm(6, 1)).desired, 0);
}

TEST(AdaptiveTest, ARestIsNotALoad) {
  Adaptive policy({});
  feed(policy, 1, 100, 1000);
  feed(policy, 101, 161, 0);
  EXPECT_EQ(policy.decide(calm(161, 100)).desired, 0);
  // An hour later, and one request: one pod.
  const Decision d = policy.decide(
      {.now = at(3761), .waiting = 1, .pod_concurrency = 1, .start_time = seconds(2)});
  EXPECT_EQ(d.desired, 1);
}

TEST(AdaptiveTest, ComingBackSoonAfterZeroKeepsThePodNextTime) {
  Adaptive policy({.window = seconds(60)});
  int starts = 0;
  int pods = 0;
  for (int t = 0; t < 900; ++t) {
    const bool call = t % 75 == 0;  // a little more than the window
    policy.observe({.at = at(t),
                    .concurrency = call ? 0.1 : 0.0,
                    .requests = call ? 1.0 : 0.0,
                    .ended = call ? 1.0 : 0.0,
                    .service_seconds = call ? 0.1 : 0.0});
    const int next = policy.decide(calm(t, pods)).desired;
    if (pods == 0 && next > 0) ++starts;
    pods = next;
  }
  EXPECT_EQ(starts, 2);  // at first, and once too early
  EXPECT_GT(policy.idle_time(), seconds(75));
  // A rest far longer than anyone would wait for ends that.
  feed(policy, 5000, 5000, 1);
  EXPECT_EQ(policy.idle_time(), seconds(60));
}

TEST(AdaptiveTest, KnowsNothingWithoutMetrics) {
  Adaptive policy({.window = seconds(60)});
  EXPECT_FALSE(policy.decide(calm(1, 3)).valid);
  feed(policy, 1, 10, 10);
  EXPECT_TRUE(policy.decide(calm(70, 3)).valid);
  EXPECT_FALSE(policy.decide(calm(71, 3)).valid);
}

TEST(AdaptiveTest, PodsWithABillionSlotsCostNoTime) {
  Adaptive policy({.target = 1e9, .wait = milliseconds(1), .patience = 0});
  feed(policy, 1, 60, 10);
  Situation slow = calm(60, 1, seconds(20));
  slow.pod_concurrency = 0;
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(policy.decide(slow).desired, 1);
  // Milliseconds. One slot at a time it would take minutes.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(10));
}

// --- In a loop, beside Knative's rule ---

KpaSettings one_at_a_time() {
  KpaSettings settings;
  settings.set_target({.container_concurrency = 1});
  return settings;
}

TEST(AdaptiveLoopTest, DropsNothingWhileLoadStillRises) {
  const auto ramp = [](double t) { return 2 * t; };  // 0.2 busy pods more a second
  const auto drops = [](const ClosedLoop& loop) {
    int count = 0;
    for (size_t i = 1; i < loop.history().size(); ++i) {
      if (loop.history()[i] < loop.history()[i - 1]) ++count;
    }
    return count;
  };
  Adaptive adaptive({});
  ClosedLoop ours(adaptive, {.events = true});
  ours.run(seconds(200), ramp);
  EXPECT_EQ(drops(ours), 0);
  EXPECT_GE(ours.pods(), 40);
  Kpa kpa(one_at_a_time(), 0, kStart);
  ClosedLoop knatives(kpa, {});
  knatives.run(seconds(200), ramp);
  EXPECT_GT(drops(knatives), 0);
}

TEST(AdaptiveLoopTest, SlowStartersAreNotOvershot) {
  const auto step = [](double t) { return t < 60 ? 5.0 : 50.0; };  // 0.5, then 5 busy pods
  Adaptive adaptive({});
  ClosedLoop ours(adaptive, {.start = seconds(20), .events = true});
  ours.run(seconds(300), step);
  Kpa kpa(one_at_a_time(), 0, kStart);
  ClosedLoop knatives(kpa, {.start = seconds(20)});
  knatives.run(seconds(300), step);
  EXPECT_LE(ours.most_pods(), 12);
  EXPECT_GT(knatives.most_pods(), 4 * ours.most_pods());
  EXPECT_EQ(ours.waited(seconds(20)), 0);
  RecordProperty("most_pods", ours.most_pods());
  RecordProperty("most_pods_kpa", knatives.most_pods());
}

TEST(AdaptiveLoopTest, OneCallIsOnePodHoweverLongItStarts) {
  for (const Duration start : {milliseconds(10), milliseconds(2000), milliseconds(20'000)}) {
    for (const Duration service : {milliseconds(10), milliseconds(3000), milliseconds(100'000)}) {
      Adaptive adaptive({});
      ClosedLoop loop(adaptive, {.start = start, .service = service, .events = true});
      loop.run(seconds(200), [](double t) { return t > 1.5 && t <= 2.5 ? 1.0 : 0.0; });
      EXPECT_EQ(loop.served(), 1);
      EXPECT_EQ(loop.most_pods(), 1);
    }
  }
}

TEST(AdaptiveLoopTest, ABurstOnQuickStartersWaitsNoLongerThanPromised) {
  const auto bursts = [](double t) { return static_cast<int>(t) % 30 == 0 ? 200.0 : 20.0; };
  Adaptive adaptive({});
  ClosedLoop ours(adaptive, {.start = milliseconds(10), .events = true});
  ours.run(seconds(300), bursts);
  EXPECT_LE(ours.waited(milliseconds(100)), 0.01);
  Kpa kpa(one_at_a_time(), 0, kStart);
  ClosedLoop knatives(kpa, {.start = milliseconds(10)});
  knatives.run(seconds(300), bursts);
  EXPECT_GT(knatives.waited(milliseconds(100)), ours.waited(milliseconds(100)));
}

TEST(AdaptiveLoopTest, EveryRequestIsServedAndZeroIsReached) {
  Adaptive adaptive({.window = seconds(5)});
  ClosedLoop loop(adaptive, {.events = true});
  loop.run(seconds(60), [](double t) { return t < 30 ? 40.0 : 0.0; });
  EXPECT_NEAR(static_cast<double>(loop.served()), 1200, 2);
  EXPECT_EQ(loop.pods(), 0);
}

}  // namespace
}  // namespace ebb::scaling
