#include "scaling/pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace ebb::scaling {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

const TimePoint kStart{std::chrono::hours(1)};

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

NodePool pool_of_ten(int min = 0) {
  return NodePool({.min = min, .max = 20, .slots = 10, .boot = seconds(60)});
}

TEST(NodePoolTest, FromZeroByTheFirstThatFindsNoPlace) {
  NodePool pool = pool_of_ten();
  EXPECT_EQ(pool.decide({.now = kStart}).desired, 0);
  pool.asked(kStart, 1);
  const NodeDecision d = pool.decide({.now = kStart, .unplaced = 1});
  EXPECT_EQ(d.desired, 1);
  EXPECT_THAT(d.reason, HasSubstr("1 unplaced"));
  // One start per need: the node on the way will do.
  EXPECT_EQ(pool.decide({.now = kStart + seconds(1), .booting = 1, .unplaced = 1}).desired, 1);
}

TEST(NodePoolTest, KeepsABufferForWhatMayBeAskedDuringABoot) {
  NodePool pool = pool_of_ten();
  for (int i = 0; i < 600; ++i) pool.asked(kStart + seconds(i), 1);  // 60 in a boot time
  const TimePoint now = kStart + seconds(600);
  NodeDecision d = pool.decide({.now = now, .ready = 8, .cold = 30});
  EXPECT_EQ(d.buffer, 60);
  EXPECT_EQ(d.desired, 11);
  d = pool.decide({.now = now, .ready = 8, .booting = 3, .cold = 30});
  EXPECT_EQ(d.desired, 11);
  pool.booted(seconds(10));
  for (int i = 0; i < 4 * 3600; ++i) pool.asked(now + seconds(i), 1);
  EXPECT_EQ(pool.decide({.now = now, .ready = 8, .cold = 30}).buffer, 10);
}

TEST(NodePoolTest, GivesIdleNodesBackAfterAWhile) {
  NodePool pool = pool_of_ten();
  pool.asked(kStart, 5);
  NodeSituation situation{.now = kStart, .ready = 5, .idle = 3, .cold = 35};
  EXPECT_EQ(pool.decide(situation).give_back, 0);
  situation.now = kStart + minutes(5);
  const NodeDecision d = pool.decide(situation);
  EXPECT_EQ(d.give_back, 3);  // 5 cold slots remain: the buffer
  EXPECT_EQ(d.desired, 2);
  // Needed in between: the time begins anew.
  NodePool other = pool_of_ten();
  other.asked(kStart, 5);
  situation.now = kStart;
  (void)other.decide(situation);
  situation.unplaced = 40;
  situation.now = kStart + minutes(4);
  (void)other.decide(situation);
  situation.unplaced = 0;
  situation.now = kStart + minutes(5);
  EXPECT_EQ(other.decide(situation).give_back, 0);
}

TEST(NodePoolTest, ToZeroWhenAllRests) {
  NodePool pool = pool_of_ten();
  for (int i = 0; i < 100; ++i) pool.asked(kStart, 1);
  NodeSituation situation{.now = kStart, .ready = 2, .idle = 2, .cold = 20};
  EXPECT_GE(pool.decide(situation).desired, 2);
  situation.now = kStart + minutes(10);
  const NodeDecision d = pool.decide(situation);
  EXPECT_EQ(d.give_back, 2);
  EXPECT_EQ(d.desired, 0);
  // At zero it stays there, whatever the buffer would be.
  EXPECT_EQ(pool.decide({.now = kStart + minutes(11)}).desired, 0);
  // A revision with a minimum keeps what it needs.
  NodePool held = pool_of_ten();
  situation = {.now = kStart, .ready = 2, .idle = 1, .cold = 19, .floor = true};
  (void)held.decide(situation);
  situation.now = kStart + minutes(30);
  EXPECT_EQ(held.decide(situation).desired, 1);
}

TEST(NodePoolTest, StaysWithinItsBounds) {
  NodePool pool = pool_of_ten(3);
  EXPECT_EQ(pool.decide({.now = kStart}).desired, 3);
  const NodeDecision d = pool.decide({.now = kStart, .ready = 3, .unplaced = 1000});
  EXPECT_EQ(d.desired, 20);
  EXPECT_THAT(d.reason, HasSubstr("held at the maximum 20"));
  // More than allowed, but in use: nothing is taken from under its pods.
  EXPECT_EQ(pool.decide({.now = kStart, .ready = 25, .idle = 1, .cold = 10}).give_back, 1);
}

}  // namespace
}  // namespace ebb::scaling
