#include "scaling/kpa.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "scaling/scale_to_zero.h"
#include "scaling/testing.h"

namespace ebb::scaling {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

TimePoint at(int t) { return kStart + seconds(t); }

// A policy that is fed once a second and asked every two, with a ready count that
// follows the decisions unless a test fixes it.
class Replay {
 public:
  explicit Replay(const KpaSettings& settings = {}, int ready = 1)
      : policy_(make_kpa(settings, ready, at(0))), ready_(ready) {}

  // Runs to `until` seconds, included; returns the last decision.
  Decision to(int until, const std::function<double(int)>& load) {
    while (t_ < until) {
      ++t_;
      const double value = load(t_);
      policy_->observe({.at = at(t_), .concurrency = value, .requests = value});
      if (t_ % 2 == 0) {
        used_ = ready_;
        last_ = policy_->decide({.now = at(t_), .ready = ready_});
        if (!fixed_) ready_ = last_.desired;
      }
    }
    return last_;
  }
  Decision to(int until, double load) {
    return to(until, [load](int) { return load; });
  }
  void fix_ready(int ready) {
    ready_ = ready;
    fixed_ = true;
  }
  [[nodiscard]] int ready_used() const { return used_; }

 private:
  std::unique_ptr<Policy> policy_;
  int ready_;
  int used_ = 0;
  int t_ = 0;
  bool fixed_ = false;
  Decision last_;
};

TEST(KpaTest, DoubleTheLoadOfOnePodIsPanicUntilTheStableWindowHasPassed) {
  Replay run;
  Decision d = run.to(2, 140);
  EXPECT_TRUE(d.valid);
  EXPECT_TRUE(d.panic);
  EXPECT_EQ(d.desired, 2);
  EXPECT_EQ(d.excess_burst_capacity, -251);
  d = run.to(62, 140);
  EXPECT_TRUE(d.panic);
  d = run.to(66, 140);
  EXPECT_FALSE(d.panic);
  EXPECT_EQ(d.desired, 2);
  EXPECT_EQ(d.excess_burst_capacity, -151);
}

TEST(KpaTest, ASpikeIsSeenByThePanicWindow) {
  Replay run;
  const Decision d = run.to(70, [](int t) { return t < 70 ? 70.0 : 700.0; });
  EXPECT_DOUBLE_EQ(d.stable, 80.5);
  EXPECT_DOUBLE_EQ(d.panic_value, 175);
  EXPECT_EQ(d.desired, 3);
  EXPECT_EQ(d.excess_burst_capacity, -286);
  EXPECT_THAT(d.reason, HasSubstr("panic: burst 175.0 / target 70.0 -> 3"));
}

TEST(KpaTest, GoesToZeroWhenTheStableWindowIsEmptyOfLoad) {
  Replay run;
  run.fix_ready(1);
  const auto load = [](int t) { return t <= 40 ? 50.0 : 0.0; };
  EXPECT_EQ(run.to(98, load).desired, 1);
  const Decision d = run.to(100, load);
  EXPECT_EQ(d.desired, 0);
  EXPECT_EQ(d.excess_burst_capacity, -111);
  EXPECT_FALSE(d.panic);
}

TEST(KpaTest, ActivationScaleRaisesAFirstStartWithoutPanic) {
  KpaSettings settings;
  settings.activation_scale = 4;
  Replay run(settings, 0);
  run.fix_ready(0);
  const Decision d = run.to(6, [](int t) { return t < 6 ? 0.0 : 20.0; });
  EXPECT_EQ(d.desired, 4);
  EXPECT_FALSE(d.panic);
  EXPECT_THAT(d.reason, HasSubstr("activation scale"));
}

TEST(KpaTest, BurstCapacityUnlimitedAndZero) {
  KpaSettings settings;
  settings.target_burst_capacity = -1;
  Replay unlimited(settings, 2);
  unlimited.fix_ready(2);
  EXPECT_EQ(unlimited.to(10, 200).excess_burst_capacity, -1);
  EXPECT_EQ(unlimited.to(12, 200).desired, 3);
  settings.target_burst_capacity = 0;
  Replay none(settings, 2);
  EXPECT_EQ(none.to(10, 200).excess_burst_capacity, 0);
}

TEST(KpaTest, RequestsPerSecond) {
  KpaSettings settings;
  settings.metric = MetricKind::kRequests;
  settings.set_target({.target = 150});
  EXPECT_DOUBLE_EQ(settings.target, 105);
  Replay run(settings);
  const Decision d = run.to(2, 300);
  EXPECT_EQ(d.desired, 3);
  EXPECT_EQ(d.excess_burst_capacity, -361);
}

TEST(KpaTest, ScaleUpRateBoundsEachDecision) {
  KpaSettings settings;
  settings.max_scale_up_rate = 1.5;
  Replay run(settings);
  std::vector<int> desired;
  for (int t = 2; t <= 16; t += 2) desired.push_back(run.to(t, 2000).desired);
  EXPECT_EQ(desired, (std::vector<int>{2, 3, 5, 8, 12, 18, 27, 29}));
}

TEST(KpaTest, OneRequestPerPodWithAFractionalTarget) {
  KpaSettings settings;
  settings.set_target({.container_concurrency = 1, .utilization = 0.8});
  EXPECT_DOUBLE_EQ(settings.target, 0.8);
  EXPECT_DOUBLE_EQ(settings.total, 1);
  Replay run(settings);
  const Decision d = run.to(2, 3.4);
  EXPECT_EQ(d.desired, 5);
  EXPECT_EQ(d.excess_burst_capacity, -214);
}

TEST(KpaTest, WhatAnotherHopCountedIsTakenOff) {
  auto policy = make_kpa({}, 1, at(0));
  policy->observe({.at = at(1), .concurrency = 300, .proxied_concurrency = 150});
  const Decision d = policy->decide({.now = at(2), .ready = 1});
  EXPECT_DOUBLE_EQ(d.stable, 150);
  EXPECT_EQ(d.desired, 3);
  EXPECT_EQ(d.excess_burst_capacity, -261);
}

TEST(KpaTest, ARestartUnderLoadHoldsThePods) {
  Replay run(KpaSettings{}, 8);
  EXPECT_EQ(run.to(60, 140).desired, 8);
  EXPECT_EQ(run.to(62, 140).desired, 4);
  EXPECT_EQ(run.to(64, 140).desired, 2);
}

TEST(KpaTest, WithoutDataNothingIsDecided) {
  auto policy = make_kpa({}, 1, at(0));
  EXPECT_FALSE(policy->decide({.now = at(2), .ready = 1}).valid);
  policy->observe({.at = at(2), .concurrency = 140});
  EXPECT_TRUE(policy->decide({.now = at(62), .ready = 3}).valid);
  const Decision d = policy->decide({.now = at(64), .ready = 3});
  EXPECT_FALSE(d.valid);
  EXPECT_THAT(d.reason, HasSubstr("no metrics"));
}

TEST(KpaTest, ScaleDownDelayKeepsTheLargestOfItsLength) {
  KpaSettings settings;
  settings.scale_down_delay = seconds(30);
  settings.stable_window = seconds(6);
  Replay run(settings, 1);
  const auto load = [](int t) { return t <= 60 ? 350.0 : 35.0; };
  EXPECT_EQ(run.to(60, load).desired, 5);
  EXPECT_EQ(run.to(88, load).desired, 5);  // the last 5 was decided at 60
  EXPECT_EQ(run.to(90, load).desired, 4);
}

TEST(KpaTest, AnUnreachableRevisionMayDropAtOnce) {
  auto policy = make_kpa({}, 1, at(0));
  policy->observe({.at = at(1), .concurrency = 0});
  EXPECT_EQ(policy->decide({.now = at(2), .ready = 8}).desired, 4);
  EXPECT_EQ(policy->decide({.now = at(2), .ready = 8, .reachable = false}).desired, 0);
}

TEST(KpaTest, TargetsFollowLimitAnnotationAndUtilization) {
  KpaSettings settings;
  settings.set_target({});
  EXPECT_DOUBLE_EQ(settings.total, 100);
  EXPECT_DOUBLE_EQ(settings.target, 70);
  settings.set_target({.container_concurrency = 10, .target = 50});
  EXPECT_DOUBLE_EQ(settings.total, 10);
  settings.set_target({.container_concurrency = 50, .target = 25});
  EXPECT_DOUBLE_EQ(settings.target, 17.5);
  settings.set_target({.target = 0.01, .utilization = 0.1});
  EXPECT_DOUBLE_EQ(settings.target, 0.01);
}

TEST(KpaTest, PanicWindowIsAtLeastOneSecond) {
  KpaSettings settings;
  EXPECT_EQ(settings.panic_window(), seconds(6));
  settings.stable_window = seconds(6);
  EXPECT_EQ(settings.panic_window(), seconds(1));
}

TEST(AmountTest, BoundsAndReachability) {
  Decision ten;
  ten.desired = 10;
  const Decision none;
  EXPECT_EQ(amount(ten, {}, true), 10);
  EXPECT_EQ(amount(ten, {.min = 2, .max = 6}, true), 6);
  EXPECT_EQ(amount(none, {.min = 2}, true), 2);
  EXPECT_EQ(amount(none, {.min = 2}, false), 0);
}

TEST(ScaleToZeroTest, WaitsForTheWindowAndTheRetention) {
  Idleness idle{.last_active = at(0), .stable_window = seconds(60), .retention = seconds(30)};
  EXPECT_FALSE(may_go_to_zero(0, idle, at(89)));
  EXPECT_TRUE(may_go_to_zero(0, idle, at(90)));
  EXPECT_FALSE(may_go_to_zero(1, idle, at(90)));
  idle.reachable = false;
  EXPECT_TRUE(may_go_to_zero(0, idle, at(60)));
}

}  // namespace
}  // namespace ebb::scaling
