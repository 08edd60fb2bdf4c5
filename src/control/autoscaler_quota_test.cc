// What the revisions of a namespace, or of a service, may have together.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "control/autoscaler.h"
#include "control/autoscaler_fixture.h"

namespace ebb::control {
namespace {

using namespace std::chrono_literals;

using AutoScalerNamespace = AutoScalerOfMany;

TEST_F(AutoScalerNamespace, AnIdlePodGoesToWhoeverWaits) {
  scaler_.set_limits({.per_namespace = 2});
  add("a");
  add("b");
  call("a", 2);
  ASSERT_EQ(pods("a"), 2u);
  answer("a");
  EXPECT_EQ(pods("b"), 0u);
  call("b");
  // Crowds are looked at one period apart.
  for (int i = 0; i < 100 && pods("b") == 0; ++i) {
    executor_.run_until(executor_.now() + AutoScaler::kCrowdPeriod);
  }
  EXPECT_EQ(pods("a"), 1u) << "the busy one stays";
  EXPECT_EQ(pods("b"), 1u) << "no tick was needed";
  pass(10s);
  EXPECT_EQ(pods("a"), 1u);
  EXPECT_EQ(pods("b"), 1u);
  EXPECT_THAT(scaler_.status("a").reason,
              testing::HasSubstr("held at 1: the namespace may have 2 pods"));
}

TEST_F(AutoScalerNamespace, AMinimumYieldsToWhoWaitsAndHasNothing) {
  scaler_.set_limits({.per_namespace = 2});
  add("a", {.bounds = {.min = 2}});
  scaler_.set_reachable("a", true);
  pass(2s);
  ASSERT_EQ(pods("a"), 2u);
  add("b");
  call("b", 3);
  pass(1s);
  EXPECT_EQ(pods("b"), 1u) << "and no more: the rest of the minimum stays";
  EXPECT_EQ(pods("a"), 1u);
  pass(10s);
  EXPECT_EQ(pods("a"), 1u);
  for (int i = 0; i < 3; ++i) answer("b");
  pass(90s);
  EXPECT_EQ(pods("b"), 0u);
  EXPECT_EQ(pods("a"), 2u) << "it has its minimum again";
}

TEST_F(AutoScalerNamespace, TheRevisionsOfAServiceShareItsMaximum) {
  add("other", {.service = "t", .service_max = 1});
  add("old", {.service = "s"});
  add("new", {.service = "s", .service_max = 3});
  call("old", 3);
  call("new", 3);
  call("other", 1);
  pass(4s);
  EXPECT_EQ(pods("old") + pods("new"), 3u);
  EXPECT_EQ(pods("other"), 1u) << "another service's pods do not count";
  EXPECT_THAT(scaler_.status("new").reason,
              testing::HasSubstr("held at 0: the service may have 3 pods"));
  const auto is_full = [](const auto& one) { return one.event.reason == "ServiceFull"; };
  EXPECT_TRUE(std::ranges::any_of(events_.list(), is_full));
  answer("old");
  pass(2s);
  EXPECT_EQ(pods("new"), 1u) << "what is idle goes to who waits";
  EXPECT_EQ(pods("old"), 2u);
  scaler_.remove("new");
  scaler_.remove("old");
  EXPECT_EQ(scaler_.status("other").desired, 1);
}

TEST_F(AutoScalerNamespace, TheNewestRevisionsMaximumHoldsInWhateverOrderTheyCome) {
  add("new", {.service = "s", .service_max = 2, .generation = 2});
  add("old", {.service = "s", .service_max = 9, .generation = 1});
  call("old", 4);
  pass(4s);
  EXPECT_EQ(pods("old"), 2u);
  // Other settings for all revisions, say.
  ScalePlan plan;
  scaling::PolicySpec spec;
  spec.kpa.set_target({.container_concurrency = 1});
  plan.policy = std::make_shared<const scaling::PolicySpec>(spec);
  plan.service_max = 9;
  scaler_.replan("old", plan);
  pass(4s);
  EXPECT_EQ(pods("old"), 2u);
  plan.service_max = 3;
  scaler_.replan("new", plan);
  pass(4s);
  EXPECT_EQ(pods("old"), 3u);
}

TEST_F(AutoScalerNamespace, BothSharesHold) {
  scaler_.set_limits({.per_namespace = 2});
  add("a", {.service = "s", .service_max = 1});
  add("b", {.service = "s", .service_max = 1});
  add("c", {.service = "t"});
  call("a", 1);
  call("c", 1);
  call("b", 1);
  pass(6s);
  EXPECT_EQ(pods("a"), 1u);
  EXPECT_EQ(pods("b"), 0u);
  EXPECT_EQ(pods("c"), 1u);
  answer("c");
  pass(4s);
  EXPECT_EQ(pods("b"), 0u) << "its service is full";
  answer("a");
  pass(4s);
  EXPECT_EQ(pods("b"), 1u);
  EXPECT_EQ(pods("a"), 0u);
}

TEST_F(AutoScalerNamespace, WhoWaitsLongestHasTheNextPod) {
  scaler_.set_limits({.per_namespace = 1});
  for (const char* uid : {"a", "b", "c"}) add(uid);
  call("a");
  call("c");
  pass(3s);
  call("b");
  pass(3s);
  EXPECT_EQ(pods("a"), 1u);
  EXPECT_EQ(pods("b") + pods("c"), 0u);
  answer("a");
  pass(1s);
  EXPECT_EQ(pods("c"), 1u);
  EXPECT_EQ(pods("a") + pods("b"), 0u);
  answer("c");
  pass(1s);
  EXPECT_EQ(pods("b"), 1u);
  EXPECT_EQ(pods("a") + pods("c"), 0u);
  answer("b");
  const auto is_full = [](const auto& one) { return one.event.reason == "NamespaceFull"; };
  EXPECT_TRUE(std::ranges::any_of(events_.list(), is_full));
  pass(120s);
  EXPECT_EQ(pods("a") + pods("b") + pods("c"), 0u);
}

TEST_F(AutoScalerNamespace, ALoweredLimitTakesIdlePodsOnly) {
  add("a");
  call("a", 4);
  answer("a");
  answer("a");
  ASSERT_GE(pods("a"), 4u);
  scaler_.set_limits({.per_namespace = 1});
  pass(2s);
  EXPECT_EQ(pods("a"), 2u) << "two are busy";
  answer("a");
  pass(2s);
  EXPECT_EQ(pods("a"), 1u);
}

TEST_F(AutoScalerNamespace, AProofNeedsRoomToo) {
  scaler_.set_limits({.per_namespace = 1});
  add("a");
  call("a");
  add("b");
  std::optional<std::string> outcome;
  scaler_.prove("b", [&](std::string error) { outcome = std::move(error); });
  pass(5s);
  EXPECT_FALSE(outcome);
  EXPECT_EQ(pods("b"), 0u);
  answer("a");
  pass(2s);
  EXPECT_EQ(outcome, "");
  call("a");
  add("c");
  outcome.reset();
  scaler_.prove("c", [&](std::string error) { outcome = std::move(error); });
  pass(100s);
  EXPECT_THAT(*outcome, testing::HasSubstr("has all the pods that it may have"));
}

}  // namespace
}  // namespace ebb::control
