// What must hold for every policy, whatever it decides by: sane numbers out, never fewer
// pods for more load, the same answer a day later, bounds, a pod for who waits.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "scaling/adaptive.h"
#include "scaling/average.h"
#include "scaling/combine.h"
#include "scaling/forecast.h"
#include "scaling/hpa_policy.h"
#include "scaling/kpa.h"
#include "scaling/lua_policy.h"
#include "scaling/schedule.h"
#include "scaling/testing.h"

namespace ebb::scaling {
namespace {

using std::chrono::seconds;

constexpr const char* kLua =
    "function decide(m, s) return {desired = math.max(m.stable, s.in_flight + s.waiting) / 7} end";

struct Kind {
  const char* name;
  std::function<std::unique_ptr<Policy>(TimePoint)> make;
  bool answers_waiting = true;  // at least one pod while a request is in the system
};

HpaSpec hpa_spec() {
  return {.max = 1000,
          .metrics = {{.source = HpaMetricSpec::Source::kExternal,
                       .name = "concurrency",
                       .type = HpaMetricSpec::Type::kAverageValue,
                       .target = 7000}}};
}

std::unique_ptr<Policy> combined(TimePoint now) {
  std::vector<Combine::Part> parts;
  parts.push_back({"adaptive", std::make_unique<Adaptive>(AdaptiveSettings())});
  parts.push_back({"kpa", make_kpa({}, 0, now)});
  parts.push_back(
      {"forecast", std::make_unique<Forecast>(ForecastSettings()), Combine::Role::kRaises});
  return std::make_unique<Combine>(std::move(parts));
}

std::unique_ptr<Policy> schedule(TimePoint /*now*/) {
  return std::make_unique<Schedule>(*parse_schedule("* * * * * | 0 0 1 1 * | 3"));
}

std::vector<Kind> kinds() {
  KpaSettings weighted;
  weighted.weighting = Window::Weighting::kExponential;
  weighted.target = 7;
  KpaSettings delayed;
  delayed.target = 7;
  delayed.scale_down_delay = seconds(30);
  const auto kpa = [](const KpaSettings& settings) {
    return [settings](TimePoint now) { return make_kpa(settings, 0, now); };
  };
  return {
      {"average",
       [](TimePoint) { return std::make_unique<Average>(AverageSettings{.target = 7}); }},
      {"kpa", kpa(delayed), false},
      {"kpa weighted", kpa(weighted), false},
      {"adaptive", [](TimePoint) { return std::make_unique<Adaptive>(AdaptiveSettings()); }},
      {"hpa",
       [](TimePoint now) {
         return std::make_unique<HpaPolicy>(HpaPolicySettings{.spec = hpa_spec()}, now);
       }},
      {"forecast",
       [](TimePoint) {
         return std::make_unique<Forecast>(
             ForecastSettings{.target = 7, .step = seconds(1), .hour = 10, .day = 40});
       },
       false},
      {"schedule", schedule, false},
      {"lua",
       [](TimePoint) { return std::make_unique<LuaPolicy>(std::move(*LuaPolicy::compile(kLua))); }},
      {"combined", combined},
  };
}

// One second of a random life.
struct Second {
  Metric metric;
  Situation situation;
};

std::vector<Second> life(unsigned seed, int length, double scale) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> any(0, 1);
  std::vector<Second> out;
  double level = 20;
  for (int t = 1; t <= length; ++t) {
    if (any(random) < 0.05) level = any(random) < 0.3 ? 0 : 200 * any(random);
    const double load = level * (0.5 + any(random));
    const double queued = any(random) < 0.2 ? load / 4 : 0;
    Second second;
    second.metric = {.at = kStart + seconds(t),
                     .concurrency = load * scale,
                     .requests = 10 * load * scale,
                     .queued = queued * scale,
                     .ended = 10 * load * scale,
                     .service_seconds = load * scale};
    second.situation = {.now = kStart + seconds(t),
                        .ready = 1 + static_cast<int>(20 * any(random)),
                        .starting = static_cast<int>(3 * any(random)),
                        .in_flight = static_cast<int>(std::floor(level * scale)),
                        .waiting = static_cast<int>(std::floor(queued * scale)),
                        .pod_concurrency = 10,
                        .start_time = seconds(2)};
    out.push_back(second);
  }
  return out;
}

std::vector<Decision> answers(Policy& policy, const std::vector<Second>& seconds_of_life,
                              Duration shift = Duration(0)) {
  std::vector<Decision> out;
  for (Second second : seconds_of_life) {
    second.metric.at += shift;
    second.situation.now += shift;
    policy.observe(second.metric);
    out.push_back(policy.decide(second.situation));
  }
  return out;
}

constexpr int kLength = 240;
constexpr int kSeeds = 20;

TEST(PolicyPropertyTest, NumbersAreSaneAndReasonsAreGiven) {
  for (const Kind& kind : kinds()) {
    for (unsigned seed = 0; seed < kSeeds; ++seed) {
      const auto policy = kind.make(kStart);
      for (const Decision& d : answers(*policy, life(seed, kLength, 1))) {
        ASSERT_GE(d.desired, 0) << kind.name;
        ASSERT_LT(d.desired, 10'000) << kind.name;
        ASSERT_TRUE(std::isfinite(d.stable) && std::isfinite(d.panic_value)) << kind.name;
        ASSERT_NE(d.reason, "") << kind.name;
        ASSERT_EQ(d.reason.find('\n'), std::string::npos) << kind.name;
        ASSERT_EQ(d.error, "") << kind.name;
      }
    }
  }
}

TEST(PolicyPropertyTest, MoreLoadNeverMeansFewerPods) {
  for (const Kind& kind : kinds()) {
    for (unsigned seed = 0; seed < kSeeds; ++seed) {
      const auto small = kind.make(kStart);
      const auto large = kind.make(kStart);
      const auto fewer = answers(*small, life(seed, kLength, 1));
      const auto more = answers(*large, life(seed, kLength, 1.7));
      for (size_t t = 0; t < fewer.size(); ++t) {
        ASSERT_EQ(fewer[t].valid, more[t].valid) << kind.name << " at " << t;
        ASSERT_LE(fewer[t].desired, more[t].desired)
            << kind.name << ", seed " << seed << ", second " << t << "\n"
            << fewer[t].reason << "\n"
            << more[t].reason;
      }
    }
  }
}

TEST(PolicyPropertyTest, MoreThatWaitsNeverMeansFewerPods) {
  for (const Kind& kind : kinds()) {
    for (unsigned seed = 0; seed < kSeeds; ++seed) {
      const auto past = life(seed, kLength, 1);
      int before = 0;
      for (const int waiting : {0, 1, 2, 5, 20, 100, 1000}) {
        const auto policy = kind.make(kStart);
        (void)answers(*policy, past);
        Situation situation = past.back().situation;
        situation.waiting = waiting;
        const Decision d = policy->decide(situation);
        ASSERT_GE(d.desired, before) << kind.name << " " << waiting << ": " << d.reason;
        before = d.desired;
        if (kind.answers_waiting && waiting > 0) {
          ASSERT_TRUE(d.valid) << kind.name;
          ASSERT_GE(d.desired, 1) << kind.name;
        }
      }
    }
  }
}

TEST(PolicyPropertyTest, ADayLaterTheAnswersAreTheSame) {
  for (const Kind& kind : kinds()) {
    for (const Duration shift :
         {Duration(std::chrono::hours(24)), Duration(std::chrono::minutes(34))}) {
      for (unsigned seed = 0; seed < kSeeds; ++seed) {
        const auto today = kind.make(kStart);
        const auto later = kind.make(kStart + shift);
        const auto a = answers(*today, life(seed, kLength, 1));
        const auto b = answers(*later, life(seed, kLength, 1), shift);
        for (size_t t = 0; t < a.size(); ++t) {
          ASSERT_EQ(a[t].desired, b[t].desired) << kind.name << " at " << t;
          ASSERT_EQ(a[t].valid, b[t].valid) << kind.name;
          ASSERT_EQ(a[t].reason, b[t].reason) << kind.name;
        }
      }
    }
  }
}

TEST(PolicyPropertyTest, WithoutAReasonTheAnswersAreTheSame) {
  for (const Kind& kind : kinds()) {
    for (unsigned seed = 0; seed < kSeeds; ++seed) {
      const auto told = kind.make(kStart);
      const auto silent = kind.make(kStart);
      auto past = life(seed, kLength, 1);
      const auto a = answers(*told, past);
      for (Second& second : past) second.situation.explain = false;
      const auto b = answers(*silent, past);
      for (size_t t = 0; t < a.size(); ++t) {
        ASSERT_EQ(a[t].valid, b[t].valid) << kind.name << " at " << t;
        ASSERT_EQ(a[t].desired, b[t].desired) << kind.name << " at " << t;
        ASSERT_EQ(a[t].panic, b[t].panic) << kind.name << " at " << t;
        ASSERT_EQ(a[t].stable, b[t].stable) << kind.name << " at " << t;
        ASSERT_EQ(a[t].panic_value, b[t].panic_value) << kind.name << " at " << t;
        ASSERT_EQ(a[t].excess_burst_capacity, b[t].excess_burst_capacity)
            << kind.name << " at " << t;
        ASSERT_EQ(a[t].error, b[t].error) << kind.name << " at " << t;
      }
    }
  }
}

TEST(PolicyPropertyTest, AmountsStayWithinTheirBounds) {
  std::mt19937 random(5);
  std::uniform_int_distribution<int> any(-5, 50);
  for (int i = 0; i < 10'000; ++i) {
    Decision decision;
    decision.desired = any(random);
    const int min = std::max(0, any(random));
    const Bounds bounds{min, any(random) < 0 ? 0 : min + std::max(1, any(random))};
    const int pods = amount(decision, bounds, true);
    ASSERT_GE(pods, min);
    if (bounds.max > 0) {
      ASSERT_LE(pods, bounds.max);
    }
    ASSERT_GE(amount(decision, bounds, false), 0);
    ASSERT_LE(amount(decision, bounds, false), pods);
  }
}

// What a broken source may send: no crash, no nonsense out, and no lasting harm.
TEST(PolicyPropertyTest, NonsenseInIsNotNonsenseOut) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInf = std::numeric_limits<double>::infinity();
  for (const Kind& kind : kinds()) {
    for (const double bad : {kNan, kInf, -kInf, -5.0, 1e300}) {
      const auto policy = kind.make(kStart);
      const auto past = life(1, 60, 1);
      (void)answers(*policy, past);
      policy->observe({.at = kStart + seconds(61),
                       .concurrency = bad,
                       .requests = bad,
                       .queued = bad,
                       .ended = bad,
                       .service_seconds = bad});
      Situation situation = past.back().situation;
      situation.now = kStart + seconds(61);
      const Decision d = policy->decide(situation);
      ASSERT_GE(d.desired, 0) << kind.name << " " << bad;
      ASSERT_TRUE(std::isfinite(d.stable) && std::isfinite(d.panic_value))
          << kind.name << " " << bad;
      // Two minutes later it is as if nothing had been.
      Decision last;
      for (int t = 62; t <= 260; ++t) {
        policy->observe({.at = kStart + seconds(t),
                         .concurrency = 7,
                         .requests = 70,
                         .ended = 70,
                         .service_seconds = 7});
        situation = {.now = kStart + seconds(t), .ready = 2, .in_flight = 7, .pod_concurrency = 10};
        last = policy->decide(situation);
      }
      ASSERT_LE(last.desired, 10) << kind.name << " " << bad << ": " << last.reason;
      ASSERT_TRUE(std::isfinite(last.stable)) << kind.name << " " << bad;
    }
  }
}

// --- A clock or a metric that cannot be trusted ---

// Knative's answers are kept as they are, and a forecast and a schedule only raise.
bool holds_amounts(const Kind& kind) {
  const std::string_view name = kind.name;
  return name != "kpa" && name != "kpa weighted" && name != "combined" && name != "forecast" &&
         name != "schedule";
}

// 70 requests inside pods of ten slots, all the time.
Second steady_second(Duration at, bool busy) {
  Second second;
  second.metric = {
      .at = kStart + at, .concurrency = 70, .requests = 700, .ended = 700, .service_seconds = 70};
  second.situation = {.now = kStart + at,
                      .ready = 10,
                      .in_flight = busy ? 70 : 0,
                      .pod_concurrency = 10,
                      .start_time = seconds(2)};
  return second;
}

TEST(PoliciesTest, AClockThatJumpsTakesNoPodFromALoadThatStays) {
  using std::chrono::hours;
  for (const Kind& kind : kinds()) {
    if (!holds_amounts(kind)) continue;
    for (const Duration jump : {Duration(hours(3)), Duration(hours(-3)), Duration(seconds(11)),
                                Duration(seconds(-1)), Duration(seconds(70))}) {
      for (const bool busy : {true, false}) {
        const auto policy = kind.make(kStart);
        int before = std::numeric_limits<int>::max();
        Duration at{};
        for (int t = 1; t <= 400; ++t) {
          at += seconds(1);
          if (t == 200) at += jump;
          if (t == 300) at -= jump;
          const Second second = steady_second(at, busy);
          policy->observe(second.metric);
          const Decision d = policy->decide(second.situation);
          if (t > 150 && t < 200) {
            ASSERT_TRUE(d.valid) << kind.name;
            before = std::min(before, d.desired);
          }
          if (t < 200 || !d.valid) continue;
          EXPECT_GE(d.desired, before)
              << kind.name << " " << jump / seconds(1) << " s, at " << t << ": " << d.reason;
        }
        EXPECT_GE(before, 7) << kind.name;
      }
    }
  }
}

TEST(PoliciesTest, AMetricThatStopsKeepsTheAmountAndIsTold) {
  for (const Kind& kind : kinds()) {
    if (!holds_amounts(kind)) continue;
    const auto policy = kind.make(kStart);
    int before = std::numeric_limits<int>::max();
    bool told = false;
    for (int t = 1; t <= 2000; ++t) {
      const Second second = steady_second(seconds(t), false);
      if (t <= 200) policy->observe(second.metric);
      const Decision d = policy->decide(second.situation);
      if (t > 150 && t <= 200) before = std::min(before, d.desired);
      if (t <= 200) continue;
      told = told || !d.valid;
      if (d.valid) {
        EXPECT_GE(d.desired, before) << kind.name << " at " << t << ": " << d.reason;
      } else {
        EXPECT_NE(d.reason, "") << kind.name;
      }
    }
    EXPECT_TRUE(told) << kind.name;
  }
}

TEST(PoliciesTest, NumbersThatAreNoneTakeNoPodAway) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const Kind& kind : kinds()) {
    if (!holds_amounts(kind)) continue;
    for (const double bad : {kNan, kInfinity, -kInfinity}) {
      const auto policy = kind.make(kStart);
      int before = std::numeric_limits<int>::max();
      for (int t = 1; t <= 400; ++t) {
        Second second = steady_second(seconds(t), false);
        if (t > 200) {
          for (double* value :
               {&second.metric.concurrency, &second.metric.requests, &second.metric.queued,
                &second.metric.ended, &second.metric.service_seconds}) {
            *value = bad;
          }
        }
        policy->observe(second.metric);
        const Decision d = policy->decide(second.situation);
        if (t > 150 && t <= 200) before = std::min(before, d.desired);
        if (t > 200 && d.valid) {
          EXPECT_GE(d.desired, before) << kind.name << " at " << t << ": " << d.reason;
        }
      }
    }
  }
}

// More pods that serve than anybody asked for, or fewer than none.
TEST(PoliciesTest, PodCountsThatContradictThemselvesTakeNoPodFromALoad) {
  for (const Kind& kind : kinds()) {
    if (!holds_amounts(kind)) continue;
    for (const auto& [ready, starting] : {std::pair{-5, 0}, {0, -7}, {1'000'000'000, 0}, {0, 0}}) {
      const auto policy = kind.make(kStart);
      for (int t = 1; t <= 300; ++t) {
        Second second = steady_second(seconds(t), true);
        if (t > 200) {
          second.situation.ready = ready;
          second.situation.starting = starting;
        }
        policy->observe(second.metric);
        const Decision d = policy->decide(second.situation);
        if (t > 200 && d.valid) {
          EXPECT_GE(d.desired, 7) << kind.name << ready << d.reason;
        }
      }
    }
  }
}

}  // namespace
}  // namespace ebb::scaling
