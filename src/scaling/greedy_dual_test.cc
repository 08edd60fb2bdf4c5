#include "scaling/greedy_dual.h"

#include <gtest/gtest.h>

namespace ebb::scaling {
namespace {

TEST(GreedyDual, KeepsWhatIsUsedOftenDearAndSmall) {
  const EvictionOrder order(EvictionRule::kGreedyDual);
  const InstanceUse use{.frequency = 4, .start_seconds = 2, .memory_mb = 100};
  EXPECT_DOUBLE_EQ(order.priority(use), 0.08);
  InstanceUse other = use;
  other.frequency = 5;
  EXPECT_GT(order.priority(other), order.priority(use));
  other = use;
  other.start_seconds = 3;
  EXPECT_GT(order.priority(other), order.priority(use));
  other = use;
  other.memory_mb = 200;
  EXPECT_LT(order.priority(other), order.priority(use));
}

TEST(GreedyDual, EvictionsRaiseTheClockSoThatOldWorthFades) {
  EvictionOrder order(EvictionRule::kGreedyDual);
  const InstanceUse dear{.frequency = 10, .start_seconds = 1, .memory_mb = 10};  // worth 1
  const InstanceUse cheap{.frequency = 1, .start_seconds = 1, .memory_mb = 10};  // worth 0.1
  const double once = order.priority(dear);
  order.evicted(0.95);
  EXPECT_GT(order.priority(cheap), once);  // newer, though worth less
  order.evicted(0.5);                      // the clock never goes back
  EXPECT_DOUBLE_EQ(order.clock(), 0.95);
  EXPECT_DOUBLE_EQ(order.priority(dear, 0), once);  // of a use before those
}

TEST(GreedyDual, OtherRulesLeaveOutAPart) {
  const InstanceUse use{.at_seconds = 50, .frequency = 4, .start_seconds = 2, .memory_mb = 100};
  EXPECT_DOUBLE_EQ(EvictionOrder(EvictionRule::kFrequency).priority(use), 8);
  EXPECT_DOUBLE_EQ(EvictionOrder(EvictionRule::kSize).priority(use), 0.01);
  EXPECT_DOUBLE_EQ(EvictionOrder(EvictionRule::kLandlord).priority(use), 0.02);
  EXPECT_DOUBLE_EQ(EvictionOrder(EvictionRule::kLru).priority(use), 50);
}

TEST(GreedyDual, NoMemoryAndNegativeCostsAreNoTrap) {
  const EvictionOrder order(EvictionRule::kGreedyDual);
  EXPECT_EQ(order.priority({.start_seconds = -1, .memory_mb = 0}), 0);
}

TEST(GreedyDual, RulesHaveNames) {
  for (const char* name : {"greedy-dual", "frequency", "size", "landlord", "lru"}) {
    const auto rule = eviction_rule(name);
    ASSERT_TRUE(rule) << name;
    EXPECT_STREQ(to_string(*rule), name);
  }
  EXPECT_FALSE(eviction_rule("fifo"));
}

}  // namespace
}  // namespace ebb::scaling
