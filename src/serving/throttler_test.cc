#include "serving/throttler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "serving/activator.h"
#include "serving/fake_exchange.h"
#include "serving/fakes.h"

namespace ebb::serving {
namespace {

using namespace std::chrono_literals;
using scheduling::PodExit;

struct FakeSource final : scheduling::PodSource {
  void subscribe(std::shared_ptr<const scheduling::PodTemplate> /*revision*/,
                 std::shared_ptr<scheduling::PodListener> /*listener*/) override {}
  void unsubscribe(const std::string& /*revision*/) override {}
  void pod_drained(const std::string& pod) override { drained.push_back(pod); }
  void pod_hung(const std::string& pod) override { hung.push_back(pod); }
  bool set_frozen(const std::string& pod, bool frozen, uint64_t turn) override {
    freezes.push_back(fmt::format("{}{}{}", pod, frozen ? '+' : '-', turn));
    return reachable;
  }
  bool reachable = true;
  std::vector<std::string> drained, hung, freezes;
};

class ThrottlerTest : public testing::Test {
 protected:
  std::shared_ptr<Throttler> make(ThrottlerOptions options) {
    return std::make_shared<Throttler>(std::move(options), source_, clock_,
                                       [this](const std::string& pod, const std::string& error) {
                                         starts_.emplace_back(pod, error);
                                       });
  }
  std::shared_ptr<Throttler> make(int concurrency, size_t max_waiting = 100) {
    return make({.revision = "uid", .concurrency = concurrency, .max_waiting = max_waiting});
  }
  static void add(Throttler& throttler, const std::string& pod, bool ready = true) {
    throttler.pod_added({pod, "unix:/run/" + pod, ready});
  }
  // The pods that so many requests get, one after the other.
  static std::string take(Throttler& throttler, int requests, std::vector<Slot>& slots) {
    std::string pods;
    for (int i = 0; i < requests; ++i) {
      slots.push_back(std::move(*throttler.try_acquire().slot));
      pods += slots.back().pod().pod();
    }
    return pods;
  }
  Throttler::GrantShot::Pair shot() { return Throttler::GrantShot::make(executor_); }

  // The grant that a waiter has got by now, without waiting.
  std::optional<Throttler::Grant> got(Throttler::GrantShot::Receiver& receiver) {
    auto awaiter = receiver.wait(TimePoint{});
    if (!awaiter.await_ready()) return std::nullopt;
    return std::move(*awaiter.await_resume());
  }

  FakeClock clock_;
  net::Executor executor_{"test"};
  FakeSource source_;
  std::vector<std::pair<std::string, std::string>> starts_;
};

TEST_F(ThrottlerTest, ExactSlotsAndTheOldestWaiterFirst) {
  auto throttler = make(2);
  add(*throttler, "a");
  auto one = throttler->try_acquire();
  auto two = throttler->try_acquire();
  ASSERT_TRUE(one.slot && two.slot);
  EXPECT_FALSE(throttler->try_acquire().slot);
  auto first = shot();
  auto second = shot();
  EXPECT_FALSE(throttler->enqueue(first.sender).no_pods);
  static_cast<void>(throttler->enqueue(second.sender));
  EXPECT_FALSE(got(first.receiver));
  one.slot.reset();
  auto grant = got(first.receiver);
  ASSERT_TRUE(grant && *grant);
  EXPECT_EQ((*grant)->pod().pod(), "a");
  EXPECT_EQ(throttler->counts().in_flight, 2);
  EXPECT_EQ(throttler->counts().waiting, 1);
}

// A pod that loads for seconds would hold the request while others fall idle.
TEST_F(ThrottlerTest, BindsNobodyToASlowStartWhileOthersServe) {
  auto throttler = make(1);
  add(*throttler, "a", false);
  auto cold = throttler->try_acquire();
  ASSERT_TRUE(cold.slot) << "from zero there is nothing better";
  throttler->pod_ready("a", scheduling::kSlowLoad);
  auto first = shot();
  auto second = shot();
  static_cast<void>(throttler->enqueue(first.sender));
  static_cast<void>(throttler->enqueue(second.sender));
  add(*throttler, "b", false);
  EXPECT_FALSE(got(first.receiver));
  EXPECT_EQ(throttler->counts().waiting, 2);
  cold.slot.reset();
  auto grant = got(first.receiver);
  ASSERT_TRUE(grant && *grant);
  EXPECT_EQ((*grant)->pod().pod(), "a");
  throttler->pod_ready("b", scheduling::kSlowLoad);
  grant = got(second.receiver);
  ASSERT_TRUE(grant && *grant);
  EXPECT_EQ((*grant)->pod().pod(), "b");
}

TEST_F(ThrottlerTest, UnlimitedPodsThatServeComeBeforeASlowStart) {
  auto throttler = make(0);
  add(*throttler, "a", false);
  throttler->pod_ready("a", scheduling::kSlowLoad);
  add(*throttler, "b", false);
  std::vector<Slot> slots;
  for (int i = 0; i < 3; ++i) {
    slots.push_back(std::move(*throttler->try_acquire().slot));
    EXPECT_EQ(slots.back().pod().pod(), "a");
  }
  throttler->pod_ready("b", scheduling::kSlowLoad);
  EXPECT_EQ(throttler->try_acquire().slot->pod().pod(), "b");
}

TEST_F(ThrottlerTest, BindsToAQuickStartAtOnce) {
  auto throttler = make(1);
  add(*throttler, "a", false);
  auto cold = throttler->try_acquire();
  throttler->pod_ready("a", 1ms);
  add(*throttler, "b", false);
  EXPECT_TRUE(throttler->try_acquire().slot);
}

TEST_F(ThrottlerTest, FreezesWhatIsIdleAndTheNextRequestThawsIt) {
  auto throttler = make(1);
  add(*throttler, "a");
  throttler->pod_ready("a");
  auto held = throttler->try_acquire();
  clock_.advance(10s);
  throttler->freeze_idle(clock_.now());
  EXPECT_THAT(source_.freezes, testing::IsEmpty()) << "it holds a request";
  held.slot.reset();
  clock_.advance(Throttler::kIdleBeforeFreeze - 1ms);
  throttler->freeze_idle(clock_.now());
  EXPECT_THAT(source_.freezes, testing::IsEmpty());
  clock_.advance(1ms);
  throttler->freeze_idle(clock_.now());
  throttler->freeze_idle(clock_.now());
  EXPECT_THAT(source_.freezes, testing::ElementsAre("a+1"));
  EXPECT_EQ(throttler->counts().frozen, 1);
  EXPECT_EQ(throttler->counts().ready, 1);
  auto next = throttler->try_acquire();
  ASSERT_TRUE(next.slot);
  EXPECT_THAT(source_.freezes, testing::ElementsAre("a+1", "a-2"));
  EXPECT_EQ(throttler->counts().frozen, 0);
}

TEST_F(ThrottlerTest, AThawThatCouldNotBeToldIsToldAgain) {
  auto throttler = make(1);
  add(*throttler, "a");
  throttler->pod_ready("a");
  clock_.advance(1s);
  throttler->freeze_idle(clock_.now());
  source_.reachable = false;
  auto slot = throttler->try_acquire();
  EXPECT_EQ(throttler->counts().frozen, 1) << "its node has not heard";
  source_.reachable = true;
  EXPECT_THAT(throttler->begin_drain(1).idle, testing::IsEmpty());  // also then
  throttler->freeze_idle(clock_.now());
  EXPECT_THAT(source_.freezes, testing::ElementsAre("a+1", "a-2", "a-3"));
}

TEST_F(ThrottlerTest, OneThatIsNotFrozenIsTakenFirst) {
  for (const int concurrency : {0, 1}) {
    auto throttler = make(concurrency);
    add(*throttler, "a");
    throttler->pod_ready("a");
    clock_.advance(1s);
    throttler->freeze_idle(clock_.now());
    add(*throttler, "b");
    throttler->pod_ready("b");
    source_.freezes.clear();
    auto first = throttler->try_acquire();
    EXPECT_EQ(first.slot->pod().pod(), "b");
    EXPECT_THAT(source_.freezes, testing::IsEmpty());
    auto second = throttler->try_acquire();
    EXPECT_EQ(second.slot->pod().pod(), "a");
    EXPECT_THAT(source_.freezes, testing::ElementsAre("a-2"));
  }
}

TEST_F(ThrottlerTest, KnowsSinceWhenTheOldestWaits) {
  auto throttler = make(1);
  EXPECT_EQ(throttler->oldest_waiting(), std::nullopt);
  auto first = shot();
  auto second = shot();
  const TimePoint start = clock_.now();
  static_cast<void>(throttler->enqueue(first.sender));
  clock_.advance(std::chrono::seconds(3));
  static_cast<void>(throttler->enqueue(second.sender));
  EXPECT_EQ(throttler->oldest_waiting(), start);
  add(*throttler, "a");  // for the first
  EXPECT_EQ(throttler->oldest_waiting(), start + std::chrono::seconds(3));
  add(*throttler, "b");
  EXPECT_EQ(throttler->oldest_waiting(), std::nullopt);
}

TEST_F(ThrottlerTest, SamplesWhatWaitedAndHowLongServiceTook) {
  auto throttler = make(1);
  add(*throttler, "a", false);
  throttler->begin_sampling(clock_.now());
  auto one = throttler->try_acquire();
  auto other = shot();
  static_cast<void>(throttler->enqueue(other.sender));
  EXPECT_EQ(throttler->counts().in_starting, 1);
  clock_.advance(250ms);
  throttler->pod_ready("a");
  EXPECT_EQ(throttler->counts().in_starting, 0);
  clock_.advance(250ms);
  one.slot.reset();  // 250 ms of service: loading is none
  clock_.advance(500ms);
  auto metric = throttler->sample(clock_.now());
  EXPECT_NEAR(metric.concurrency, 1.5, 1e-9);
  EXPECT_NEAR(metric.queued, 0.75, 1e-9) << "a request waits also while its pod loads";
  EXPECT_NEAR(metric.ended, 1, 1e-9);
  EXPECT_NEAR(metric.service_seconds, 0.25, 1e-9);

  {
    auto grant = got(other.receiver);
    ASSERT_TRUE(grant && *grant);
    clock_.advance(1s);
  }
  metric = throttler->sample(clock_.now());
  EXPECT_NEAR(metric.queued, 0, 1e-9);
  EXPECT_NEAR(metric.ended, 1, 1e-9);
  EXPECT_NEAR(metric.service_seconds, 1.5, 1e-9) << "since its grant in the second before";
}

TEST_F(ThrottlerTest, ARequestWhosePodNeverLoadedIsNoLongerQueued) {
  auto throttler = make(1);
  add(*throttler, "a", false);
  add(*throttler, "b", false);
  throttler->begin_sampling(clock_.now());
  auto one = throttler->try_acquire();
  auto other = throttler->try_acquire();
  clock_.advance(500ms);
  throttler->pod_gone("a", {.reason = "LoadFailed", .message = "SyntaxError"});
  one.slot.reset();
  other.slot.reset();  // its client left while it loads
  clock_.advance(500ms);
  throttler->pod_ready("b");
  EXPECT_NEAR(throttler->sample(clock_.now()).queued, 1, 1e-9);
  auto third = throttler->try_acquire();
  clock_.advance(1s);
  const auto metric = throttler->sample(clock_.now());
  EXPECT_NEAR(metric.concurrency, 1, 1e-9);
  EXPECT_NEAR(metric.queued, 0, 1e-9);
}

TEST_F(ThrottlerTest, APodThatStoppedAnsweringGetsNoMoreRequests) {
  auto throttler = make(0);
  add(*throttler, "a");
  auto held = throttler->try_acquire();
  QueueProxy& pod = held.slot->pod();
  for (int i = 0; i + 1 < Throttler::kHungAfter; ++i) throttler->pod_silent(pod);
  pod.answered();  // it does answer others
  for (int i = 0; i + 1 < Throttler::kHungAfter; ++i) throttler->pod_silent(pod);
  EXPECT_TRUE(source_.hung.empty());
  EXPECT_FALSE(pod.draining());
  throttler->pod_silent(pod);
  throttler->pod_silent(pod);
  EXPECT_EQ(source_.hung, std::vector<std::string>{"a"}) << "told once";
  EXPECT_TRUE(pod.draining());
  EXPECT_FALSE(throttler->try_acquire().slot);
  EXPECT_EQ(throttler->counts().ready, 0);
  EXPECT_EQ(throttler->counts().hung, 1u);
  add(*throttler, "b");
  EXPECT_EQ(throttler->try_acquire().slot->pod().pod(), "b");
  EXPECT_TRUE(source_.drained.empty());
  held.slot.reset();
  EXPECT_EQ(source_.drained, std::vector<std::string>{"a"});
}

TEST_F(ThrottlerTest, ANewcomerNeverOvertakesAWaiter) {
  auto throttler = make(1);
  auto waiting = shot();
  EXPECT_TRUE(throttler->enqueue(waiting.sender).no_pods);
  add(*throttler, "a");
  EXPECT_FALSE(throttler->try_acquire().slot);
  EXPECT_TRUE(got(waiting.receiver).value().has_value());
}

TEST_F(ThrottlerTest, UnlimitedPodsTakeTheLeastBusy) {
  auto throttler = make(0);
  add(*throttler, "a");
  add(*throttler, "b");
  auto one = throttler->try_acquire();
  auto two = throttler->try_acquire();
  EXPECT_NE(one.slot->pod().pod(), two.slot->pod().pod());
}

// So that the others fall idle and can go.
TEST_F(ThrottlerTest, LimitedPodsAreFilledOneAfterTheOther) {
  auto throttler = make(3);
  add(*throttler, "a");
  add(*throttler, "b");
  std::vector<Slot> slots;
  std::map<std::string, int> in_pod;
  const auto take = [&] {
    auto entry = throttler->try_acquire();
    ASSERT_TRUE(entry.slot);
    ++in_pod[entry.slot->pod().pod()];
    slots.push_back(std::move(*entry.slot));
  };
  for (int i = 0; i < 3; ++i) take();
  EXPECT_EQ(in_pod.size(), 1u) << "packed";
  for (int i = 0; i < 3; ++i) take();
  EXPECT_EQ(in_pod["a"], 3);
  EXPECT_EQ(in_pod["b"], 3) << "no request is refused while a pod has room";
  EXPECT_FALSE(throttler->try_acquire().slot);
  slots.erase(slots.begin());  // of the one that was filled first
  take();
  EXPECT_EQ(throttler->counts().in_flight, 6);
}

TEST_F(ThrottlerTest, LimitedPodsTakeTheLeastBusyIfLoadIsToBeSpread) {
  auto throttler = make({.concurrency = 2, .balancing = Balancing::kSpread});
  add(*throttler, "a");
  add(*throttler, "b");
  std::vector<Slot> slots;
  EXPECT_EQ(take(*throttler, 4, slots), "abab");
  EXPECT_FALSE(throttler->try_acquire().slot) << "slots stay exact";
  slots.erase(slots.begin() + 1);
  EXPECT_EQ(take(*throttler, 1, slots), "b");
}

TEST_F(ThrottlerTest, SpreadLoadWaitsForPodsThatServeRatherThanForASlowStart) {
  auto throttler = make({.concurrency = 1, .balancing = Balancing::kSpread});
  add(*throttler, "a", false);
  throttler->pod_ready("a", scheduling::kSlowLoad);
  add(*throttler, "b", false);
  auto one = throttler->try_acquire();
  EXPECT_EQ(one.slot->pod().pod(), "a");
  EXPECT_FALSE(throttler->try_acquire().slot);
  throttler->pod_ready("b", scheduling::kSlowLoad);
  EXPECT_EQ(throttler->try_acquire().slot->pod().pod(), "b");
}

TEST_F(ThrottlerTest, UnlimitedPodsAreFilledToTheirTargetIfLoadIsToBePacked) {
  auto throttler = make({.balancing = Balancing::kPack, .pod_target = 2});
  add(*throttler, "a");
  add(*throttler, "b");
  std::vector<Slot> slots;
  EXPECT_EQ(take(*throttler, 4, slots), "aabb");
  EXPECT_EQ(take(*throttler, 3, slots), "aba") << "beyond it nobody is refused, or left idle";
  throttler->set_pod_target(5);
  EXPECT_EQ(take(*throttler, 3, slots), "abb");
}

TEST_F(ThrottlerTest, PackedLoadGoesToPodsThatServeFirst) {
  auto throttler = make({.balancing = Balancing::kPack, .pod_target = 1});
  add(*throttler, "a", false);
  add(*throttler, "b", false);
  throttler->pod_ready("b", scheduling::kSlowLoad);
  auto one = throttler->try_acquire();
  auto two = throttler->try_acquire();
  EXPECT_EQ(one.slot->pod().pod(), "b");
  EXPECT_EQ(two.slot->pod().pod(), "b") << "though it is full";
  throttler->pod_ready("a", scheduling::kSlowLoad);
  EXPECT_EQ(throttler->try_acquire().slot->pod().pod(), "a");
  one.slot.reset();
  two.slot.reset();
  throttler->freeze_idle(clock_.now());
  clock_.advance(1s);
  auto held = throttler->try_acquire();
  ASSERT_EQ(held.slot->pod().pod(), "a");
  throttler->freeze_idle(clock_.now());  // b
  held.slot.reset();
  EXPECT_EQ(throttler->try_acquire().slot->pod().pod(), "a")
      << "of two with room, the one that runs";
}

TEST_F(ThrottlerTest, TheQueueIsBounded) {
  auto throttler = make(1, 2);
  auto a = shot();
  auto b = shot();
  static_cast<void>(throttler->enqueue(a.sender));
  static_cast<void>(throttler->enqueue(b.sender));
  const auto entry = throttler->try_acquire();
  ASSERT_TRUE(entry.refused);
  EXPECT_EQ(entry.refused->why, Refusal::kQueueFull);
}

TEST_F(ThrottlerTest, RevisionsShareTheRoomForThoseThatWait) {
  const auto budget = std::make_shared<WaitingBudget>(Waiting{.requests = 12, .bytes = 1200});
  const auto revision = [&] {
    return std::make_shared<Throttler>(ThrottlerOptions{.revision = "uid", .budget = budget},
                                       source_, clock_, [](const auto&, const auto&) {});
  };
  std::deque<Throttler::GrantShot::Pair> shots;
  // How many get in until one does not.
  const auto fill = [&](Throttler& throttler, size_t bytes) {
    size_t in = 0;
    for (;; ++in) {
      shots.push_back(shot());
      static_cast<void>(throttler.enqueue(shots.back().sender, bytes));
      const auto refused = got(shots.back().receiver);
      if (!refused) continue;
      EXPECT_EQ(refused->error().why, Refusal::kQueueShare);
      return in;
    }
  };
  auto one = revision();
  EXPECT_EQ(fill(*one, 1), 6u) << "half of all";
  auto two = revision();
  EXPECT_EQ(fill(*two, 1), 3u) << "of what is left";
  one->leave(1);
  one->leave(2);
  EXPECT_EQ(fill(*two, 1), 1u) << "two share alike: 4 and 4, and as many are free";
  EXPECT_EQ(fill(*one, 1), 0u);
  auto late = revision();
  EXPECT_EQ(fill(*late, 1000), 1u) << "one may always wait, or it would never have a pod";
  late->close();
  one->close();
  two->close();
  EXPECT_EQ(budget->taken().requests, 0u);
  EXPECT_EQ(budget->taken().bytes, 0u);
  auto three = revision();
  EXPECT_EQ(fill(*three, 200), 3u) << "of bytes, too";
  three->pods_unavailable("no node");
  EXPECT_EQ(budget->taken().bytes, 0u);
}

// It ends when there are pods again, whatever the function did.
TEST_F(ThrottlerTest, WhereNoPodCanBeHadTheNextTryDoesNotWaitLongerEachTime) {
  auto throttler = make(1);
  for (int i = 0; i < 10; ++i) {
    throttler->pods_unavailable("no descriptors");
    EXPECT_TRUE(throttler->try_acquire().refused);
    EXPECT_EQ(throttler->counts().retry_at, clock_.now() + 1s);
    clock_.advance(1s);
    EXPECT_FALSE(throttler->try_acquire().refused);
  }
}

TEST_F(ThrottlerTest, WhoTimedOutLeavesNothingBehind) {
  auto throttler = make(1);
  const auto late = [&] {
    auto waiting = shot();
    const auto ticket = throttler->enqueue(waiting.sender);
    auto awaiter = waiting.receiver.wait(TimePoint{});
    EXPECT_EQ(awaiter.await_resume().error(), net::IoError::kTimeout);
    return ticket.number;
  };
  const auto first = late();
  throttler->leave(first);
  EXPECT_EQ(throttler->counts().waiting, 0);
  const auto second = late();
  add(*throttler, "a");  // finds nobody any more
  throttler->leave(second);
  EXPECT_EQ(throttler->counts().in_flight, 0);
  EXPECT_TRUE(throttler->try_acquire().slot);
}

TEST_F(ThrottlerTest, ADrainedPodIsReportedWhenItsLastRequestEnds) {
  auto throttler = make(0);
  add(*throttler, "a");
  add(*throttler, "b");
  auto busy = throttler->try_acquire();
  const auto drain = throttler->begin_drain(2);
  EXPECT_THAT(drain.chosen, testing::UnorderedElementsAre("a", "b"));
  EXPECT_EQ(drain.idle.size(), 1u);
  EXPECT_FALSE(throttler->try_acquire().slot);
  EXPECT_TRUE(source_.drained.empty());
  const std::string name = busy.slot->pod().pod();
  busy.slot.reset();
  EXPECT_THAT(source_.drained, testing::ElementsAre(name));
}

TEST_F(ThrottlerTest, AFailedStartRefusesWhoWaitsAndBacksOff) {
  auto throttler = make(0);
  auto waiting = shot();
  add(*throttler, "a", false);
  auto early = throttler->try_acquire();  // sent before the code is loaded
  ASSERT_TRUE(early.slot);
  const auto drain = throttler->begin_drain(0);
  EXPECT_TRUE(drain.chosen.empty());
  throttler->pod_gone("a", PodExit{.reason = "LoadFailed", .message = "no handle"});
  EXPECT_THAT(starts_, testing::ElementsAre(std::pair("a", "no handle")));
  const auto entry = throttler->try_acquire();
  ASSERT_TRUE(entry.refused);
  EXPECT_EQ(entry.refused->message, "no handle");
  static_cast<void>(throttler->enqueue(waiting.sender));
  EXPECT_EQ(got(waiting.receiver).value().error().why, Refusal::kStartFailed);
  clock_.advance(1001ms);
  EXPECT_FALSE(throttler->try_acquire().refused);  // the next one may try again
}

TEST_F(ThrottlerTest, TheReasonOfAnExitReachesWhoAsks) {
  auto throttler = make(0);
  add(*throttler, "a");
  auto entry = throttler->try_acquire();
  auto pod = entry.slot->shared_pod();
  throttler->pod_gone("a", PodExit{.reason = "Exited", .message = "exited with code 3"});
  std::optional<PodExit> exit;
  auto ask = [](Throttler& t, std::shared_ptr<QueueProxy> p, net::Executor& e,
                std::optional<PodExit>& out) -> net::Task<void> {
    out = co_await t.exit_of(std::move(p), e, e.now() + 1s);
  };
  executor_.spawn(ask(*throttler, pod, executor_, exit));
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->message, "exited with code 3");
  EXPECT_TRUE(exit->was_ready);
  EXPECT_EQ(throttler->counts().retry_at, TimePoint{});  // it had served: no back-off
}

TEST_F(ThrottlerTest, SamplesAreTimeWeighted) {
  auto throttler = make(0);
  add(*throttler, "a");
  static_cast<void>(throttler->sample(clock_.now()));
  auto one = throttler->try_acquire();
  clock_.advance(500ms);
  auto two = throttler->try_acquire();
  clock_.advance(500ms);
  const auto metric = throttler->sample(clock_.now());
  EXPECT_NEAR(metric.concurrency, 1.5, 1e-9);
  EXPECT_NEAR(metric.requests, 2, 1e-9);
  one.slot.reset();
  two.slot.reset();
  clock_.advance(1s);
  EXPECT_NEAR(throttler->sample(clock_.now()).concurrency, 0, 1e-9);
}

TEST_F(ThrottlerTest, AfterCloseEveryoneIsRefused) {
  auto throttler = make(0);
  auto waiting = shot();
  static_cast<void>(throttler->enqueue(waiting.sender));
  throttler->close();
  EXPECT_EQ(got(waiting.receiver).value().error().why, Refusal::kDeleted);
  EXPECT_EQ(throttler->try_acquire().refused->why, Refusal::kDeleted);
  EXPECT_EQ(throttler->counts().waiting, 0);
}

// Slots stay exact when many threads acquire, wait and release at once.
TEST_F(ThrottlerTest, SlotsStayExactUnderThreads) {
  constexpr int kThreads = 3;
  constexpr int kUsers = 8;  // on each thread
  constexpr int kRounds = 60;
  constexpr int kConcurrency = 5;
  auto throttler = make(kConcurrency);
  CountingWaker waker;
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  std::atomic<int> served{0};
  auto user = [](std::shared_ptr<Throttler> t, Waker& w, net::Executor& e, ClientWatch& watch,
                 std::atomic<int>& in, std::atomic<int>& high,
                 std::atomic<int>& done) -> net::Task<void> {
    FakeExchange exchange(e);
    for (int i = 0; i < kRounds; ++i) {
      Admission how;
      auto grant = co_await admit(exchange, t, w, watch, e.now() + 30s, how);
      if (!grant) continue;
      const int now = ++in;
      int seen = high.load();
      while (now > seen && !high.compare_exchange_weak(seen, now)) {
      }
      auto pause = e.sleep_until(e.now() + 1ms);  // holds the slot over a turn of the loop
      co_await pause;
      --in;
      ++done;
    }
    if (e.tasks() == 1) e.stop();  // the last of this thread
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      net::Executor executor("worker");
      ClientWatch watch(executor);
      executor.post([&] {
        for (int n = 0; n < kUsers; ++n) {
          executor.spawn(user(throttler, waker, executor, watch, inside, most, served));
        }
      });
      executor.run();
    });
  }
  add(*throttler, "a");
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(served, kThreads * kUsers * kRounds);
  EXPECT_EQ(most, kConcurrency);
  EXPECT_EQ(throttler->counts().in_flight, 0);
  EXPECT_EQ(throttler->counts().waiting, 0);
}

// --- Requests of another front ---

TEST_F(ThrottlerTest, RequestsOfAnotherFrontTakeSlots) {
  auto throttler = make(2);
  add(*throttler, "a");
  EXPECT_FALSE(throttler->pod_busy("a", 2));
  EXPECT_FALSE(throttler->try_acquire().slot);
  EXPECT_EQ(throttler->counts().in_flight, 2);
  auto waiter = shot();
  static_cast<void>(throttler->enqueue(waiter.sender));
  EXPECT_FALSE(throttler->pod_busy("a", 1));
  auto grant = got(waiter.receiver);
  ASSERT_TRUE(grant && *grant);
  std::map<std::string, int> ours;
  throttler->add_requests(ours);
  EXPECT_EQ(ours, (std::map<std::string, int>{{"a", 1}}));
  EXPECT_FALSE(throttler->pod_busy("a", 0));
  EXPECT_EQ(throttler->counts().in_flight, 1);
}

TEST_F(ThrottlerTest, APodIsDrainedWhenNobodyHasRequestsInIt) {
  auto throttler = make(0);
  add(*throttler, "a");
  EXPECT_FALSE(throttler->pod_busy("a", 1));
  auto ours = throttler->try_acquire();
  EXPECT_TRUE(throttler->begin_drain(1).idle.empty());
  EXPECT_FALSE(throttler->pod_busy("a", 0));
  EXPECT_TRUE(source_.drained.empty());
  ours.slot.reset();
  EXPECT_EQ(source_.drained, std::vector<std::string>{"a"});

  add(*throttler, "b");
  EXPECT_FALSE(throttler->pod_busy("b", 1));
  EXPECT_TRUE(throttler->begin_drain(1).idle.empty());
  EXPECT_TRUE(throttler->pod_busy("b", 0));  // who told this ends it
  EXPECT_EQ(source_.drained, std::vector<std::string>{"a"});
}

TEST_F(ThrottlerTest, APodThatEndsTakesTheRequestsOfOthersAlong) {
  auto throttler = make(0);
  throttler->begin_sampling(clock_.now());
  add(*throttler, "a", /*ready=*/false);
  EXPECT_FALSE(throttler->pod_busy("a", 3));
  clock_.advance(1s);
  EXPECT_DOUBLE_EQ(throttler->sample(clock_.now()).concurrency, 3);
  throttler->pod_gone("a", PodExit{.reason = "Stopped", .message = {}});
  clock_.advance(1s);
  const auto metric = throttler->sample(clock_.now());
  EXPECT_DOUBLE_EQ(metric.concurrency, 0);
  EXPECT_DOUBLE_EQ(metric.queued, 0);
  EXPECT_FALSE(throttler->pod_busy("a", 1));  // told late
  EXPECT_EQ(throttler->counts().in_flight, 0);
}

TEST_F(ThrottlerTest, WithoutMorePodsThoseThereServeAndNobodyWaits) {
  auto throttler = make(1);
  add(*throttler, "a");
  auto held = throttler->try_acquire();
  auto waiter = shot();
  static_cast<void>(throttler->enqueue(waiter.sender));
  throttler->close({Refusal::kShutdown, "another front takes over", 1});
  const auto grant = got(waiter.receiver);
  ASSERT_TRUE(grant && !*grant);
  EXPECT_EQ(grant->error().why, Refusal::kShutdown);
  EXPECT_EQ(throttler->try_acquire().refused->why, Refusal::kShutdown);
  held.slot.reset();
  EXPECT_TRUE(throttler->try_acquire().slot);
}

}  // namespace
}  // namespace ebb::serving
