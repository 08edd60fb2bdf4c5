// The AutoScaler with policies other than kpa, and with numbers that pods or others tell.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/autoscaler_fixture.h"

namespace ebb::control {
namespace {

using namespace std::chrono_literals;
using scaling::PolicyClass;
using scaling::PolicySpec;

class AutoScalerClasses : public AutoScalerTest {
 protected:
  // So many requests come at once, as the gateway lets them in.
  void burst(int requests) {
    for (int i = 0; i < requests; ++i) {
      held_.push_back(serving::Throttler::GrantShot::make(executor_));
      const auto ticket = throttler_->enqueue(held_.back().sender);
      if (ticket.no_pods) scaler_.wake("uid");
      if (ticket.crowded) scaler_.crowded("uid");
    }
    settle();
  }
  // Those that have a slot are answered.
  void answer() {
    std::vector<serving::Throttler::GrantShot::Pair> left;
    for (auto& shot : held_) {
      auto awaiter = shot.receiver.wait(TimePoint{});
      if (awaiter.await_ready()) {
        auto grant = awaiter.await_resume();
        ASSERT_TRUE(grant && *grant);
      } else {
        left.push_back(std::move(shot));
      }
    }
    held_ = std::move(left);
  }
  [[nodiscard]] std::vector<std::string> event_reasons() const {
    std::vector<std::string> out;
    for (const auto& one : events_.list()) out.push_back(one.event.reason);
    return out;
  }

  std::vector<serving::Throttler::GrantShot::Pair> held_;
};

TEST_F(AutoScalerClasses, AdaptiveReactsToABurstAtOnceAndDoesNotOvershoot) {
  add(1, 0, [](ScalePlan& /*plan*/, PolicySpec& spec) {
    spec.policy = PolicyClass::kAdaptive;
    spec.adaptive.window = 2s;
  });
  burst(10);
  EXPECT_EQ(node_.names.size(), 10u) << "no tick was needed";
  pass(4s);
  EXPECT_EQ(node_.names.size(), 10u) << "slow requests, as many pods as they need";
  answer();
  EXPECT_TRUE(held_.empty());
  pass(12s);
  EXPECT_EQ(node_.names.size(), 0u);
  EXPECT_EQ(scaler_.active(), 0u);
}

TEST_F(AutoScalerClasses, AdaptiveLearnsFromAReturnAlsoThoughItRested) {
  add(1, 0, [](ScalePlan& /*plan*/, PolicySpec& spec) {
    spec.policy = PolicyClass::kAdaptive;
    spec.adaptive.window = 2s;
  });
  const auto call = [&] {
    burst(1);
    pass(1s);
    answer();
  };
  call();
  pass(6s);
  ASSERT_EQ(node_.names.size(), 0u);
  ASSERT_EQ(scaler_.active(), 0u);
  call();
  pass(6s);
  EXPECT_EQ(node_.names.size(), 1u) << "the last time a request came after six seconds";
  pass(6s);
  EXPECT_EQ(node_.names.size(), 0u);
}

TEST_F(AutoScalerClasses, AdaptiveCountsRequestsInPodsThatStillLoadAsWaiting) {
  node_.start_well = false;
  add(1, 0, [](ScalePlan& /*plan*/, PolicySpec& spec) { spec.policy = PolicyClass::kAdaptive; });
  burst(10);
  EXPECT_EQ(node_.names.size(), 10u) << "the first one sits in a pod that is no help yet";
}

TEST_F(AutoScalerClasses, BoundsHoldForABurst) {
  add(1, 0, [](ScalePlan& plan, PolicySpec& spec) {
    spec.policy = PolicyClass::kAdaptive;
    plan.bounds.max = 4;
  });
  burst(10);
  EXPECT_EQ(node_.names.size(), 4u);
}

TEST_F(AutoScalerClasses, AverageMakesExactlyAsManyAsTheRuleSays) {
  add(10, 0, [](ScalePlan& /*plan*/, PolicySpec& spec) {
    spec.policy = PolicyClass::kAverage;
    spec.average = {.target = 10, .window = 4s};
  });
  burst(100);
  pass(10s);
  EXPECT_EQ(node_.names.size(), 10u);
  EXPECT_THAT(scaler_.status("uid").reason, testing::HasSubstr("average 100.0 / target 10.0"));
}

TEST_F(AutoScalerClasses, HpaGrowsByUseOverTargetAndGoesToZero) {
  add(10, 0, [](ScalePlan& /*plan*/, PolicySpec& spec) {
    using scaling::HpaMetricSpec;
    spec.policy = PolicyClass::kHpa;
    spec.hpa.spec.max = 100;
    spec.hpa.zero_after = 60s;
    spec.hpa.spec.downscale_stabilization = 30s;
    spec.hpa.spec.metrics = {{.source = HpaMetricSpec::Source::kExternal,
                              .name = "concurrency",
                              .type = HpaMetricSpec::Type::kAverageValue,
                              .target = 5000}};
  });
  burst(40);
  EXPECT_EQ(node_.names.size(), 1u) << "it decides every 15 s";
  pass(90s);
  EXPECT_EQ(node_.names.size(), 8u) << "40 in the system at 5 a pod";
  answer();
  pass(150s);
  EXPECT_EQ(node_.names.size(), 0u);
}

TEST_F(AutoScalerClasses, APolicyThatFailsNowAndThenIsNotToldEachTime) {
  auto file = std::make_shared<scaling::LuaFile>("mine.lua");
  file->set(
      "function decide(m, s) if s.now % 4 < 2 then error('at ' .. s.now) end "
      "return {desired = 1} end");
  add(10, 0, [&](ScalePlan& /*plan*/, PolicySpec& spec) {
    spec.policy = PolicyClass::kLua;
    spec.lua = file;
    spec.lua_window = 60s;
  });
  burst(1);
  pass(60s);
  const auto reasons = event_reasons();
  const auto told =
      std::ranges::count(reasons, "PolicyFailed") + std::ranges::count(reasons, "PolicyMended");
  EXPECT_GE(told, 2);
  EXPECT_LE(told, 13) << "one in 5 s";
}

TEST_F(AutoScalerClasses, AFailingLuaPolicyKeepsTheAmountAndIsToldOnce) {
  auto file = std::make_shared<scaling::LuaFile>("mine.lua");
  file->set("function decide(m, s) return {desired = 3, reason = 'three'} end");
  add(10, 0, [&](ScalePlan& /*plan*/, PolicySpec& spec) {
    spec.policy = PolicyClass::kLua;
    spec.lua = file;
    spec.lua_window = 2s;
  });
  burst(1);
  pass(2s);
  EXPECT_EQ(node_.names.size(), 3u);
  EXPECT_EQ(scaler_.status("uid").error, "");

  file->set("function decide(m, s) return {desired = m.nothing + 1} end");
  pass(6s);
  EXPECT_EQ(node_.names.size(), 3u);
  EXPECT_THAT(scaler_.status("uid").error, testing::StartsWith("mine.lua:1:"));
  EXPECT_EQ(std::ranges::count(event_reasons(), "PolicyFailed"), 1);

  file->set("function decide(m, s) return {desired = 5} end");
  pass(2s);
  EXPECT_EQ(node_.names.size(), 5u);
  EXPECT_EQ(scaler_.status("uid").error, "");
  EXPECT_THAT(event_reasons(), testing::Contains("PolicyMended"));

  file->set("function decide(m, s) return {desired = 0} end");
  pass(2s);
  EXPECT_EQ(node_.names.size(), 1u) << "whoever is inside keeps a pod";
  answer();
  pass(6s);
  EXPECT_EQ(node_.names.size(), 0u);
}

TEST_F(AutoScalerClasses, AScheduleStartsPodsWhereNobodyCalls) {
  add(1, 0, [](ScalePlan& /*plan*/, PolicySpec& spec) {
    spec.policy = PolicyClass::kAverage;
    spec.schedule = *scaling::parse_schedule("1 0 * * * | 3 0 * * * | 2");  // it is midnight
  });
  EXPECT_EQ(scaler_.active(), 1u);
  pass(50s);
  EXPECT_EQ(node_.names.size(), 0u);
  pass(20s);
  EXPECT_EQ(node_.names.size(), 2u);
  EXPECT_THAT(scaler_.status("uid").reason, testing::HasSubstr("schedule"));
  pass(150s);
  EXPECT_EQ(node_.names.size(), 0u);
}

TEST_F(AutoScalerClasses, HybridKeepAliveUnloadsAndLoadsAheadByPattern) {
  add(1, 0, [](ScalePlan& /*plan*/, PolicySpec& spec) {
    spec.policy = PolicyClass::kAverage;
    spec.average.window = 4s;
    spec.hybrid_keep_alive = scaling::HybridSettings{.fallback = 5min};
  });
  const auto call = [&] {
    burst(1);
    pass(1s);
    answer();
  };
  call();
  pass(4min);
  EXPECT_EQ(node_.names.size(), 1u) << "nothing is known: kept for a while";
  pass(2min);
  EXPECT_EQ(node_.names.size(), 0u);
  for (int i = 0; i < 20; ++i) {  // one call each 20 minutes
    call();
    pass(20min);
  }
  call();
  pass(30s);
  EXPECT_EQ(node_.names.size(), 0u) << "nobody will come for a while";
  pass(18min);
  EXPECT_EQ(node_.names.size(), 1u) << "the next call is due";
  EXPECT_THAT(scaler_.status("uid").reason, testing::HasSubstr("loaded: one may come"));
}

TEST_F(AutoScalerClasses, MeasuresHowLongAStartTakes) {
  node_.start_well = false;
  add(1);
  burst(1);
  clock_.advance(400ms);
  node_.listener->pod_ready(node_.names[0]);
  settle();
  EXPECT_EQ(scaler_.status("uid").start_time, 400ms);
}

// --- What holds for every class ---

TEST_F(AutoScalerClasses, TheOperatorsLimitHoldsForWhateverARevisionSays) {
  scaler_.set_limits({.per_revision = 3});
  add(1, 0, [](ScalePlan& plan, PolicySpec& spec) {
    spec.policy = PolicyClass::kAdaptive;
    plan.bounds = {.min = 4, .max = 8};
  });
  burst(10);
  EXPECT_EQ(node_.names.size(), 3u);
  pass(2s);
  EXPECT_EQ(node_.names.size(), 3u) << "the minimum, too";
  EXPECT_THAT(scaler_.status("uid").reason, testing::HasSubstr("held at max-scale-limit 3"));
  scaler_.set_limits({});
  pass(2s);
  EXPECT_EQ(node_.names.size(), 8u);
}

// --- What is measured, or told from outside ---

void by_cpu(PolicySpec& spec) {
  spec.policy = PolicyClass::kHpa;
  spec.hpa = {
      .spec = {.max = 10, .downscale_stabilization = 30s}, .cpu_request = 1000, .zero_after = 20s};
}

TEST_F(AutoScalerTest, ClassHpaFollowsTheCpuOfItsPodsAndGoesToZero) {
  add(0, 0, [](ScalePlan& /*plan*/, PolicySpec& spec) { by_cpu(spec); });
  EXPECT_EQ(scaler_.hpa_seen("uid"), nullptr);
  scaler_.wake("uid");
  {
    auto slot = throttler_->try_acquire();
    use(0);
    for (int second = 0; second < 20 && node_.names.size() < 2; ++second) {
      pass(1s);
      use(1.6);  // 160 % of the request, at a target of 80 %
    }
    EXPECT_EQ(node_.names.size(), 2u);
    EXPECT_THAT(scaler_.status("uid").reason, testing::HasSubstr("cpu 160 % / 80 % -> 2"));
    EXPECT_EQ(scaler_.status("uid").desired, 2);
    const auto seen = scaler_.hpa_seen("uid");
    ASSERT_TRUE(seen);
    EXPECT_EQ(seen->result.desired, 2);
    EXPECT_EQ(seen->input.readings.at(0).samples.at(0).value, 1600);
  }
  use(0);
  pass(18s);
  EXPECT_EQ(node_.names.size(), 2u) << "its window is over soon, its stabilization is not";
  for (int second = 0; second < 50; ++second) {
    pass(1s);
    use(0);
  }
  EXPECT_EQ(node_.names.size(), 0u);
  EXPECT_EQ(scaler_.hpa_seen("uid"), nullptr);
  EXPECT_EQ(scaler_.active(), 0u);
}

TEST_F(AutoScalerTest, WithoutMeasurementsClassHpaKeepsWhatThereIs) {
  add(0, 0, [](ScalePlan& /*plan*/, PolicySpec& spec) { by_cpu(spec); });
  scaler_.wake("uid");
  auto slot = throttler_->try_acquire();
  pass(60s);
  EXPECT_EQ(node_.names.size(), 1u);
  ASSERT_TRUE(scaler_.hpa_seen("uid"));
  EXPECT_EQ(scaler_.hpa_seen("uid")->result.scaling_active.reason, "FailedGetResourceMetric");
}

TEST_F(AutoScalerTest, OtherClassesHaveDecidedNothingAsAnHpa) {
  add();
  scaler_.wake("uid");
  EXPECT_FALSE(scaler_.hpa_seen("uid"));
  EXPECT_FALSE(scaler_.hpa_seen("nobody"));
}

TEST_F(AutoScalerTest, ANumberFromOutsideWakesAndScalesWithoutARequest) {
  Result<double> jobs = 0;
  add(0, 0, [&](ScalePlan& plan, PolicySpec& spec) {
    spec.policy = PolicyClass::kAverage;
    spec.average = {.outside = "jobs", .target = 10, .window = 2s};
    spec.outside = true;
    plan.outside.push_back({"jobs", [&jobs] { return jobs; }});
  });
  pass(60s);
  EXPECT_EQ(node_.names.size(), 0u);
  jobs = 35;
  pass(6s);
  EXPECT_EQ(node_.names.size(), 4u);
  EXPECT_THAT(scaler_.status("uid").reason, testing::HasSubstr("jobs 35.0 / target 10.0 -> 4"));
  // Its server is gone: nobody is taken away, and it is told once.
  jobs = fail(Errc::kUnavailable, "http://q/: cannot connect");
  pass(20s);
  EXPECT_EQ(node_.names.size(), 4u);
  EXPECT_EQ(scaler_.status("uid").error, "metric jobs: http://q/: cannot connect");
  jobs = 0;
  pass(20s);
  EXPECT_EQ(node_.names.size(), 0u);
  EXPECT_EQ(scaler_.status("uid").error, "");
  std::vector<std::string> reasons;
  for (const auto& one : events_.list()) {
    reasons.push_back(one.event.reason);
    if (one.event.reason == "PolicyFailed") {
      EXPECT_EQ(one.event.count, 1);
    }
  }
  EXPECT_THAT(reasons, testing::IsSupersetOf({"PolicyFailed", "PolicyMended"}));
}

}  // namespace
}  // namespace ebb::control
