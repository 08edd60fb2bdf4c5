#include "net/one_shot.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "net/test_util.h"

namespace ebb::net {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using Box = std::unique_ptr<int>;  // move-only
using Shot = OneShot<Box>;

Task<void> wait_for(Shot::Receiver receiver, TimePoint deadline, IoResult<Box>& out) {
  out = co_await receiver.wait(deadline);
}

IoResult<Box> nothing() { return fail(IoError::kOther); }

TEST(OneShot, AValueSetBeforeTheWaitIsThere) {
  Executor executor("test");
  auto shot = Shot::make(executor);
  EXPECT_TRUE(shot.sender.set(std::make_unique<int>(7)));
  Box second = std::make_unique<int>(8);
  EXPECT_FALSE(shot.sender.set(std::move(second)));
  EXPECT_NE(second, nullptr);  // NOLINT(bugprone-use-after-move): a refused value stays
  auto got = nothing();
  executor.spawn(wait_for(std::move(shot.receiver), soon(-milliseconds(1)), got));
  ASSERT_TRUE(got);
  EXPECT_EQ(**got, 7);
}

TEST(OneShot, AWaitTimesOutAndThenRefusesValues) {
  Executor executor("test");
  auto shot = Shot::make(executor);
  auto got = nothing();
  run_to_end(executor, wait_for(std::move(shot.receiver), soon(milliseconds(5)), got));
  EXPECT_EQ(got.error(), IoError::kTimeout);
  Box box = std::make_unique<int>(1);
  EXPECT_FALSE(shot.sender.set(std::move(box)));
  EXPECT_NE(box, nullptr);  // NOLINT(bugprone-use-after-move): a refused value stays
}

TEST(OneShot, AValueIsTakenOnce) {
  Executor executor("test");
  auto shot = Shot::make(executor);
  auto got = nothing();
  executor.spawn(wait_for(std::move(shot.receiver), kNever, got));
  EXPECT_TRUE(shot.sender.set(std::make_unique<int>(1)));
  run_until_true(executor, [&] { return executor.tasks() == 0; });
  EXPECT_EQ(**got, 1);
  EXPECT_FALSE(shot.sender.set(std::make_unique<int>(2)));
}

TEST(OneShot, AReceiverThatLeavesGivesTheValueBack) {
  Executor executor("test");
  auto tracked = std::make_shared<int>(1);
  OneShot<std::shared_ptr<int>>::Sender sender;
  {
    auto shot = OneShot<std::shared_ptr<int>>::make(executor);
    sender = shot.sender;
    EXPECT_TRUE(sender.set(std::shared_ptr<int>(tracked)));
    EXPECT_EQ(tracked.use_count(), 2);
  }
  EXPECT_EQ(tracked.use_count(), 1);
  EXPECT_FALSE(sender.set(std::shared_ptr<int>(tracked)));
}

TEST(OneShot, ADestroyedWaiterIsNotResumed) {
  auto executor = std::make_unique<Executor>("test");
  auto shot = Shot::make(*executor);
  auto got = nothing();
  executor->spawn(wait_for(std::move(shot.receiver), kNever, got));
  executor.reset();
  EXPECT_FALSE(shot.sender.set(std::make_unique<int>(1)));
  EXPECT_EQ(got.error(), IoError::kOther);
}

// Values from another thread against deadlines: each value is either received or
// refused, never both and never lost.
Task<void> receive_many(Executor& executor, std::vector<Shot::Receiver> receivers, int& received,
                        int& timed_out) {
  for (auto& receiver : receivers) {
    // Deadlines fall on wheel ticks, so that many race with the setter.
    auto got = co_await receiver.wait(executor.now() + microseconds(200));
    ++(got ? received : timed_out);
  }
}

TEST(OneShot, SettersRaceWithTimeouts) {
  constexpr int kRounds = 300;
  Executor executor("test");
  std::vector<Shot::Receiver> receivers;
  std::vector<Shot::Sender> senders;
  for (int i = 0; i < kRounds; ++i) {
    auto shot = Shot::make(executor);
    receivers.push_back(std::move(shot.receiver));
    senders.push_back(shot.sender);
  }
  int received = 0;
  int timed_out = 0;
  int accepted = 0;
  std::atomic<bool> begin = false;
  std::thread setter([&] {
    begin.wait(false);
    const TimePoint start = std::chrono::steady_clock::now();
    for (int i = 0; i < kRounds; ++i) {
      // About as fast as the receiver times out.
      while (std::chrono::steady_clock::now() < start + i * TimerWheel::kTick) {
        std::this_thread::yield();
      }
      accepted += senders[i].set(std::make_unique<int>(i)) ? 1 : 0;
    }
  });
  begin = true;
  begin.notify_one();
  run_to_end(executor, receive_many(executor, std::move(receivers), received, timed_out));
  setter.join();
  EXPECT_EQ(received + timed_out, kRounds);
  EXPECT_EQ(accepted, received);
}

TEST(OneShot, ManySettersOneWins) {
  Executor executor("test");
  for (int round = 0; round < 200; ++round) {
    auto shot = Shot::make(executor);
    auto got = nothing();
    std::atomic<int> wins = 0;
    std::vector<std::thread> setters;
    executor.spawn(wait_for(std::move(shot.receiver), soon(), got));
    setters.reserve(2);
    for (int t = 0; t < 2; ++t) {
      setters.emplace_back([&wins, sender = shot.sender]() mutable {
        if (sender.set(std::make_unique<int>(1))) ++wins;
      });
    }
    run_until_true(executor, [&] { return executor.tasks() == 0; });
    for (auto& setter : setters) setter.join();
    EXPECT_EQ(wins, 1);
    EXPECT_TRUE(got);
  }
}

}  // namespace
}  // namespace ebb::net
