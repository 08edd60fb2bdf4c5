#include "scaling/forecast.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "scaling/testing.h"

namespace ebb::scaling {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

// A day with a hump at noon and a peak at each full hour.
double day_and_hour(int minute) {
  const double day = 50 * std::max(0.0, std::sin(2 * M_PI * minute / 1440.0));
  return 10 + day + (minute % 60 < 5 ? 30 : 0);
}

TEST(HoltWintersTest, LearnsADayAndAnHour) {
  HoltWinters series({1440, 60});
  for (int m = 0; m < 3 * 1440; ++m) series.update(day_and_hour(m));
  ASSERT_TRUE(series.ready());
  for (const int ahead : {1, 5, 60, 300, 1000}) {
    EXPECT_NEAR(series.forecast(ahead), day_and_hour(3 * 1440 + ahead - 1), 2) << ahead;
  }
  EXPECT_LT(series.sigma(), 1);
}

TEST(HoltWintersTest, KnowsNothingBeforeASeasonHasPassed) {
  HoltWinters series({60});
  for (int m = 0; m < 59; ++m) series.update(1);
  EXPECT_FALSE(series.ready());
  EXPECT_EQ(series.forecast(1), 0);
  series.update(1);
  EXPECT_TRUE(series.ready());
  EXPECT_NEAR(series.forecast(1), 1, 1e-6);
}

TEST(HoltWintersTest, FollowsALevelThatMovesAndTellsNoiseFromIt) {
  HoltWinters series({60});
  std::mt19937 random(7);
  std::normal_distribution<double> noise(0, 2);
  for (int m = 0; m < 600; ++m) series.update(20 + noise(random));
  EXPECT_NEAR(series.sigma(), 2, 0.6);
  for (int m = 0; m < 600; ++m) series.update(60 + noise(random));
  EXPECT_NEAR(series.forecast(1), 60, 5);
}

TEST(HoltWintersTest, IsNeverNegativeAndIgnoresNonsense) {
  HoltWinters series({4});
  for (int m = 0; m < 40; ++m) series.update(100.0 - 10 * m);
  series.update(std::numeric_limits<double>::quiet_NaN());
  for (int ahead = -1; ahead < 50; ++ahead) {
    EXPECT_GE(series.forecast(ahead), 0);
    EXPECT_TRUE(std::isfinite(series.forecast(ahead)));
  }
}

TEST(HarmonicTest, FindsTrendAndWaves) {
  std::vector<double> history;
  const auto truth = [](double t) {
    return 5 + 0.01 * t + 3 * std::sin(2 * M_PI * t / 60) + 2 * std::cos(2 * M_PI * t / 24 + 1);
  };
  for (int t = 0; t < 480; ++t) history.push_back(truth(t));
  const Harmonic fit = fit_harmonic(history, 8);
  EXPECT_NEAR(fit.slope, 0.01, 2e-3);
  for (const int t : {0, 100, 479, 500, 600}) EXPECT_NEAR(fit.at(t), truth(t), 0.8) << t;
  EXPECT_LT(fit.sigma, 0.4);
}

TEST(HarmonicTest, AllWavesGiveBackTheHistory) {
  for (const size_t length : {8U, 9U, 31U, 64U}) {
    std::mt19937 random(3);
    std::uniform_real_distribution<double> any(0, 10);
    std::vector<double> history(length);
    for (double& value : history) value = any(random);
    const Harmonic fit = fit_harmonic(history, 1000);
    for (size_t i = 0; i < length; ++i) {
      ASSERT_NEAR(fit.at(static_cast<double>(i)), history[i], 1e-9) << length << " " << i;
    }
  }
}

TEST(HarmonicTest, ShortOrFlatHistoriesAreNoTrouble) {
  EXPECT_EQ(fit_harmonic({}, 8).at(3), 0);
  const std::vector<double> flat(100, 7.0);
  EXPECT_NEAR(fit_harmonic(flat, 8).at(150), 7, 1e-9);
}

// Feeds one sample a minute.
void feed(Forecast& policy, int from, int to, double (*load)(int)) {
  for (int m = from; m < to; ++m)
    policy.observe({.at = kStart + minutes(m), .concurrency = load(m)});
}

TEST(ForecastTest, RaisesTheFloorAheadOfTheHour) {
  Forecast policy({.target = 10, .lead = seconds(60)});
  const auto hourly = [](int m) { return m % 60 < 5 ? 40.0 : 0.0; };
  feed(policy, 0, 5 * 60 + 58, hourly);
  const auto at = [](int m) { return Situation{.now = kStart + minutes(m)}; };
  EXPECT_EQ(policy.decide(at(5 * 60 + 57)).desired, 0);
  feed(policy, 5 * 60 + 58, 5 * 60 + 60, hourly);
  const Decision d = policy.decide(at(5 * 60 + 59));
  EXPECT_TRUE(d.valid);
  EXPECT_EQ(d.desired, 4);  // a minute early
  EXPECT_THAT(d.reason, HasSubstr("hourly forecast 40.0"));
}

TEST(ForecastTest, LearnsTheDay) {
  Forecast policy({.target = 10, .lead = minutes(10)});
  const auto morning = [](int m) { return m % 1440 >= 480 && m % 1440 < 600 ? 80.0 : 1.0; };
  feed(policy, 0, 2 * 1440 + 472, morning);
  EXPECT_GE(policy.decide({.now = kStart + minutes(2 * 1440 + 471)}).desired, 7);
  feed(policy, 2 * 1440 + 472, 2 * 1440 + 620, morning);
  EXPECT_LE(policy.decide({.now = kStart + minutes(2 * 1440 + 619)}).desired, 2);
}

TEST(ForecastTest, NeverAsksForMoreThanWasSeenNorOnNoiseAlone) {
  Forecast policy({.target = 1, .lead = minutes(5), .deviations = 50});
  feed(policy, 0, 400, [](int m) { return m % 60 < 5 ? 40.0 : 5.0; });
  EXPECT_LE(policy.decide({.now = kStart + minutes(399)}).desired, 40);

  Forecast sporadic({.target = 1});
  feed(sporadic, 0, 600, [](int m) { return (m * 7919) % 97 == 0 ? 1.0 : 0.0; });
  const Decision d = sporadic.decide({.now = kStart + minutes(599)});
  EXPECT_TRUE(d.valid);
  EXPECT_EQ(d.desired, 0);
  EXPECT_THAT(d.reason, HasSubstr("does not stand out"));
}

TEST(ForecastTest, SaysNothingWithoutHistoryAndSurvivesLongGaps) {
  Forecast policy({});
  EXPECT_FALSE(policy.decide({.now = kStart}).valid);
  policy.observe({.at = kStart, .concurrency = 5});
  EXPECT_FALSE(policy.decide({.now = kStart}).valid);
  policy.observe({.at = kStart + std::chrono::hours(24 * 365), .concurrency = 5});
  const Decision d = policy.decide({.now = kStart + std::chrono::hours(24 * 365)});
  EXPECT_EQ(d.desired, 0);
}

}  // namespace
}  // namespace ebb::scaling
