#include "control/autoscaler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <list>

#include "control/autoscaler_testing.h"

namespace ebb::control {
namespace {

using namespace std::chrono_literals;
using scaling::PolicyClass;
using scaling::PolicySpec;

std::shared_ptr<const PolicySpec> with_window(Duration window) {
  PolicySpec spec;
  spec.kpa.stable_window = window;
  return std::make_shared<const PolicySpec>(std::move(spec));
}

class AutoScalerTest : public testing::Test {
 protected:
  void add(int concurrency = 1, int min = 0,
           const std::function<void(ScalePlan&, PolicySpec&)>& change = {}) {
    throttler_ = std::make_shared<serving::Throttler>(
        serving::ThrottlerOptions{.revision = "uid", .concurrency = concurrency}, node_, clock_,
        [this](const std::string& /*pod*/, const std::string& error) {
          scaler_.start_ended("uid", error);
        });
    auto pod = std::make_shared<scheduling::PodTemplate>();
    pod->revision = "uid";
    pod->ns = "default";
    pod->name = "hello-00001";
    pod->concurrency = static_cast<uint32_t>(concurrency);
    node_.subscribe(pod, throttler_);
    traffic_.add(throttler_);
    ScalePlan plan;
    plan.pod = pod;
    PolicySpec spec;
    spec.kpa.stable_window = 6s;
    spec.kpa.set_target({.container_concurrency = concurrency});
    plan.bounds.min = min;
    if (change) change(plan, spec);
    plan.policy = std::make_shared<const PolicySpec>(std::move(spec));
    scaler_.add(plan);
  }
  void pass(Duration time) {
    for (Duration passed{}; passed < time; passed += 1s) {
      clock_.advance(1s);
      scaler_.tick();
      settle();
    }
  }
  void settle() { executor_.run_until(TimePoint{}); }

  FakeClock clock_;
  net::Executor executor_{"control"};
  serving::Traffic traffic_;
  FakeNode node_;
  EventRecorder events_{clock_};
  // All pods use so much of a core from the last call to this one.
  void use(double cores) {
    const auto now_ns = static_cast<uint64_t>(clock_.now().time_since_epoch().count());
    cpu_ns_ += static_cast<uint64_t>(cores * static_cast<double>(now_ns - measured_ns_));
    measured_ns_ = now_ns;
    node::PodUsage message;
    for (const auto& name : node_.names) {
      message.pods.push_back({.pod = name,
                              .revision = "uid",
                              .ready = 1,
                              .age_ms = 600'000,
                              .state_age_ms = 600'000,
                              .at_ns = now_ns,
                              .cpu_ns = cpu_ns_,
                              .memory_bytes = 1 << 20});
    }
    metrics_.on_message("node", message);
  }
  PodMetrics metrics_{clock_};
  uint64_t measured_ns_ = 0;
  uint64_t cpu_ns_ = 0;
  AutoScaler scaler_{executor_, traffic_, node_, clock_, {.events = &events_, .pods = &metrics_}};
  std::shared_ptr<serving::Throttler> throttler_;
};

TEST_F(AutoScalerTest, WakesAtOnceAndOnlyOnce) {
  add();
  for (int i = 0; i < 5; ++i) scaler_.wake("uid");
  EXPECT_EQ(node_.names.size(), 1u);
  EXPECT_EQ(scaler_.status("uid").desired, 1);
}

TEST_F(AutoScalerTest, GrowsWithLoadAndGoesBackToZero) {
  add();
  scaler_.wake("uid");
  std::vector<serving::Slot> slots;
  slots.push_back(std::move(*throttler_->try_acquire().slot));
  std::vector<serving::Throttler::GrantShot::Pair> waiting;
  for (int i = 0; i < 6; ++i) {
    waiting.push_back(serving::Throttler::GrantShot::make(executor_));
    static_cast<void>(throttler_->enqueue(waiting.back().sender));
  }
  pass(6s);
  EXPECT_EQ(node_.names.size(), 10u);  // 7 in the system, 0.7 of 1 a pod
  slots.clear();
  for (auto& shot : waiting) {
    auto awaiter = shot.receiver.wait(TimePoint{});
    ASSERT_TRUE(awaiter.await_ready());
    auto grant = awaiter.await_resume();
    ASSERT_TRUE(grant && *grant);
  }
  pass(5s);
  EXPECT_GE(node_.names.size(), 1u);  // the window is not empty yet
  pass(20s);
  EXPECT_EQ(node_.names.size(), 0u);
}

TEST_F(AutoScalerTest, ARevisionIsProvenAndThenRests) {
  add();
  std::optional<std::string> outcome;
  node_.start_well = false;
  scaler_.prove("uid", [&](std::string error) { outcome = std::move(error); });
  settle();
  EXPECT_EQ(node_.names.size(), 1u);
  EXPECT_FALSE(outcome);
  node_.listener->pod_ready(node_.names[0]);
  settle();
  EXPECT_EQ(outcome, "");
  EXPECT_EQ(node_.names.size(), 0u);  // given back at once
}

TEST_F(AutoScalerTest, OtherRulesHoldAtOnce) {
  add(10);
  const auto plan = [](int min, Duration window) {
    ScalePlan out;
    out.policy = with_window(window);
    out.bounds.min = min;
    return out;
  };
  scaler_.replan("uid", plan(3, 6s));
  EXPECT_EQ(node_.names.size(), 3u) << "the minimum, although nothing happens there";
  EXPECT_THAT(scaler_.status("uid").reason, testing::HasSubstr("minimum"));
  EXPECT_EQ(scaler_.status("uid").pod->name, "hello-00001");
  pass(30s);
  EXPECT_EQ(node_.names.size(), 3u);
  scaler_.replan("uid", plan(0, 60s));
  pass(50s);
  EXPECT_GT(node_.names.size(), 0u) << "the new window has not passed";
  pass(100s);
  EXPECT_EQ(node_.names.size(), 0u);
  scaler_.replan("gone", plan(1, 6s));  // nothing happens
}

TEST_F(AutoScalerTest, AMinimumStaysAfterTheProof) {
  add(0, 2);
  std::optional<std::string> outcome;
  scaler_.prove("uid", [&](std::string error) { outcome = std::move(error); });
  settle();
  EXPECT_EQ(outcome, "");
  EXPECT_EQ(node_.names.size(), 2u);
  pass(30s);
  EXPECT_EQ(node_.names.size(), 2u);
  scaler_.set_reachable("uid", false);
  pass(2s);
  EXPECT_EQ(node_.names.size(), 0u);  // nobody can call it any more
}

TEST_F(AutoScalerTest, AFailedProofSaysWhyAndBacksOff) {
  add();
  std::optional<std::string> outcome;
  node_.start_well = false;
  scaler_.prove("uid", [&](std::string error) { outcome = std::move(error); });
  const std::string pod = node_.names[0];
  node_.names.clear();
  node_.listener->pod_gone(pod, {.reason = "LoadFailed", .message = "SyntaxError"});
  settle();
  EXPECT_EQ(outcome, "SyntaxError");
  node_.wanted.clear();
  pass(10s);
  EXPECT_THAT(node_.wanted, testing::Each(0));  // nobody asks: nothing is started
}

TEST_F(AutoScalerTest, AProofThatFindsNoRoomEnds) {
  add();
  std::optional<std::string> outcome;
  node_.start_well = false;
  scaler_.prove("uid", [&](std::string error) { outcome = std::move(error); });
  pass(89s);
  EXPECT_FALSE(outcome);
  pass(3s);
  EXPECT_THAT(outcome.value_or(""), testing::HasSubstr("no node has room"));
}

// --- Knative's rules besides the formula (its kpa/scaler.go) ---

struct Case {
  const char* name;
  int concurrency;
  double requests;  // held in the system all the time
  void (*change)(ScalePlan&, PolicySpec&);
  size_t pods;  // after 10 s
};

class AutoScalerRules : public AutoScalerTest, public testing::WithParamInterface<Case> {};

TEST_P(AutoScalerRules, Hold) {
  const Case& param = GetParam();
  add(param.concurrency, 0, param.change);
  scaler_.wake("uid");
  std::vector<serving::Throttler::GrantShot::Pair> held;
  for (int i = 0; i < param.requests; ++i) {
    held.push_back(serving::Throttler::GrantShot::make(executor_));
    static_cast<void>(throttler_->enqueue(held.back().sender));
  }
  pass(10s);
  EXPECT_EQ(node_.names.size(), param.pods);
}

INSTANTIATE_TEST_SUITE_P(
    Knative, AutoScalerRules,
    testing::Values(
        Case{"Formula", 10, 21, [](ScalePlan&, PolicySpec&) {}, 3},
        Case{"Maximum", 1, 20, [](ScalePlan& plan, PolicySpec& /*spec*/) { plan.bounds.max = 4; },
             4},
        Case{"Minimum", 10, 1, [](ScalePlan& plan, PolicySpec& /*spec*/) { plan.bounds.min = 3; },
             3},
        Case{"ActivationScale", 10, 1,
             [](ScalePlan& /*plan*/, PolicySpec& spec) { spec.kpa.activation_scale = 5; }, 5},
        Case{"ActivationScaleUnderTheMaximum", 10, 1,
             [](ScalePlan& plan, PolicySpec& spec) {
               spec.kpa.activation_scale = 5;
               plan.bounds.max = 3;
             },
             3},
        Case{"ScaleUpRate", 1, 100,
             [](ScalePlan& /*plan*/, PolicySpec& spec) { spec.kpa.max_scale_up_rate = 1.5; }, 12},
        Case{"Unlimited", 0, 150, [](ScalePlan&, PolicySpec&) {}, 3}),
    [](const auto& one) { return one.param.name; });

TEST_F(AutoScalerTest, TheLastPodIsRetainedAsLongAsAsked) {
  add(1, 0, [](ScalePlan& plan, PolicySpec& /*spec*/) { plan.retention = 20s; });
  scaler_.wake("uid");
  {
    auto slot = throttler_->try_acquire();
  }
  pass(24s);
  EXPECT_EQ(node_.names.size(), 1u);
  pass(6s);
  EXPECT_EQ(node_.names.size(), 0u);
}

TEST_F(AutoScalerTest, RetentionDoesNotHoldWhatNobodyCanReach) {
  add(1, 0, [](ScalePlan& plan, PolicySpec& /*spec*/) { plan.retention = 1h; });
  scaler_.wake("uid");
  {
    auto slot = throttler_->try_acquire();
  }
  scaler_.set_reachable("uid", false);
  pass(2s);
  EXPECT_EQ(node_.names.size(), 0u);
}

TEST_F(AutoScalerTest, ARequestThatWaitsIsServedAlsoWhereNoRouteLeadsAnyMore) {
  add();
  scaler_.set_reachable("uid", false);
  node_.full = true;
  auto held = serving::Throttler::GrantShot::make(executor_);
  ASSERT_TRUE(throttler_->enqueue(held.sender).no_pods);
  scaler_.wake("uid");
  pass(4s);
  EXPECT_EQ(scaler_.status("uid").desired, 1);
  node_.full = false;
  pass(2s);
  EXPECT_EQ(node_.names.size(), 1u);
}

TEST_F(AutoScalerTest, WithoutScaleToZeroOnePodStays) {
  AutoScaler scaler(executor_, traffic_, node_, clock_, {.enable_scale_to_zero = false});
  add();
  scaler_.remove("uid");
  ScalePlan plan;
  auto pod = std::make_shared<scheduling::PodTemplate>();
  pod->revision = "uid";
  plan.pod = pod;
  plan.policy = with_window(6s);
  scaler.add(plan);
  for (int i = 0; i < 30; ++i) {
    clock_.advance(1s);
    scaler.tick();
  }
  EXPECT_EQ(node_.names.size(), 1u);
}

TEST_F(AutoScalerTest, AnInitialScaleOfZeroStartsNothing) {
  add(1, 0, [](ScalePlan& plan, PolicySpec& /*spec*/) { plan.initial_scale = 0; });
  std::optional<std::string> outcome;
  scaler_.prove("uid", [&](std::string error) { outcome = std::move(error); });
  settle();
  EXPECT_EQ(outcome, "");
  EXPECT_EQ(node_.next, 0);
}

TEST_F(AutoScalerTest, AnInitialScaleMustBeReachedByAllThenTheyRest) {
  node_.start_well = false;
  add(1, 0, [](ScalePlan& plan, PolicySpec& /*spec*/) { plan.initial_scale = 3; });
  std::optional<std::string> outcome;
  scaler_.prove("uid", [&](std::string error) { outcome = std::move(error); });
  settle();
  ASSERT_EQ(node_.names.size(), 3u);
  const auto names = node_.names;
  for (const auto& name : names) {
    EXPECT_FALSE(outcome);
    node_.listener->pod_ready(name);
    settle();
  }
  EXPECT_EQ(outcome, "");
  EXPECT_EQ(node_.names.size(), 0u);
}

TEST_F(AutoScalerTest, RequestsPerSecondCount) {
  add(0, 0, [](ScalePlan& /*plan*/, PolicySpec& spec) {
    spec.kpa.metric = scaling::MetricKind::kRequests;
    spec.kpa.set_target({.target = 10});
  });
  scaler_.wake("uid");
  for (int second = 0; second < 10; ++second) {
    for (int i = 0; i < 20; ++i) auto slot = throttler_->try_acquire();
    pass(1s);
  }
  EXPECT_EQ(node_.names.size(), 3u);  // 20 / 7
  EXPECT_NEAR(scaler_.status("uid").requests, 20, 0.1);
}

TEST_F(AutoScalerTest, ABurstIsDecidedAtOnceWhenAsked) {
  add(10);
  std::vector<serving::Throttler::GrantShot::Pair> held;
  for (int i = 0; i < 30; ++i) {
    held.push_back(serving::Throttler::GrantShot::make(executor_));
    static_cast<void>(throttler_->enqueue(held.back().sender));
  }
  scaler_.decide_now("uid");
  EXPECT_EQ(node_.names.size(), 5u);  // 30 / 7
  scaler_.decide_now("uid");
  EXPECT_EQ(node_.names.size(), 5u);
}

TEST_F(AutoScalerTest, ACrowdGetsItsPodsWithoutWaitingForATick) {
  add(10);
  std::vector<serving::Throttler::GrantShot::Pair> held;
  int told = 0;
  for (int i = 0; i < 100; ++i) {
    held.push_back(serving::Throttler::GrantShot::make(executor_));
    const auto ticket = throttler_->enqueue(held.back().sender);
    if (ticket.no_pods) scaler_.wake("uid");
    if (!ticket.crowded) continue;
    ++told;
    scaler_.crowded("uid");
  }
  EXPECT_EQ(told, 1);  // one message, however many wait
  EXPECT_EQ(node_.names.size(), 1u);
  settle();
  EXPECT_EQ(node_.names.size(), 15u);  // 100 / (0.7 * 10)
  pass(2s);
  EXPECT_GE(node_.names.size(), 10u);  // no tick takes away what is busy
}

// --- The other classes ---

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

// --- What it costs, and what is to be seen ---

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

TEST_F(AutoScalerTest, ATickLooksOnlyWhereSomethingHappens) {
  add();
  EXPECT_EQ(scaler_.active(), 0u);
  pass(3600s);  // asleep for long: the next request's first second must count in full
  scaler_.wake("uid");
  EXPECT_EQ(scaler_.active(), 1u);
  {
    auto slot = throttler_->try_acquire();
    pass(2s);
    EXPECT_NEAR(scaler_.status("uid").concurrency, 1, 0.01);
  }
  pass(30s);
  EXPECT_EQ(node_.names.size(), 0u);
  EXPECT_EQ(scaler_.active(), 0u);
}

TEST_F(AutoScalerTest, TellsOnceWhatHasBeenRescaled) {
  add();
  EXPECT_THAT(scaler_.take_rescaled(), testing::IsEmpty());
  scaler_.wake("uid");
  {
    auto slot = throttler_->try_acquire();
  }
  EXPECT_THAT(scaler_.take_rescaled(),
              testing::ElementsAre(resources::ObjectKey{"default", "hello-00001"}));
  pass(2s);
  EXPECT_THAT(scaler_.take_rescaled(), testing::IsEmpty());
  pass(30s);
  EXPECT_EQ(scaler_.take_rescaled().size(), 1u);
}

TEST_F(AutoScalerTest, RecordsWhyItScaled) {
  add();
  scaler_.wake("uid");
  {
    auto slot = throttler_->try_acquire();
  }
  pass(20s);
  std::vector<std::string> reasons;
  for (const auto& one : events_.list()) reasons.push_back(one.event.reason);
  EXPECT_THAT(reasons, testing::IsSupersetOf({"ScaledFromZero", "ScaledToZero"}));
  const auto found = scaler_.find({"default", "hello-00001"});
  ASSERT_TRUE(found);
  EXPECT_THAT(found->reason, testing::HasSubstr("stable 0.0"));
}

TEST_F(AutoScalerTest, ChangesAreNumbered) {
  const int64_t before = scaler_.version();
  add();
  const int64_t added = scaler_.version();
  scaler_.wake("uid");
  std::vector<ScaleStatus> changes;
  ASSERT_TRUE(scaler_.changes(added, &changes));
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].desired, 1);
  const int64_t woken = scaler_.version();
  scaler_.remove("uid");
  changes.clear();
  ASSERT_TRUE(scaler_.changes(woken, &changes));
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_TRUE(changes[0].gone);
  changes.clear();
  ASSERT_TRUE(scaler_.changes(before, &changes));
  EXPECT_THAT(changes, testing::IsEmpty());  // came and went unseen
  EXPECT_FALSE(scaler_.changes(0, &changes));
}

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
