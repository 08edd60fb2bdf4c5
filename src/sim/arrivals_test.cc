#include "sim/arrivals.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace ebb::sim {
namespace {

constexpr int64_t kMinute = 60'000'000'000;

Trace three_functions() {
  TraceBuilder builder;
  for (const uint32_t count : {3, 60, 1000}) {
    (void)builder.function(
        {.name = "f", .mean_ms = 10, .percentiles_ms = {1, 2, 5, 10, 15, 90, 100}});
    builder.minute(0, count);
    if (count == 60) builder.minute(5, count);
    builder.minute(7, count);
  }
  return *std::move(builder).build();
}

std::vector<Arrival> all(const Trace& trace, const ArrivalOptions& options) {
  ArrivalStream stream(trace, options);
  std::vector<Arrival> minute;
  std::vector<Arrival> out;
  while (stream.next(minute)) out.insert(out.end(), minute.begin(), minute.end());
  return out;
}

class Arrivals : public testing::TestWithParam<Spread> {};

TEST_P(Arrivals, EveryCallComesInItsMinuteInOrder) {
  const Trace trace = three_functions();
  const auto arrivals = all(trace, {.spread = GetParam()});
  ASSERT_EQ(arrivals.size(), trace.total_calls);
  EXPECT_TRUE(std::is_sorted(arrivals.begin(), arrivals.end(),
                             [](const Arrival& a, const Arrival& b) { return a.at_ns < b.at_ns; }));
  std::array<std::array<int, 8>, 3> counts{};
  for (const Arrival& a : arrivals) {
    ++counts.at(a.function).at(static_cast<size_t>(a.at_ns / kMinute));
  }
  EXPECT_EQ(counts[0], (std::array<int, 8>{3, 0, 0, 0, 0, 0, 0, 3}));
  EXPECT_EQ(counts[1], (std::array<int, 8>{60, 0, 0, 0, 0, 60, 0, 60}));
  EXPECT_EQ(counts[2], (std::array<int, 8>{1000, 0, 0, 0, 0, 0, 0, 1000}));
}

TEST_P(Arrivals, DependOnTheSeedAlone) {
  const Trace trace = three_functions();
  const auto same = [](const Arrival& a, const Arrival& b) {
    return a.at_ns == b.at_ns && a.service_ns == b.service_ns && a.function == b.function;
  };
  const auto first = all(trace, {.spread = GetParam(), .seed = 7});
  const auto again = all(trace, {.spread = GetParam(), .seed = 7});
  const auto other = all(trace, {.spread = GetParam(), .seed = 8});
  EXPECT_TRUE(std::equal(first.begin(), first.end(), again.begin(), again.end(), same));
  EXPECT_FALSE(std::equal(first.begin(), first.end(), other.begin(), other.end(), same));
}

INSTANTIATE_TEST_SUITE_P(Spreads, Arrivals,
                         testing::Values(Spread::kEquidistant, Spread::kAligned, Spread::kUniform,
                                         Spread::kExponential, Spread::kStart),
                         [](const auto& spread) { return to_string(spread.param); });

TEST(ArrivalStream, EquidistantCallsAreEquallyFarApart) {
  TraceBuilder builder;
  (void)builder.function({.name = "f"});
  builder.minute(2, 6);
  const Trace trace = *std::move(builder).build();
  const auto arrivals = all(trace, {});
  for (size_t i = 1; i < arrivals.size(); ++i) {
    EXPECT_NEAR(arrivals[i].at_ns - arrivals[i - 1].at_ns, kMinute / 6, 1);
  }
}

// Mean and spread of a Poisson process given its count: E = 1/2, Var = 1/12.
TEST(ArrivalStream, ExponentialAndUniformHaveTheSameMoments) {
  TraceBuilder builder;
  (void)builder.function({.name = "f"});
  builder.minute(0, 100000);
  const Trace trace = *std::move(builder).build();
  for (const Spread spread : {Spread::kUniform, Spread::kExponential}) {
    double sum = 0;
    double squares = 0;
    for (const Arrival& a : all(trace, {.spread = spread})) {
      const double x = static_cast<double>(a.at_ns) / kMinute;
      sum += x / 1e5;
      squares += x * x / 1e5;
    }
    EXPECT_NEAR(sum, 0.5, 0.005) << to_string(spread);
    EXPECT_NEAR(squares - sum * sum, 1.0 / 12, 0.002) << to_string(spread);
  }
}

TEST(ArrivalStream, DurationsFollowThePercentiles) {
  TraceBuilder builder;
  (void)builder.function({.name = "f", .mean_ms = 7, .percentiles_ms = {1, 2, 5, 10, 15, 90, 100}});
  builder.minute(0, 100000);
  const Trace trace = *std::move(builder).build();
  std::vector<double> ms;
  for (const Arrival& a : all(trace, {})) ms.push_back(static_cast<double>(a.service_ns) / 1e6);
  std::sort(ms.begin(), ms.end());
  EXPECT_GE(ms.front(), 1);
  EXPECT_LE(ms.back(), 100);
  EXPECT_NEAR(ms[25000], 5, 0.1);
  EXPECT_NEAR(ms[50000], 10, 0.2);
  EXPECT_NEAR(ms[75000], 15, 0.7);
  EXPECT_NEAR(ms[99000], 90, 1);
  for (const Arrival& a : all(trace, {.service = Service::kMean})) {
    ASSERT_EQ(a.service_ns, 7'000'000);
  }
  for (const Arrival& a : all(trace, {.service = Service::kZero})) ASSERT_EQ(a.service_ns, 0);
}

TEST(ArrivalStream, RecordedCallsAreTakenAsTheyAre) {
  TraceBuilder builder;
  const auto f = builder.function({.name = "f", .mean_ms = 3});
  builder.call(f, std::chrono::seconds(70), std::chrono::milliseconds(5));
  builder.call(f, std::chrono::seconds(10), Duration(-1));
  builder.call(f, std::chrono::seconds(200), std::chrono::milliseconds(1));
  const Trace trace = *std::move(builder).build();
  const auto arrivals = all(trace, {.until = std::chrono::seconds(100)});
  ASSERT_EQ(arrivals.size(), 2);
  EXPECT_EQ(arrivals[0].service_ns, 3'000'000);  // not known: the mean
  EXPECT_EQ(arrivals[1].service_ns, 5'000'000);
}

TEST(ArrivalStream, UntilCutsInsideAMinute) {
  const Trace trace = three_functions();
  const auto arrivals = all(trace, {.until = std::chrono::seconds(30)});
  EXPECT_GT(arrivals.size(), 500);
  EXPECT_LT(arrivals.size(), 560);
  EXPECT_LT(arrivals.back().at_ns, kMinute / 2);
}

}  // namespace
}  // namespace ebb::sim
