#include "scaling/average.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "scaling/testing.h"

namespace ebb::scaling {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

TimePoint at(int t) { return kStart + seconds(t); }

TEST(PodsForTest, RoundsUpButNotForAFloatsError) {
  EXPECT_EQ(pods_for(100, 10), 10);
  EXPECT_EQ(pods_for(100.1, 10), 11);
  EXPECT_EQ(pods_for(0.3, 0.1), 3);   // 2.9999999999999996
  EXPECT_EQ(pods_for(1.1, 0.1), 11);  // 11.000000000000002
  EXPECT_EQ(pods_for(4.9, 0.7), 7);   // 7.000000000000001
  EXPECT_EQ(pods_for(1e-12, 10), 1);  // any load is a load
  EXPECT_EQ(pods_for(1, 1e-9), 1'000'000'000);
}

TEST(PodsForTest, EveryWholeMultipleIsExact) {
  for (const double target : {0.01, 0.07, 0.1, 0.3, 0.7, 1.1, 3.3, 7.0, 69.9}) {
    for (int pods = 1; pods <= 2000; ++pods) {
      ASSERT_EQ(pods_for(target * pods, target), pods) << target;
    }
  }
}

TEST(PodsForTest, NonsenseIsNoPods) {
  EXPECT_EQ(pods_for(-1, 10), 0);
  EXPECT_EQ(pods_for(10, 0), 0);
  EXPECT_EQ(pods_for(std::numeric_limits<double>::quiet_NaN(), 1), 0);
  EXPECT_EQ(pods_for(1, std::numeric_limits<double>::quiet_NaN()), 0);
  EXPECT_EQ(pods_for(1e300, 1e-3), std::numeric_limits<int>::max());
}

TEST(AverageTest, AHundredAtTenIsTen) {
  Average policy({.target = 10});
  for (int t = 1; t <= 10; ++t) policy.observe({.at = at(t), .concurrency = 100});
  const Decision d = policy.decide({.now = at(10), .ready = 3});
  EXPECT_TRUE(d.valid);
  EXPECT_EQ(d.desired, 10);
  EXPECT_EQ(d.reason, "average 100.0 / target 10.0 -> 10");
}

TEST(AverageTest, AveragesOverItsWindow) {
  Average policy({.target = 10, .window = seconds(4)});
  for (int t = 1; t <= 4; ++t) policy.observe({.at = at(t), .concurrency = t == 4 ? 100.0 : 0.0});
  EXPECT_EQ(policy.decide({.now = at(4)}).desired, 3);  // 25 / 10
}

TEST(AverageTest, CountsRequestsIfAskedTo) {
  Average policy({.metric = MetricKind::kRequests, .target = 50});
  policy.observe({.at = at(1), .concurrency = 1, .requests = 170, .proxied_requests = 20});
  EXPECT_EQ(policy.decide({.now = at(1)}).desired, 3);
}

TEST(AverageTest, KnowsNothingWithoutMetricsButARequestNeedsAPod) {
  Average policy({.target = 10});
  EXPECT_FALSE(policy.decide({.now = at(1)}).valid);
  const Decision d = policy.decide({.now = at(1), .waiting = 1});
  EXPECT_TRUE(d.valid);
  EXPECT_EQ(d.desired, 1);
  EXPECT_THAT(d.reason, HasSubstr("raised to 1"));
}

TEST(AverageTest, DividesANumberFromOutside) {
  Average policy({.outside = "jobs", .target = 10});
  policy.observe({.at = at(1), .concurrency = 500, .outside = {{.name = "jobs", .value = 45}}});
  Decision d = policy.decide({.now = at(1), .ready = 1});
  EXPECT_EQ(d.desired, 5);
  EXPECT_EQ(d.reason, "jobs 45.0 / target 10.0 -> 5");
  // While nobody knows it, the last amount stays; a request has its pod all the same.
  policy.observe({.at = at(2), .outside = {{.name = "jobs", .error = "refused"}}});
  d = policy.decide({.now = at(2), .ready = 5, .in_flight = 1});
  EXPECT_FALSE(d.valid);
  EXPECT_EQ(d.error, "metric jobs: refused");
  d = policy.decide({.now = at(2), .waiting = 1});
  EXPECT_TRUE(d.valid);
  EXPECT_EQ(d.desired, 1);
  policy.observe({.at = at(3), .outside = {{.name = "jobs", .value = 0}}});
  EXPECT_TRUE(policy.decide({.now = at(3)}).valid);
}

TEST(AverageTest, LargeNumbersFromOutsideCountAndWhatIsNoneDoesNot) {
  Average policy({.outside = "bytes", .target = 1e9});
  policy.observe({.at = at(1), .outside = {{.name = "bytes", .value = 45e9}}});
  EXPECT_EQ(policy.decide({.now = at(1), .ready = 1}).desired, 45);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const double huge : {1e308, -1e308}) {
    policy.observe({.at = at(2), .outside = {{.name = "bytes", .value = huge}}});
    EXPECT_EQ(policy.decide({.now = at(2)}).error, "metric bytes: it is beyond 1e15");
  }
  policy.observe({.at = at(2), .outside = {{.name = "bytes", .value = kInfinity}}});
  const Decision d = policy.decide({.now = at(2), .ready = 45});
  EXPECT_FALSE(d.valid);
  EXPECT_EQ(d.error, "metric bytes: it is not a number");
}

}  // namespace
}  // namespace ebb::scaling
