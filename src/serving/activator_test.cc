#include "serving/activator.h"

#include <gtest/gtest.h>

#include <thread>

#include "serving/fake_exchange.h"
#include "serving/fakes.h"

namespace ebb::serving {
namespace {

using namespace std::chrono_literals;

class ActivatorTest : public testing::Test {
 protected:
  using Grant = std::optional<Throttler::Grant>;

  void make(ThrottlerOptions options) {
    options.revision = "uid";
    throttler_ = std::make_shared<Throttler>(
        options, source_, clock_, [](const std::string& /*pod*/, const std::string& /*error*/) {});
  }
  void add_pod(const std::string& name) { throttler_->pod_added({name, "unix:/x", true}); }
  // Starts to wait; the grant arrives in *out.
  void ask(FakeExchange& exchange, Grant* out, Duration patience = 20s) {
    executor_.spawn(ask_task(exchange, out, executor_.now() + patience));
  }
  net::Task<void> ask_task(FakeExchange& exchange, Grant* out, TimePoint deadline) {
    Admission how;
    auto admitting = admit(exchange, throttler_, waker_, watch_, deadline, how);
    out->emplace(co_await admitting);
    how_ = how;
  }
  void run_until(const std::function<bool()>& done) {
    const TimePoint limit = executor_.now() + 20s;
    while (!done() && executor_.now() < limit) executor_.run_until(limit);
    ASSERT_TRUE(done());
  }
  void settle() { executor_.run_until(TimePoint{}); }

  SystemClock clock_;
  net::Executor executor_{"test"};
  NoSource source_;
  CountingWaker waker_;
  ClientWatch watch_{executor_};
  std::shared_ptr<Throttler> throttler_;
  Admission how_;
};

TEST_F(ActivatorTest, WhoFindsNoPodWakesAndGetsTheFirst) {
  make({});
  FakeExchange exchange(executor_);
  Grant grant;
  ask(exchange, &grant);
  EXPECT_EQ(waker_.wakes, 1);
  EXPECT_FALSE(grant);
  add_pod("a");
  run_until([&] { return grant.has_value(); });
  ASSERT_TRUE(*grant);
  EXPECT_TRUE(how_.no_pods);
  EXPECT_NE(how_.asked, TimePoint{});
  EXPECT_EQ(watch_.waiting(), 0u);
}

TEST_F(ActivatorTest, ACrowdIsToldOnceUntilItWasSeen) {
  make({.concurrency = 1});
  add_pod("a");
  std::vector<std::unique_ptr<FakeExchange>> exchanges;
  std::vector<std::unique_ptr<Grant>> grants;
  const auto come = [&] {
    exchanges.push_back(std::make_unique<FakeExchange>(executor_));
    grants.push_back(std::make_unique<Grant>());
    ask(*exchanges.back(), grants.back().get());
  };
  for (int i = 0; i < 5; ++i) come();
  EXPECT_EQ(waker_.wakes, 0);
  EXPECT_EQ(waker_.crowds, 1);
  EXPECT_EQ(throttler_->needed_pods(), 5);
  throttler_->crowd_seen();
  come();
  EXPECT_EQ(waker_.crowds, 2);
  for (int i = 0; i < 5; ++i) add_pod("b" + std::to_string(i));
  run_until([&] { return grants.back()->has_value(); });
  grants.clear();
}

TEST_F(ActivatorTest, AClientThatLeavesIsDroppedFromTheQueue) {
  make({});
  FakeExchange stays(executor_);
  FakeExchange leaves(executor_);
  Grant kept;
  Grant dropped;
  ask(leaves, &dropped);
  ask(stays, &kept);
  leaves.left = true;
  run_until([&] { return dropped.has_value(); });
  EXPECT_EQ(dropped->error().why, Refusal::kClientLeft);
  EXPECT_EQ(throttler_->counts().waiting, 1);
  EXPECT_FALSE(kept);
  add_pod("a");
  run_until([&] { return kept.has_value(); });
  ASSERT_TRUE(*kept);
  EXPECT_EQ(throttler_->counts().in_flight, 1);
  kept.reset();
  EXPECT_EQ(throttler_->counts().in_flight, 0);
  EXPECT_EQ(throttler_->counts().waiting_bytes, 0u);
}

TEST_F(ActivatorTest, TheQueueIsBoundedInBytes) {
  make({.max_waiting_bytes = 2500});
  FakeExchange exchange(executor_);
  exchange.bytes = 1000;
  Grant grants[3];
  for (auto& grant : grants) ask(exchange, &grant);
  run_until([&] { return grants[2].has_value(); });
  EXPECT_EQ(grants[2]->error().why, Refusal::kQueueBytes);
  EXPECT_EQ(how_.asked, TimePoint{}) << "it did not wait";
  EXPECT_EQ(throttler_->counts().waiting_bytes, 2000u);
  throttler_->close();
  run_until([&] { return grants[1].has_value(); });
  EXPECT_EQ(throttler_->counts().waiting_bytes, 0u);
}

TEST_F(ActivatorTest, NobodyWaitsBeyondTheDeadline) {
  make({});
  FakeExchange exchange(executor_);
  Grant grant;
  ask(exchange, &grant, 5ms);
  run_until([&] { return grant.has_value(); });
  EXPECT_EQ(grant->error().why, Refusal::kQueueTimeout);
  EXPECT_EQ(throttler_->counts().waiting, 0);
}

TEST_F(ActivatorTest, ASlotThatComesTooLateIsGivenBackAndCountsAsNoCall) {
  make({});
  FakeExchange exchange(executor_);
  Grant grant;
  const TimePoint deadline = executor_.now() + 5ms;
  executor_.spawn(ask_task(exchange, &grant, deadline));
  add_pod("a");  // its word for the waiter is seen in the loop's next turn
  while (executor_.now() < deadline) std::this_thread::sleep_until(deadline);
  run_until([&] { return grant.has_value(); });
  EXPECT_EQ(grant->error().why, Refusal::kQueueTimeout);
  EXPECT_EQ(throttler_->counts().in_flight, 0);
  EXPECT_EQ(throttler_->sample(clock_.now()).ended, 0);

  Grant other;
  ask(exchange, &other);
  run_until([&] { return other.has_value(); });
  ASSERT_TRUE(*other);
  other.reset();
  EXPECT_GT(throttler_->sample(clock_.now()).ended, 0);
}

TEST(RetryBudget, IsAFifthOfTheRequests) {
  RetryBudget budget;
  int spent = 0;
  while (budget.withdraw()) ++spent;
  EXPECT_EQ(spent, RetryBudget::kFirst);
  for (int i = 0; i < 50; ++i) budget.deposit();
  spent = 0;
  while (budget.withdraw()) ++spent;
  EXPECT_NEAR(spent, 10, 1);
  for (int i = 0; i < 100000; ++i) budget.deposit();
  spent = 0;
  while (budget.withdraw()) ++spent;
  EXPECT_EQ(spent, RetryBudget::kMost);
}

}  // namespace
}  // namespace ebb::serving
