#include "scaling/knative_zero.h"

#include <gtest/gtest.h>

#include "scaling/knative_capacity.h"

namespace ebb::scaling {
namespace {

using std::chrono::seconds;

ZeroState inactive(int for_seconds, int proxy_seconds, bool probe = true) {
  return {.active = Active::kFalse,
          .active_for = seconds(for_seconds),
          .proxy = true,
          .proxy_for = seconds(proxy_seconds),
          .probe = probe};
}

TEST(KnativeZeroTest, OnlyAWishForZeroIsLookedAt) {
  const ZeroStep step = knative_zero_step({}, {.desired = 3});
  EXPECT_EQ(step.desired, 3);
  EXPECT_TRUE(step.apply);
  const ZeroStep off = knative_zero_step({.enabled = false}, inactive(100, 100));
  EXPECT_EQ(off.desired, 1);
  EXPECT_TRUE(off.apply);
}

TEST(KnativeZeroTest, AStartIsGivenUpAfterItsDeadline) {
  ZeroState state{.active = Active::kUnknown, .active_for = seconds(630)};
  ZeroStep step = knative_zero_step({}, state);
  EXPECT_EQ(step.desired, ZeroStep::kUnknown);
  EXPECT_FALSE(step.apply);
  EXPECT_EQ(step.requeue, seconds(630));
  state.active_for = seconds(631);
  step = knative_zero_step({}, state);
  EXPECT_EQ(step.desired, 0);
  EXPECT_TRUE(step.apply);
}

TEST(KnativeZeroTest, AnActiveRevisionKeepsOnePodForItsWindow) {
  ZeroState state{.active_for = seconds(10)};
  ZeroStep step = knative_zero_step({}, state);
  EXPECT_EQ(step.desired, 1);
  EXPECT_TRUE(step.apply);
  EXPECT_EQ(step.requeue, seconds(50));
  state.active_for = seconds(60);
  step = knative_zero_step({}, state);
  EXPECT_EQ(step.desired, 0);
  EXPECT_FALSE(step.apply);
  EXPECT_FALSE(step.requeue);
  state.proxy = true;
  EXPECT_EQ(knative_zero_step({}, state).requeue, seconds(3));
}

TEST(KnativeZeroTest, ThePodsGoOnceTheActivatorHasBeenInThePathForTheGrace) {
  EXPECT_EQ(knative_zero_step({}, inactive(5, 5)).requeue, seconds(25));
  EXPECT_TRUE(knative_zero_step({}, inactive(5, 30)).apply);
  EXPECT_TRUE(knative_zero_step({}, inactive(30, 1)).apply);
  const ZeroStep unseen = knative_zero_step({}, inactive(31, 31, false));
  EXPECT_FALSE(unseen.apply);
  EXPECT_TRUE(unseen.probed);
  EXPECT_TRUE(unseen.async_probe);
  const ZeroStep unlimited = knative_zero_step({.burst_unlimited = true}, inactive(31, 31, false));
  EXPECT_TRUE(unlimited.apply);
  EXPECT_FALSE(unlimited.probed);
}

TEST(KnativeZeroTest, RetentionIsWaitedForWhereARouteLeads) {
  ZeroSettings settings{.retention = seconds(120)};
  EXPECT_EQ(knative_zero_step(settings, inactive(100, 1000)).requeue, seconds(20));
  EXPECT_TRUE(knative_zero_step(settings, inactive(120, 1000)).apply);
  settings.reachable = false;
  EXPECT_TRUE(knative_zero_step(settings, inactive(10, 1000)).apply);
  // A retention below the grace is over first; then the proxy's time counts.
  settings = {.retention = seconds(10)};
  EXPECT_EQ(knative_zero_step(settings, inactive(12, 20)).requeue, seconds(10));
}

TEST(KnativeCapacityTest, BurstBeforeAndAfterTheFirstMetric) {
  EXPECT_EQ(initial_burst_capacity({}, 1), -111);
  EXPECT_EQ(initial_burst_capacity({.total = 0.5}, 1), -210);  // cut, not rounded down
  EXPECT_EQ(initial_burst_capacity({.burst = 0}, 1), 0);
  EXPECT_EQ(initial_burst_capacity({.burst = -1}, 1), -1);
  EXPECT_EQ(excess_burst_capacity({}, 2, 140), -151);
  EXPECT_EQ(excess_burst_capacity({.total = 0.5}, 1, 0), -211);
}

TEST(KnativeCapacityTest, Activators) {
  EXPECT_EQ(num_activators({}, 1, 100), 4);               // (100 + 211) / 100
  EXPECT_EQ(num_activators({.burst = 0}, 1000, 100), 2);  // not in the path
  EXPECT_EQ(num_activators({.burst = -1}, 7, 100), 7);
  EXPECT_EQ(num_activators({.burst = -1}, 0, 100), 2);
}

TEST(KnativeCapacityTest, Samples) {
  EXPECT_EQ(sample_size(-5), 0);
  EXPECT_EQ(sample_size(3), 3);
  EXPECT_EQ(sample_size(10), 7);
  EXPECT_EQ(sample_size(1000), 16);
}

}  // namespace
}  // namespace ebb::scaling
