#include "scaling/keep_alive.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace ebb::scaling {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

TEST(IdlePlan, SaysWhenItIsLoadedAndForHowLong) {
  const IdlePlan gap{
      .unload_after = minutes(1), .prewarm_at = minutes(9), .keep_until = minutes(11)};
  EXPECT_TRUE(gap.loaded_at(minutes(1)));
  EXPECT_FALSE(gap.loaded_at(minutes(2)));
  EXPECT_TRUE(gap.loaded_at(minutes(9)));
  EXPECT_TRUE(gap.loaded_at(minutes(11)));
  EXPECT_FALSE(gap.loaded_at(minutes(12)));
  EXPECT_EQ(gap.loaded_time(seconds(30)), seconds(30));
  EXPECT_EQ(gap.loaded_time(minutes(5)), minutes(1));
  EXPECT_EQ(gap.loaded_time(minutes(10)), minutes(2));
  EXPECT_EQ(gap.loaded_time(minutes(60)), minutes(3));
}

TEST(FixedKeepAlive, KeepsForItsTimeBothEndsIncluded) {
  FixedKeepAlive policy(minutes(10));
  const IdlePlan plan = policy.plan();
  EXPECT_TRUE(plan.loaded_at(minutes(10)));
  EXPECT_FALSE(plan.loaded_at(minutes(10) + Duration(1)));
  EXPECT_EQ(plan.loaded_time(minutes(4)), minutes(4));
  EXPECT_EQ(plan.loaded_time(minutes(40)), minutes(10));
}

TEST(HybridHistogram, FallsBackWhileItKnowsLittle) {
  HybridHistogram policy({.range = minutes(120), .fallback = minutes(10)});
  for (int i = 0; i < 9; ++i) {
    policy.idle_ended(minutes(30));
    EXPECT_EQ(policy.plan(), FixedKeepAlive(minutes(10)).plan()) << i;
  }
  policy.idle_ended(minutes(30));
  EXPECT_NE(policy.plan(), FixedKeepAlive(minutes(10)).plan());
}

TEST(HybridHistogram, LoadsAheadOfATimer) {
  HybridHistogram policy;
  for (int i = 0; i < 20; ++i) policy.idle_ended(minutes(30) + seconds(10));
  const IdlePlan plan = policy.plan();
  EXPECT_EQ(plan.unload_after, Duration(0));
  EXPECT_EQ(plan.prewarm_at, minutes(27));               // 0.9 * 30
  EXPECT_EQ(plan.keep_until, minutes(34) + seconds(6));  // 1.1 * 31
}

TEST(HybridHistogram, NeverUnloadsWhenTheHeadIsInTheFirstMinute) {
  HybridHistogram policy;
  for (int i = 0; i < 90; ++i) policy.idle_ended(seconds(5));
  for (int i = 0; i < 10; ++i) policy.idle_ended(minutes(19));
  const IdlePlan plan = policy.plan();
  EXPECT_FALSE(plan.has_gap());
  EXPECT_EQ(plan.keep_until, minutes(22));  // 1.1 * 20
}

TEST(HybridHistogram, FallsBackWhenIdleTimesAreSpreadOut) {
  HybridHistogram policy({.range = minutes(60)});
  for (int i = 0; i < 60; ++i) policy.idle_ended(minutes(i));
  EXPECT_EQ(policy.plan(), FixedKeepAlive(minutes(60)).plan());
}

TEST(HybridHistogram, ForecastsIdleTimesBeyondItsRange) {
  HybridHistogram policy({.range = minutes(60)});
  for (int i = 0; i < 12; ++i) policy.idle_ended(minutes(100));
  const IdlePlan plan = policy.plan();
  EXPECT_EQ(plan.prewarm_at, minutes(85));
  EXPECT_EQ(plan.keep_until, minutes(115));
  // An alternation is followed: after a long one comes a short one.
  HybridHistogram turns({.range = minutes(60)});
  for (int i = 0; i < 40; ++i) turns.idle_ended(minutes(i % 2 == 0 ? 100 : 200));
  EXPECT_TRUE(turns.plan().loaded_at(minutes(105)));
  EXPECT_FALSE(turns.plan().loaded_at(minutes(195)));
}

// The percentiles that are kept up to date are those of the sorted samples.
TEST(HybridHistogram, PercentilesAreThoseOfTheSamples) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    HybridHistogram policy({.min_variation = 0});
    std::vector<int> samples;
    std::geometric_distribution<int> gap(0.02 + 0.01 * (round % 10));
    for (int i = 0; i < 300; ++i) {
      const int sample = std::min(239, gap(random) + round);
      samples.push_back(sample);
      policy.idle_ended(minutes(sample));
      if (samples.size() < 10) continue;
      std::vector<int> sorted = samples;
      std::sort(sorted.begin(), sorted.end());
      const auto at = [&](double share) {
        const double need = share * static_cast<double>(sorted.size());
        return sorted[static_cast<size_t>(std::max(0.0, std::ceil(need - 1e-9) - 1))];
      };
      const IdlePlan plan = policy.plan();
      const double until = 1.1 * (at(0.99) + 1);
      EXPECT_NEAR(std::chrono::duration<double>(plan.keep_until).count() / 60, until, 1e-6);
      if (at(0.05) == 0) {
        EXPECT_FALSE(plan.has_gap());
      } else {
        const double from = 0.9 * at(0.05);
        EXPECT_NEAR(std::chrono::duration<double>(plan.prewarm_at).count() / 60, from, 1e-6);
      }
    }
  }
}

TEST(HybridHistogram, TakesAnyInput) {
  HybridHistogram policy({.range = Duration(0)});
  policy.idle_ended(Duration(-5));
  for (int i = 0; i < 30; ++i) policy.idle_ended(kNeverUnload);
  EXPECT_GE(policy.plan().keep_until, policy.plan().prewarm_at);
}

}  // namespace
}  // namespace ebb::scaling
