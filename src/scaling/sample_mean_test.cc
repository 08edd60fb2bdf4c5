#include "scaling/sample_mean.h"

#include <gtest/gtest.h>

namespace ebb::scaling {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TimePoint time_of(double t) { return TimePoint(milliseconds(static_cast<int64_t>(t * 1000))); }

TEST(SampleMeanTest, IsThatOfTheLength) {
  SampleMean mean(seconds(3));
  EXPECT_EQ(mean.mean(), 0);
  EXPECT_TRUE(mean.stale(time_of(0)));
  for (int t = 1; t <= 6; ++t) mean.record(time_of(t), seconds(1), t);
  EXPECT_DOUBLE_EQ(mean.mean(), 5);  // of 4, 5, 6
}

TEST(SampleMeanTest, ASampleCountsForAsLongAsItSpans) {
  SampleMean mean(seconds(10));
  mean.record(time_of(0.02), milliseconds(20), 100);
  mean.record(time_of(1.02), seconds(1), 0);
  EXPECT_NEAR(mean.mean(), 100 * 0.02 / 1.02, 1e-9);
  mean.record(time_of(100), seconds(99), 7);  // more than its length
  EXPECT_DOUBLE_EQ(mean.mean(), 7);
}

TEST(SampleMeanTest, WhatNobodyMeasuredIsNoZero) {
  SampleMean mean(seconds(10));
  mean.record(time_of(1), seconds(1), 8);
  mean.record(time_of(3), seconds(1), 8);
  EXPECT_DOUBLE_EQ(mean.mean(), 8);
  EXPECT_FALSE(mean.stale(time_of(13)));
  EXPECT_DOUBLE_EQ(mean.mean(), 8);
  EXPECT_TRUE(mean.stale(time_of(13.1)));
}

TEST(SampleMeanTest, ShortLengthsTakeSamplesThatComeLate) {
  SampleMean mean(seconds(1));
  mean.record(time_of(1), seconds(1), 8);
  EXPECT_FALSE(mean.stale(time_of(6)));
  EXPECT_TRUE(mean.stale(time_of(6.1)));
}

TEST(SampleMeanTest, AClockThatStandsStillFillsNoMemory) {
  SampleMean mean(seconds(10));
  mean.record(time_of(1), seconds(1), 1e9);
  for (size_t i = 0; i < SampleMean::kMost; ++i) mean.record(time_of(1), seconds(1), 3);
  EXPECT_DOUBLE_EQ(mean.mean(), 3) << "the oldest went";
}

TEST(SampleMeanTest, AClockThatGoesBackBeginsAnew) {
  SampleMean mean(seconds(10));
  mean.record(time_of(1000), seconds(1), 8);
  mean.record(time_of(10), seconds(1), 2);
  EXPECT_DOUBLE_EQ(mean.mean(), 2);
}

}  // namespace
}  // namespace ebb::scaling
