#include "scaling/start_times.h"

#include <gtest/gtest.h>

#include "scaling/testing.h"

namespace ebb::scaling {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(PendingStartsTest, TheOldestWishIsFulfilledFirst) {
  PendingStarts pending;
  EXPECT_FALSE(pending.ended(kStart));
  pending.wished(kStart, 0, 2);
  pending.wished(kStart + seconds(1), 2, 3);
  EXPECT_EQ(pending.ended(kStart + seconds(2)), seconds(2));
  EXPECT_EQ(pending.ended(kStart + seconds(3)), seconds(3));
  EXPECT_EQ(pending.ended(kStart + seconds(3)), seconds(2));
  EXPECT_FALSE(pending.ended(kStart + seconds(4))) << "a replacement";
}

TEST(PendingStartsTest, TheNewestWishIsTakenBackFirst) {
  PendingStarts pending;
  pending.wished(kStart, 0, 2);
  pending.wished(kStart + seconds(1), 2, 5);
  pending.wished(kStart + seconds(2), 5, 1);
  EXPECT_EQ(pending.ended(kStart + seconds(2)), seconds(2));
  EXPECT_FALSE(pending.ended(kStart + seconds(2)));
  pending.wished(kStart, 1, 4);
  pending.clear();
  EXPECT_FALSE(pending.ended(kStart));
}

TEST(PendingStartsTest, AClockThatGoesBackMakesNoNegativeTime) {
  PendingStarts pending;
  pending.wished(kStart, 0, 1);
  EXPECT_EQ(pending.ended(kStart - seconds(1)), Duration(1));
}

TEST(SmoothedStartTest, TheNewestCountMost) {
  EXPECT_EQ(smoothed_start(Duration(0), milliseconds(100)), milliseconds(100));
  EXPECT_EQ(smoothed_start(milliseconds(100), milliseconds(200)), milliseconds(130));
}

}  // namespace
}  // namespace ebb::scaling
