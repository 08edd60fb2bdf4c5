#include "net/wakeup.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>

namespace ebb::net {
namespace {

using namespace std::chrono_literals;

Task<void> wait(Wakeup& wakeup, TimePoint deadline, std::optional<bool>& woken) {
  woken = co_await wakeup.wait(deadline);
}

TEST(WakeupTest, ResumesWhoWaitsAgainAndAgain) {
  Executor executor("test");
  Wakeup wakeup(executor);
  wakeup.wake();  // nobody waits, and nobody will have been woken
  for (int i = 0; i < 3; ++i) {
    std::optional<bool> woken;
    executor.spawn(wait(wakeup, kNever, woken));
    EXPECT_TRUE(wakeup.waiting());
    EXPECT_FALSE(woken);
    wakeup.wake();
    EXPECT_EQ(woken, true);
    EXPECT_FALSE(wakeup.waiting());
  }
}

TEST(WakeupTest, ADeadlineEndsTheWait) {
  Executor executor("test");
  Wakeup wakeup(executor);
  std::optional<bool> woken;
  executor.spawn(wait(wakeup, executor.now() + 1ms, woken));
  const TimePoint limit = executor.now() + 10s;
  while (!woken && executor.now() < limit) executor.run_until(limit);
  EXPECT_EQ(woken, false);
  wakeup.wake();
  EXPECT_FALSE(wakeup.waiting());
}

TEST(WakeupTest, AFrameThatEndsWhileItWaitsIsNotWoken) {
  Executor home("home");
  Wakeup wakeup(home);
  std::optional<bool> woken;
  auto executor = std::make_unique<Executor>("ends");
  executor->spawn(wait(wakeup, kNever, woken));
  EXPECT_TRUE(wakeup.waiting());
  executor.reset();
  EXPECT_FALSE(wakeup.waiting());
  wakeup.wake();
  EXPECT_FALSE(woken);
}

}  // namespace
}  // namespace ebb::net
