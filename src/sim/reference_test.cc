// The simulator's figures on a day of 1350 functions of Azure's 2019 trace beside those
// of an independent first-order model (execution time 0, one instance per function).
#include <gtest/gtest.h>

#include <cstdlib>

#include "sim/keep_alive_run.h"
#include "sim/memory_run.h"
#include "sim/trace_files.h"

namespace ebb::sim {
namespace {

using scaling::FixedKeepAlive;
using scaling::HybridHistogram;
using std::chrono::minutes;

constexpr double kTolerance = 0.02;

class Reference : public testing::Test {
 protected:
  void SetUp() override {
    const char* shared = std::getenv("EBB_SHARED");
    if (shared == nullptr) GTEST_SKIP() << "set EBB_SHARED to the folder that holds traces";
    auto opened = open_trace(std::string(shared) + "/traces/azure2019/1350_inv.csv");
    ASSERT_TRUE(opened) << opened.error().message;
    trace_ = *std::move(opened);
  }

  [[nodiscard]] KeepAliveResult run(KeepAliveMaker policy) const {
    return run_keep_alive(trace_,
                          {.policy = std::move(policy),
                           .arrivals = {.spread = Spread::kStart, .service = Service::kZero},
                           .one_instance = true});
  }
  [[nodiscard]] KeepAliveResult fixed(Duration keep) const {
    return run([keep](const Function&) { return std::make_unique<FixedKeepAlive>(keep); });
  }
  [[nodiscard]] KeepAliveResult hybrid(Duration range, Duration fallback) const {
    return run([=](const Function&) {
      return std::make_unique<HybridHistogram>(
          scaling::HybridSettings{.range = range, .fallback = fallback});
    });
  }

  Trace trace_;
};

struct Row {
  const char* name;
  Duration keep;      // or the histogram's range
  Duration fallback;  // < 0: fixed
  double cold;
  double p50;
  double p75;
  double waste;  // over that of 10 minutes
};

constexpr Duration kFixed{-1};
constexpr Row kRows[] = {
    {"fixed-10", minutes(10), kFixed, 11850, 36.4, 100, 1.000},
    {"fixed-20", minutes(20), kFixed, 6309, 20.0, 83.3, 1.129},
    {"fixed-60", minutes(60), kFixed, 2994, 7.4, 66.7, 1.387},
    {"fixed-120", minutes(120), kFixed, 2129, 4.2, 40.0, 1.574},
    {"fixed-240", minutes(240), kFixed, 1661, 3.6, 33.3, 1.795},
    {"no unload", scaling::kNeverUnload, kFixed, 1350, 2.7, 25.0, 2.544},
    {"hybrid-60", minutes(60), Duration(0), 4878, 8.9, 66.7, 0.955},
    {"hybrid-120", minutes(120), Duration(0), 4034, 7.0, 40.0, 1.111},
    {"hybrid-240", minutes(240), Duration(0), 3615, 6.2, 33.3, 1.288},
    {"hybrid-240, fallback 10", minutes(240), minutes(10), 6035, 14.3, 100, 0.885},
};

TEST_F(Reference, KeepAliveFiguresAreWithinTwoPercent) {
  const double base = fixed(minutes(10)).idle_seconds;
  for (const Row& row : kRows) {
    const auto result =
        row.fallback < Duration(0) ? fixed(row.keep) : hybrid(row.keep, row.fallback);
    EXPECT_EQ(result.calls, 927272) << row.name;
    EXPECT_NEAR(static_cast<double>(result.cold) / row.cold, 1, kTolerance)
        << row.name << " " << result.cold;
    EXPECT_NEAR(result.idle_seconds / base / row.waste, 1, kTolerance)
        << row.name << " " << result.idle_seconds / base;
    EXPECT_NEAR(100 * result.cold_share_at(0.50), row.p50, 0.1) << row.name;
    EXPECT_NEAR(100 * result.cold_share_at(0.75), row.p75, 0.1) << row.name;
  }
}

// Greedy-dual adds less execution time than recency, though it has more cold starts:
// those of functions that are cheap to start.
TEST_F(Reference, GreedyDualAddsLessTimeThanRecency) {
  struct MemoryRow {
    double gb;
    double greedy_dual;
    double frequency;
    double lru;
    double ttl;
    double dropped;  // %
  };
  constexpr MemoryRow kMemoryRows[] = {{60, 14.7, 14.9, 19.5, 19.5, 0.90},
                                       {80, 5.4, 5.5, 7.6, 8.0, 0.51}};
  for (const auto& row : kMemoryRows) {
    const auto added = [&](scaling::EvictionRule rule, Duration keep = {}) {
      return run_memory(trace_, {.memory_mb = row.gb * 1024,
                                 .rule = rule,
                                 .keep = keep,
                                 .arrivals = {.spread = Spread::kAligned}});
    };
    const auto greedy = added(scaling::EvictionRule::kGreedyDual);
    const auto lru = added(scaling::EvictionRule::kLru);
    const auto ttl = added(scaling::EvictionRule::kLru, minutes(10));
    const auto frequency = added(scaling::EvictionRule::kFrequency);
    EXPECT_LE(greedy.added_seconds, frequency.added_seconds);
    EXPECT_LT(frequency.added_seconds, 0.85 * lru.added_seconds);
    EXPECT_LE(lru.added_seconds, ttl.added_seconds);
    EXPECT_GT(greedy.cold, lru.cold);
    // Published to one decimal by a model of its own.
    EXPECT_NEAR(100 * greedy.added_share() / row.greedy_dual, 1, 0.05);
    EXPECT_NEAR(100 * frequency.added_share() / row.frequency, 1, 0.05);
    EXPECT_NEAR(100 * lru.added_share() / row.lru, 1, 0.05);
    EXPECT_NEAR(100 * ttl.added_share() / row.ttl, 1, 0.05);
    const double dropped =
        100.0 * static_cast<double>(greedy.dropped) / static_cast<double>(greedy.calls);
    EXPECT_NEAR(dropped, row.dropped, 0.03);
  }
}

}  // namespace
}  // namespace ebb::sim
