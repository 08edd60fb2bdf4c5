#include "scaling/pool.h"

#include <gtest/gtest.h>

#include <random>

#include "scaling/testing.h"

namespace ebb::scaling {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(StockTest, HoldsTheLeastUntilSomeoneAsks) {
  const Stock stock({.least = 2});
  EXPECT_EQ(stock.size(), 2);
}

TEST(StockTest, OneAtATimeNeedsOne) {
  Stock stock({.supply = milliseconds(100)});
  for (int i = 0; i < 1000; ++i) stock.asked(kStart + seconds(i), 1);
  EXPECT_EQ(stock.size(), 1);
}

TEST(StockTest, RareBurstsCountByWhoWaitsNotByTime) {
  Stock stock({.supply = milliseconds(100)});
  for (int i = 0; i < 100; ++i) stock.asked(kStart + minutes(10) * i, 50);
  EXPECT_EQ(stock.size(), 50);  // 49 of 50 are 98 %
  Stock most({.share = 0.9, .supply = milliseconds(100)});
  for (int i = 0; i < 100; ++i) most.asked(kStart + minutes(10) * i, 50);
  EXPECT_EQ(most.size(), 45);
}

TEST(StockTest, TheShareFindsOneInASimulatedPool) {
  constexpr Duration kRefill = milliseconds(200);
  Stock stock({.supply = kRefill});
  std::mt19937 random(11);
  std::exponential_distribution<double> gap(40);  // a second: 8 in a refill
  std::vector<TimePoint> arrivals;
  double t = 0;
  for (int i = 0; i < 40'000; ++i) {
    t += gap(random);
    arrivals.push_back(kStart + Duration(std::llround(t * 1e9)));
    stock.asked(arrivals.back(), 1);
  }
  // A pool of that size, each pod replaced one refill after it went.
  const int size = stock.size();
  const auto missed = [&](int pool) {
    std::deque<TimePoint> taken;
    int misses = 0;
    for (const TimePoint at : arrivals) {
      while (!taken.empty() && taken.front() + kRefill <= at) taken.pop_front();
      if (static_cast<int>(taken.size()) >= pool) {
        ++misses;
      } else {
        taken.push_back(at);
      }
    }
    return static_cast<double>(misses) / static_cast<double>(arrivals.size());
  };
  EXPECT_LE(missed(size), 0.01);
  EXPECT_GT(missed(size - 3), 0.01);
}

TEST(StockTest, ForgetsByHalvesAndIsBounded) {
  Stock stock({.most = 32, .memory = minutes(10), .supply = milliseconds(100)});
  stock.asked(kStart, 1000);
  EXPECT_EQ(stock.size(), 32);
  for (int i = 1; i <= 3 * 3600; ++i) stock.asked(kStart + seconds(i), 1);
  EXPECT_EQ(stock.size(), 1);
}

TEST(StockTest, SlowerSupplyNeedsMore) {
  Stock stock({});
  stock.supplied(milliseconds(50));
  EXPECT_EQ(stock.supply(), milliseconds(50));
  stock.supplied(seconds(2));
  EXPECT_EQ(stock.supply(), seconds(2));  // at once
  for (int i = 0; i < 100; ++i) stock.supplied(milliseconds(50));
  EXPECT_LT(stock.supply(), seconds(1));  // and slowly back
  EXPECT_GT(stock.supply(), milliseconds(500));
  stock.supplied(Duration(0));
  stock.supplied(-seconds(1));
  EXPECT_GT(stock.supply(), milliseconds(500));
}

TEST(StockTest, AClockThatJumpsDoesNoLastingHarm) {
  for (const Duration jump : {Duration(std::chrono::hours(-7)), Duration(std::chrono::hours(7))}) {
    Stock stock({.supply = seconds(10)});
    for (int i = 0; i < 600; ++i) stock.asked(kStart + seconds(i), 2);
    EXPECT_EQ(stock.size(), 20);
    const TimePoint then = kStart + seconds(600) + jump;
    for (int i = 0; i < 600; ++i) {
      stock.asked(then + seconds(i), 2);
      ASSERT_GE(stock.size(), 20) << i;
      ASSERT_LE(stock.size(), 40) << i;
    }
    for (int i = 600; i < 2400; ++i) stock.asked(then + seconds(i), 2);
    EXPECT_EQ(stock.size(), 20);
  }
}

}  // namespace
}  // namespace ebb::scaling
