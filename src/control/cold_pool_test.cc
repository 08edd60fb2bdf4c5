#include "control/cold_pool.h"

#include <gtest/gtest.h>

namespace ebb::control {
namespace {

using namespace std::chrono_literals;

class ColdPoolTest : public testing::Test {
 protected:
  // A burst of `pods` at once, each replaced `refill` after it was handed out.
  void burst(int pods, Duration refill) {
    pool_.asked(now_, pods);
    for (int i = 0; i < pods; ++i) pool_.handed_out(now_);
    now_ += refill;
    for (int missing = pods; missing > 0; --missing) pool_.arrived(now_, missing);
    now_ += 10min;
  }

  TimePoint now_{1h};
  ColdPool pool_;
};

TEST_F(ColdPoolTest, HoldsTheLeastUntilSomebodyAsks) {
  pool_.set_bounds({8, 64});
  EXPECT_EQ(pool_.size(), 8);
}

TEST_F(ColdPoolTest, GrowsToTheBurstsThatItSees) {
  pool_.set_bounds({8, 64});
  for (int i = 0; i < 5; ++i) burst(20, 100ms);
  EXPECT_EQ(pool_.size(), 20);
  for (int i = 0; i < 5; ++i) burst(200, 100ms);
  EXPECT_EQ(pool_.size(), 64);
}

TEST_F(ColdPoolTest, ShrinksWhenBurstsBecomeSmall) {
  pool_.set_bounds({2, 64});
  burst(40, 100ms);
  EXPECT_EQ(pool_.size(), 40);
  for (int i = 0; i < 600; ++i) burst(1, 100ms);  // 100 hours
  EXPECT_EQ(pool_.size(), 2);
}

TEST_F(ColdPoolTest, ASlowRefillHoldsMoreForTheSameRate) {
  const auto size_with = [](Duration refill) {
    ColdPool pool;
    pool.set_bounds({1, 100});
    TimePoint now{1h};
    const int64_t on_the_way = refill / 100ms;
    for (int i = 0; i < 200; ++i, now += 100ms) {  // ten a second
      if (i >= on_the_way) pool.arrived(now, on_the_way);
      pool.asked(now, 1);
      pool.handed_out(now);
    }
    return pool.size();
  };
  EXPECT_LE(size_with(100ms), 2);
  EXPECT_GE(size_with(3s), 25);
}

TEST_F(ColdPoolTest, WhatIsNotReplacedIsNoSlowRefill) {
  pool_.set_bounds({1, 50});
  burst(10, 100ms);
  pool_.asked(now_, 5);
  for (int i = 0; i < 5; ++i) pool_.handed_out(now_);  // the pool became smaller meanwhile
  now_ += 1h;
  burst(1, 100ms);
  for (int i = 0; i < 30; ++i) burst(1, 100ms);
  EXPECT_LE(pool_.size(), 10);
}

TEST_F(ColdPoolTest, FallsInHoursInWhichNobodyAsks) {
  pool_.set_bounds({4, 64});
  burst(36, 100ms);
  ASSERT_EQ(pool_.size(), 36);
  pool_.settle(now_ + 49min);
  EXPECT_EQ(pool_.size(), 36);
  pool_.settle(now_ + 51min);  // the burst was 10 minutes before
  EXPECT_EQ(pool_.size(), 20);
  pool_.settle(now_ + 2h + 51min);
  EXPECT_EQ(pool_.size(), 8);
  pool_.settle(now_ + 100h);
  EXPECT_EQ(pool_.size(), 4);
  now_ += 100h;
  burst(36, 100ms);  // what was learned counts again
  EXPECT_EQ(pool_.size(), 36);
}

TEST_F(ColdPoolTest, AFixedSizeLearnsNothing) {
  pool_.set_bounds({16, 16});
  burst(100, 10s);
  EXPECT_EQ(pool_.size(), 16);
  pool_.set_bounds({0, 0});
  EXPECT_EQ(pool_.size(), 0);
}

}  // namespace
}  // namespace ebb::control
