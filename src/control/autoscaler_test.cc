#include "control/autoscaler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ebb::control {
namespace {

using namespace std::chrono_literals;

// Remembers what was wanted; pods start at once, as from a full pool.
class FakeNode final : public scheduling::ScaleTarget, public scheduling::PodSource {
 public:
  void scale(const std::string& /*revision*/, int pods) override {
    wanted.push_back(pods);
    while (std::ssize(names) < pods) {
      names.push_back("pod-" + std::to_string(next++));
      listener->pod_added({names.back(), "unix:/x", false});
      if (start_well) listener->pod_ready(names.back());
    }
    if (const int extra = static_cast<int>(names.size()) - pods; extra > 0) {
      for (const auto& name : listener->begin_drain(extra).chosen) std::erase(names, name);
    }
  }
  void subscribe(std::shared_ptr<const scheduling::PodTemplate> /*revision*/,
                 std::shared_ptr<scheduling::PodListener> who) override {
    listener = std::move(who);
  }
  void unsubscribe(const std::string& /*revision*/) override {}
  void pod_drained(const std::string& /*pod*/) override {}

  std::shared_ptr<scheduling::PodListener> listener;
  std::vector<std::string> names;
  std::vector<int> wanted;
  bool start_well = true;
  int next = 0;
};

class AutoScalerTest : public testing::Test {
 protected:
  void add(int concurrency = 1, int min = 0) {
    throttler_ = std::make_shared<serving::Throttler>(
        serving::ThrottlerOptions{.revision = "uid", .concurrency = concurrency}, node_, clock_,
        [this](const std::string& /*pod*/, const std::string& error) {
          scaler_.start_ended("uid", error);
        });
    auto pod = std::make_shared<scheduling::PodTemplate>();
    pod->revision = "uid";
    node_.subscribe(pod, throttler_);
    traffic_.add(throttler_);
    ScalePlan plan;
    plan.pod = pod;
    plan.policy.stable_window = 6s;
    plan.policy.set_target({.container_concurrency = concurrency});
    plan.bounds.min = min;
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
  AutoScaler scaler_{executor_, traffic_, node_, clock_};
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

}  // namespace
}  // namespace ebb::control
