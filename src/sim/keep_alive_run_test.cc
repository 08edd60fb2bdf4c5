#include "sim/keep_alive_run.h"

#include <gtest/gtest.h>

#include <chrono>

namespace ebb::sim {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

KeepAliveMaker fixed(Duration keep) {
  return [keep](const Function&) { return std::make_unique<scaling::FixedKeepAlive>(keep); };
}

// One function called at the given seconds, for `service` each; the trace is an hour.
Trace calls_at_seconds(std::initializer_list<int> starts, Duration service) {
  TraceBuilder builder;
  const auto f = builder.function({.name = "f", .memory_mb = 10});
  for (const int start : starts) builder.call(f, seconds(start), service);
  return *std::move(builder).build(std::chrono::hours(1));
}

TEST(KeepAliveRun, OneInstanceByHand) {
  // Idle 59 s: warm; 9 min 59 s: warm; just over 10 min: cold.
  const Trace trace = calls_at_seconds({0, 60, 660, 1262}, seconds(1));
  const auto result =
      run_keep_alive(trace, {.policy = fixed(minutes(10)), .arrivals = {}, .one_instance = true});
  EXPECT_EQ(result.calls, 4);
  EXPECT_EQ(result.cold, 2);
  EXPECT_DOUBLE_EQ(result.idle_seconds, 59 + 599 + 600 + 600);
  EXPECT_DOUBLE_EQ(result.idle_mb_seconds, 10 * result.idle_seconds);
  EXPECT_DOUBLE_EQ(result.busy_mb_seconds, 40);
  EXPECT_FLOAT_EQ(static_cast<float>(result.cold_share_at(0.5)), 0.5F);
}

TEST(KeepAliveRun, OverlappingCallsNeedAnInstanceEach) {
  // Three at once, then two when all three are idle, then one much later.
  const Trace trace = calls_at_seconds({0, 0, 0, 100, 100, 2000}, seconds(10));
  const auto many = run_keep_alive(trace, {.policy = fixed(minutes(10)), .arrivals = {}});
  EXPECT_EQ(many.cold, 4);
  // Two waited 90 s; the third its 600 s; then two for 600 s; the last 600 s.
  EXPECT_DOUBLE_EQ(many.idle_seconds, 2 * 90 + 600 + 2 * 600 + 600);
  const auto one =
      run_keep_alive(trace, {.policy = fixed(minutes(10)), .arrivals = {}, .one_instance = true});
  EXPECT_EQ(one.cold, 2);
}

TEST(KeepAliveRun, IdleTimeEndsWithTheTrace) {
  const Trace trace = calls_at_seconds({3000}, seconds(100));
  const auto result = run_keep_alive(trace, {.policy = fixed(minutes(30)), .arrivals = {}});
  EXPECT_DOUBLE_EQ(result.idle_seconds, 500);
}

TEST(KeepAliveRun, AColdStartKeepsTheInstanceBusyLonger) {
  const Trace trace = calls_at_seconds({0, 5}, seconds(1));
  const auto quick = run_keep_alive(trace, {.policy = fixed(minutes(1)), .arrivals = {}});
  EXPECT_EQ(quick.cold, 1);
  const auto slow = run_keep_alive(
      trace, {.policy = fixed(minutes(1)), .arrivals = {}, .cold_start = seconds(10)});
  EXPECT_EQ(slow.cold, 2);  // the first one still starts when the second comes
}

// A timer each 30 min: after ten idle times are known it is loaded just ahead.
TEST(KeepAliveRun, HybridLoadsATimerAhead) {
  TraceBuilder builder;
  const auto f = builder.function({.name = "timer"});
  for (int i = 0; i < 40; ++i) builder.call(f, minutes(30 * i), Duration(0));
  const Trace trace = *std::move(builder).build();
  const auto hybrid =
      run_keep_alive(trace, {.policy =
                                 [](const Function&) {
                                   return std::make_unique<scaling::HybridHistogram>(
                                       scaling::HybridSettings{.fallback = minutes(10)});
                                 },
                             .arrivals = {}});
  const auto ten = run_keep_alive(trace, {.policy = fixed(minutes(10)), .arrivals = {}});
  EXPECT_EQ(ten.cold, 40);
  EXPECT_EQ(hybrid.cold, 11);
  EXPECT_EQ(hybrid.prewarms, 29);
  EXPECT_LT(hybrid.idle_seconds, ten.idle_seconds);
}

TEST(KeepAliveRun, UntilLeavesLaterCallsOut) {
  const Trace trace = calls_at_seconds({0, 60, 660, 1262}, seconds(1));
  const auto result =
      run_keep_alive(trace, {.policy = fixed(minutes(10)), .arrivals = {.until = seconds(600)}});
  EXPECT_EQ(result.calls, 2);
  EXPECT_DOUBLE_EQ(result.idle_seconds, 59 + 539);
}

}  // namespace
}  // namespace ebb::sim
