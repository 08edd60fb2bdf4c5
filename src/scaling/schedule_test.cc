#include "scaling/schedule.h"

#include <date/date.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ebb::scaling {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

WallTime utc(int year, unsigned month, unsigned day, int hour = 0, int minute = 0) {
  return WallTime(date::sys_days(date::year(year) / month / day) + std::chrono::hours(hour) +
                  std::chrono::minutes(minute));
}

std::optional<WallTime> last(const char* cron, WallTime now, const char* zone = "UTC") {
  const auto parsed = Cron::parse(cron);
  const auto found = TimeZone::find(zone);
  EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().message);
  EXPECT_TRUE(found);
  return parsed->last(now, *found);
}

TEST(CronTest, TheNewestDueTime) {
  const WallTime wednesday = utc(2026, 3, 18, 10, 30);
  EXPECT_EQ(last("* * * * *", wednesday + 59s), wednesday);
  EXPECT_EQ(last("0 8 * * *", wednesday), utc(2026, 3, 18, 8));
  EXPECT_EQ(last("0 11 * * *", wednesday), utc(2026, 3, 17, 11));
  EXPECT_EQ(last("30 10 * * *", wednesday), wednesday);
  EXPECT_EQ(last("*/20 * * * *", wednesday), utc(2026, 3, 18, 10, 20));
  EXPECT_EQ(last("5/20 * * * *", wednesday), utc(2026, 3, 18, 10, 25));
  EXPECT_EQ(last("15,45 9-10 * * *", wednesday), utc(2026, 3, 18, 10, 15));
  EXPECT_EQ(last("0 0 1 * *", wednesday), utc(2026, 3, 1));
  EXPECT_EQ(last("0 0 1 jan *", wednesday), utc(2026, 1, 1));
  EXPECT_EQ(last("0 0 29 2 *", wednesday), utc(2024, 2, 29));
}

TEST(CronTest, DaysOfTheWeek) {
  const WallTime wednesday = utc(2026, 3, 18, 10, 30);
  EXPECT_EQ(last("0 9 * * mon", wednesday), utc(2026, 3, 16, 9));
  EXPECT_EQ(last("0 9 * * 7", wednesday), utc(2026, 3, 15, 9));
  EXPECT_EQ(last("0 9 * * SUN", wednesday), utc(2026, 3, 15, 9));
  EXPECT_EQ(last("0 9 * * fri-sat", wednesday), utc(2026, 3, 14, 9));
  // Both day fields: either will do. With one of them *: the other counts.
  EXPECT_EQ(last("0 9 17 * fri", wednesday), utc(2026, 3, 17, 9));
  EXPECT_EQ(last("0 9 17 * *", wednesday), utc(2026, 3, 17, 9));
}

TEST(CronTest, SummerTimeLeavesOutAnHourAndWinterTimeRepeatsOne) {
  const char* zone = "Europe/Berlin";
  // 29 March 2026: 2:00 is 3:00 (1:00 UTC). What was to be at 2:30 is due then.
  EXPECT_EQ(last("30 2 * * *", utc(2026, 3, 29, 0, 59), zone), utc(2026, 3, 28, 1, 30));
  EXPECT_EQ(last("30 2 * * *", utc(2026, 3, 29, 1), zone), utc(2026, 3, 29, 1));
  // 25 October 2026: 3:00 is 2:00 (1:00 UTC). 2:30 is due once, at 0:30 UTC.
  EXPECT_EQ(last("30 2 * * *", utc(2026, 10, 25, 0, 45), zone), utc(2026, 10, 25, 0, 30));
  EXPECT_EQ(last("30 2 * * *", utc(2026, 10, 25, 1, 10), zone), utc(2026, 10, 25, 0, 30));
  EXPECT_EQ(last("30 2 * * *", utc(2026, 10, 25, 1, 45), zone), utc(2026, 10, 25, 0, 30));
}

TEST(CronTest, SaysWhatIsWrong) {
  const auto problem = [](const char* text) {
    const auto cron = Cron::parse(text);
    return cron ? std::string() : cron.error().message;
  };
  EXPECT_THAT(problem("* * * *"), HasSubstr("five fields"));
  EXPECT_EQ(problem("60 * * * *"), "minute \"60\": must be in [0, 59], the smaller first");
  EXPECT_THAT(problem("* * 0 * *"), HasSubstr("day of month \"0\""));
  EXPECT_THAT(problem("* 9-8 * * *"), HasSubstr("the smaller first"));
  EXPECT_THAT(problem("*/0 * * * *"), HasSubstr("a step must be"));
  EXPECT_THAT(problem("* * * foo *"), HasSubstr("month \"foo\": must be a number"));
  EXPECT_THAT(problem("1, * * * *"), HasSubstr("must be a number"));
  EXPECT_THAT(problem("0 0 30 2 *"), HasSubstr("never comes"));
  EXPECT_EQ(problem("0 0 30 2 mon"), "");
  EXPECT_THAT(problem("99999999999 * * * *"), HasSubstr("minute"));
}

TEST(ScheduleTest, KeepsTheFloorOfTheOpenWindows) {
  const auto windows = parse_schedule(
      "0 8 * * mon-fri | 0 18 * * mon-fri | 5 | Europe/Berlin; 30 23 * * * | 15 0 * * * | 2");
  ASSERT_TRUE(windows) << windows.error().message;
  const WallTime monday = utc(2026, 1, 5);  // Berlin is one hour ahead
  Schedule policy(*windows);
  const auto floor_at = [&](Duration after) {
    return policy.decide({.wall = monday + after}).desired;
  };
  EXPECT_EQ(floor_at(0h), 2);  // since Sunday 23:30
  EXPECT_EQ(floor_at(15min), 0);
  EXPECT_EQ(floor_at(6h + 59min), 0);
  EXPECT_EQ(floor_at(7h), 5);
  EXPECT_THAT(policy.decide({.wall = monday + 7h}).reason, HasSubstr("is open -> 5"));
  EXPECT_EQ(floor_at(16h + 59min + 59s), 5);
  EXPECT_EQ(floor_at(17h), 0);
  EXPECT_EQ(floor_at(23h + 30min), 2);
  EXPECT_EQ(floor_at(24h + 7h), 5);
  EXPECT_EQ(floor_at(5 * 24h + 7h), 0);  // Saturday
  // The clock on the wall is set forth, and back again.
  EXPECT_EQ(floor_at(8h), 5);
  EXPECT_EQ(floor_at(20h), 0);
  EXPECT_EQ(floor_at(8h), 5);
}

TEST(ScheduleTest, SaysWhichWindowIsWrong) {
  const auto problem = [](const char* text) {
    const auto windows = parse_schedule(text);
    return windows ? std::string() : windows.error().message;
  };
  EXPECT_EQ(problem(" ; "), "");
  EXPECT_THAT(problem("0 8 * * *"), HasSubstr("must be OPEN | CLOSE | PODS"));
  EXPECT_THAT(problem("0 8 * * * | 0 9 * * * | 0"), HasSubstr("\"0\" pods"));
  EXPECT_THAT(problem("0 8 * * * | 0 9 * * * | many"), HasSubstr("\"many\" pods"));
  EXPECT_THAT(problem("0 8 * * * | 9 | 1"), HasSubstr("five fields"));
  EXPECT_THAT(problem("0 8 * * * | 0 9 * * * | 1 | Mars/Base"), HasSubstr("no time zone"));
  EXPECT_THAT(problem("0 8 * * * | 0 9 * * * | 1 | UTC | x"), HasSubstr("must be OPEN"));
}

}  // namespace
}  // namespace ebb::scaling
