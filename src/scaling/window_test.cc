#include "scaling/window.h"

#include <gtest/gtest.h>

#include "scaling/testing.h"

namespace ebb::scaling {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TimePoint second(double t) { return kStart + milliseconds(static_cast<int64_t>(t * 1000)); }

TEST(WindowTest, AveragesOnlyTheSecondsSeenSoFar) {
  Window window(seconds(60));
  window.record(second(1), 10);
  window.record(second(2), 20);
  EXPECT_DOUBLE_EQ(window.average(second(2)), 15);
}

TEST(WindowTest, SamplesOfOneSecondAddUp) {
  Window window(seconds(6));
  window.record(second(0), 6);
  window.record(second(0.4), 6);
  window.record(second(0.999), 6);
  EXPECT_DOUBLE_EQ(window.average(second(0)), 18);
}

TEST(WindowTest, SkippedSecondsCountAsZero) {
  Window window(seconds(6));
  window.record(second(0), 18);
  window.record(second(3), 3);
  EXPECT_DOUBLE_EQ(window.average(second(3)), 5.25);
}

TEST(WindowTest, MissingNewestSecondsAreUnknownNotZero) {
  Window window(seconds(5));
  for (int i = 0; i < 4; ++i) window.record(second(i), i < 2 ? 10 : 5);
  EXPECT_DOUBLE_EQ(window.average(second(3)), 7.5);
  EXPECT_DOUBLE_EQ(window.average(second(4)), 7.5);
  EXPECT_DOUBLE_EQ(window.average(second(5)), 6.666667);  // rounded to 6 decimals
  EXPECT_DOUBLE_EQ(window.average(second(7)), 5);
  EXPECT_DOUBLE_EQ(window.average(second(8)), 0);
}

TEST(WindowTest, LateSamplesCountWhileInsideTheWindow) {
  Window window(seconds(6));
  window.record(second(10), 6);
  window.record(second(7), 12);
  window.record(second(4), 100);  // exactly one length behind: dropped
  window.record(second(3), 100);
  EXPECT_DOUBLE_EQ(window.average(second(10)), 4.5);
}

TEST(WindowTest, AGapOfAWholeLengthStartsAfresh) {
  Window window(seconds(6));
  window.record(second(0), 6);
  window.record(second(6), 12);
  EXPECT_DOUBLE_EQ(window.average(second(6)), 12);
}

TEST(WindowTest, EmptyOnlyAfterMoreThanOneLength) {
  Window window(seconds(60));
  EXPECT_TRUE(window.empty(second(0)));
  window.record(second(1), 5);
  EXPECT_FALSE(window.empty(second(61)));
  EXPECT_DOUBLE_EQ(window.average(second(61)), 0);
  EXPECT_TRUE(window.empty(second(62)));
}

TEST(WindowTest, ARingThatTurnedManyTimesHoldsTheNewestSeconds) {
  Window window(seconds(60));
  for (int i = 0; i < 1000; ++i) window.record(second(i), i);
  EXPECT_DOUBLE_EQ(window.average(second(999)), 969.5);
}

TEST(WindowTest, ExponentialWeightsReadLowAtFirst) {
  Window window(seconds(60), Window::Weighting::kExponential);
  window.record(second(1), 100);
  window.record(second(2), 100);
  EXPECT_NEAR(window.average(second(2)), 36, 1e-9);
  Window brief(seconds(6), Window::Weighting::kExponential);
  brief.record(second(1), 100);
  brief.record(second(2), 100);
  EXPECT_NEAR(brief.average(second(2)), 95.358, 1e-3);
}

TEST(WindowTest, ShrinkingKeepsTheNewestSeconds) {
  Window window(seconds(60));
  for (int i = 0; i < 60; ++i) window.record(second(i), i);
  window.resize(seconds(10), second(59));
  EXPECT_DOUBLE_EQ(window.average(second(59)), 54.5);
  window.record(second(60), 60);
  EXPECT_DOUBLE_EQ(window.average(second(60)), 55.5);
}

TEST(WindowTest, PassingIsAZeroInEachSecond) {
  for (const int gap : {1, 2, 5, 6, 7, 13, 60}) {
    Window one(seconds(6));
    Window many(seconds(6));
    int t = 0;
    for (; t < 9; ++t) {
      for (Window* window : {&one, &many}) window->record(second(t), t * 0.1);
    }
    one.pass(second(t - 1 + gap));
    for (int i = 0; i < gap; ++i) many.record(second(t + i), 0);
    for (int later = t - 1 + gap; later < t + gap + 9; ++later) {
      EXPECT_EQ(one.average(second(later)), many.average(second(later))) << gap << " " << later;
      EXPECT_EQ(one.empty(second(later)), many.empty(second(later)));
      for (Window* window : {&one, &many}) window->record(second(later), later);
    }
  }
  Window fresh(seconds(6));
  fresh.pass(second(3));
  EXPECT_FALSE(fresh.empty(second(3)));
  EXPECT_EQ(fresh.average(second(3)), 0);
}

TEST(WindowTest, GrowingTakesTheOldLengthAsSeen) {
  Window window(seconds(6));
  for (int i = 0; i < 6; ++i) window.record(second(i), 6);
  window.resize(seconds(60), second(5));
  EXPECT_DOUBLE_EQ(window.average(second(5)), 6);
  EXPECT_EQ(window.length(), seconds(60));
}

TEST(WindowTest, ResizeForgetsWhatIsTooOld) {
  Window window(seconds(6));
  window.record(second(0), 6);
  window.resize(seconds(60), second(7));
  EXPECT_TRUE(window.empty(second(7)));
}

TEST(WindowTest, BucketsMayBeShorterOrLongerThanASecond) {
  Window brief(milliseconds(500), Window::Weighting::kLinear, milliseconds(100));
  for (int i = 0; i < 10; ++i) brief.record(second(i * 0.1), i);
  EXPECT_DOUBLE_EQ(brief.average(second(0.9)), 7);
  EXPECT_TRUE(brief.empty(second(1.5)));
  EXPECT_EQ(brief.length(), milliseconds(500));
  Window coarse(seconds(6), Window::Weighting::kLinear, seconds(2));
  for (int i = 0; i < 4; ++i) coarse.record(second(i), 3);
  EXPECT_DOUBLE_EQ(coarse.average(second(3)), 6);  // two buckets of two samples each
}

TEST(MaxWindowTest, HoldsTheLargestForItsLength) {
  MaxWindow window(seconds(6), seconds(2));
  EXPECT_EQ(window.max(), 0);
  window.record(second(0), 5);
  window.record(second(2), 3);
  window.record(second(4), 1);
  EXPECT_EQ(window.max(), 5);
  window.record(second(6), 1);
  EXPECT_EQ(window.max(), 3);
  window.record(second(8), 4);
  EXPECT_EQ(window.max(), 4);
  window.record(second(100), 0);
  EXPECT_EQ(window.max(), 0);
}

}  // namespace
}  // namespace ebb::scaling
