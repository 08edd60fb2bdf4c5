#include "scaling/lasting.h"

#include <gtest/gtest.h>

#include "scaling/testing.h"

namespace ebb::scaling {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(Lasting, CountsFromTheFirstLookWithoutABreak) {
  Lasting idle;
  EXPECT_FALSE(idle.lasts(true, kStart, seconds(10)));
  EXPECT_FALSE(idle.lasts(true, kStart + seconds(9), seconds(10)));
  EXPECT_TRUE(idle.lasts(true, kStart + seconds(10), seconds(10)));
  EXPECT_TRUE(idle.lasts(true, kStart + seconds(11), seconds(10)));
  EXPECT_FALSE(idle.lasts(false, kStart + seconds(12), seconds(10)));
  EXPECT_FALSE(idle.lasts(true, kStart + seconds(13), seconds(10)));
  EXPECT_FALSE(idle.lasts(true, kStart + seconds(22), seconds(10)));
  EXPECT_TRUE(idle.lasts(true, kStart + seconds(23), seconds(10)));
}

TEST(Lasting, NoTimeAtAllIsOverAtOnce) {
  Lasting idle;
  EXPECT_TRUE(idle.lasts(true, kStart, Duration(0)));
  EXPECT_FALSE(idle.lasts(false, kStart, Duration(0)));
}

TEST(Lasting, AJumpOfTheClockBeginsItAnew) {
  for (const Duration jump : {Duration(hours(3)), Duration(hours(-3)), Duration(seconds(-1))}) {
    Lasting idle;
    for (int i = 0; i < 600; ++i) (void)idle.lasts(true, kStart + seconds(i), minutes(10));
    const TimePoint then = kStart + seconds(599) + jump;
    for (int i = 0; i < 600; ++i) {
      ASSERT_FALSE(idle.lasts(true, then + seconds(i), minutes(10))) << i;
    }
    EXPECT_TRUE(idle.lasts(true, then + minutes(10), minutes(10)));
  }
}

TEST(Lasting, MayBeLookedAtSeldom) {
  Lasting idle;
  (void)idle.lasts(true, kStart, minutes(10));
  EXPECT_TRUE(idle.lasts(true, kStart + minutes(10), minutes(10)));
  EXPECT_FALSE(idle.lasts(true, kStart + minutes(21), minutes(10)));  // nobody knows of between
}

}  // namespace
}  // namespace ebb::scaling
