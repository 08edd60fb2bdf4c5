#include "sim/memory_run.h"

#include <gtest/gtest.h>

#include <chrono>

namespace ebb::sim {
namespace {

using scaling::EvictionRule;
using std::chrono::minutes;
using std::chrono::seconds;

// Functions of 100 MB that take 1 s warm and 3 s cold.
class MemoryRun : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"a", "b", "c"}) {
      (void)builder_.function({.name = name, .memory_mb = 100, .mean_ms = 1000, .max_ms = 3000});
    }
  }
  void call(FunctionId function, int second) {
    builder_.call(function, seconds(second), Duration(-1));
  }
  MemoryResult run(const MemoryOptions& options) {
    return run_memory(*std::move(builder_).build(), options);
  }
  TraceBuilder builder_;
};

TEST_F(MemoryRun, WithRoomForAllOnlyFirstCallsAreCold) {
  for (int i = 0; i < 5; ++i) {
    for (FunctionId f = 0; f < 3; ++f) call(f, 100 * i);
  }
  const auto result = run({.memory_mb = 300});
  EXPECT_EQ(result.calls, 15);
  EXPECT_EQ(result.cold, 3);
  EXPECT_EQ(result.evictions, 0);
  EXPECT_DOUBLE_EQ(result.warm_seconds, 15);
  EXPECT_DOUBLE_EQ(result.added_seconds, 6);
  EXPECT_DOUBLE_EQ(result.added_share(), 0.4);
  EXPECT_DOUBLE_EQ(result.peak_mb, 300);
}

TEST_F(MemoryRun, TheLeastRecentlyUsedGoes) {
  call(0, 0);
  call(1, 10);
  call(0, 20);
  call(2, 30);  // evicts b
  call(0, 40);  // warm
  call(1, 50);  // cold; evicts c
  const auto result = run({.memory_mb = 200, .rule = EvictionRule::kLru});
  EXPECT_EQ(result.cold, 4);
  EXPECT_EQ(result.evictions, 2);
}

TEST_F(MemoryRun, GreedyDualKeepsWhatIsCalledOften) {
  for (int i = 0; i < 5; ++i) call(0, 10 * i);
  call(1, 60);
  call(2, 70);  // evicts b though a is the older one
  call(0, 80);
  const auto result = run({.memory_mb = 200});
  EXPECT_EQ(result.cold, 3);
}

TEST_F(MemoryRun, BusyInstancesAreNotEvictedAndCallsDrop) {
  call(0, 0);
  call(0, 1);  // the first still starts
  call(1, 2);  // no room, nothing idle
  call(1, 9);
  const auto result = run({.memory_mb = 200});
  EXPECT_EQ(result.dropped, 1);
  EXPECT_EQ(result.cold, 3);
  EXPECT_EQ(result.evictions, 1);
}

TEST_F(MemoryRun, KeepEndsIdleInstances) {
  call(0, 0);
  call(0, 603);   // 10 min after its end: still there
  call(0, 1205);  // 601 s after
  const auto result = run({.memory_mb = 300, .rule = EvictionRule::kLru, .keep = minutes(10)});
  EXPECT_EQ(result.cold, 2);
}

}  // namespace
}  // namespace ebb::sim
