#include "control/autoscaler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <list>

#include "control/autoscaler_fixture.h"

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

}  // namespace
}  // namespace ebb::control
