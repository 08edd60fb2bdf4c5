#include "scaling/sample_mean.h"

#include <gtest/gtest.h>

namespace ebb::scaling {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TimePoint at(double t) { return TimePoint(milliseconds(static_cast<int64_t>(t * 1000))); }

TEST(SampleMeanTest, IsThatOfTheLength) {
  SampleMean mean(seconds(3));
  EXPECT_EQ(mean.mean(), 0);
  EXPECT_TRUE(mean.stale(at(0)));
  for (int t = 1; t <= 6; ++t) mean.record(at(t), seconds(1), t);
  EXPECT_DOUBLE_EQ(mean.mean(), 5);  // of 4, 5, 6
}

TEST(SampleMeanTest, ASampleCountsForAsLongAsItSpans) {
  SampleMean mean(seconds(10));
  mean.record(at(0.02), milliseconds(20), 100);
  mean.record(at(1.02), seconds(1), 0);
  EXPECT_NEAR(mean.mean(), 100 * 0.02 / 1.02, 1e-9);
  mean.record(at(100), seconds(99), 7);  // more than its length
  EXPECT_DOUBLE_EQ(mean.mean(), 7);
}

TEST(SampleMeanTest, WhatNobodyMeasuredIsNoZero) {
  SampleMean mean(seconds(10));
  mean.record(at(1), seconds(1), 8);
  mean.record(at(3), seconds(1), 8);
  EXPECT_DOUBLE_EQ(mean.mean(), 8);
  EXPECT_FALSE(mean.stale(at(13)));
  EXPECT_DOUBLE_EQ(mean.mean(), 8);
  EXPECT_TRUE(mean.stale(at(13.1)));
}

TEST(SampleMeanTest, ShortLengthsTakeSamplesThatComeLate) {
  SampleMean mean(seconds(1));
  mean.record(at(1), seconds(1), 8);
  EXPECT_FALSE(mean.stale(at(6)));
  EXPECT_TRUE(mean.stale(at(6.1)));
}

TEST(SampleMeanTest, AClockThatStandsStillFillsNoMemory) {
  SampleMean mean(seconds(10));
  mean.record(at(1), seconds(1), 1e9);
  for (size_t i = 0; i < SampleMean::kMost; ++i) mean.record(at(1), seconds(1), 3);
  EXPECT_DOUBLE_EQ(mean.mean(), 3) << "the oldest went";
}

TEST(SampleMeanTest, AClockThatGoesBackBeginsAnew) {
  SampleMean mean(seconds(10));
  mean.record(at(1000), seconds(1), 8);
  mean.record(at(10), seconds(1), 2);
  EXPECT_DOUBLE_EQ(mean.mean(), 2);
}

}  // namespace
}  // namespace ebb::scaling
