#include "net/executor.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <deque>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "net/test_util.h"

namespace ebb::net {
namespace {

using std::chrono::milliseconds;

TEST(Executor, RunsPostsOfAThreadInOrder) {
  Executor executor("test");
  std::vector<int> seen;
  std::thread other([&] {
    for (int i = 0; i < 1000; ++i) executor.post([&seen, i] { seen.push_back(i); });
    executor.post([&] { executor.stop(); });
  });
  executor.run();
  other.join();
  ASSERT_EQ(seen.size(), 1000U);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(seen[i], i);
}

TEST(Executor, TakesPostsFromManyThreads) {
  Executor executor("test");
  int count = 0;  // touched by the loop only
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        executor.post([&] {
          if (++count == 8000) executor.stop();
        });
      }
    });
  }
  executor.run();
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(count, 8000);
}

TEST(Executor, StopBeforeRunIsNotLost) {
  Executor executor("test");
  executor.stop();
  executor.run();
  bool ran = false;  // and the loop can be used again
  executor.post([&] { ran = true; });
  run_until_true(executor, [&] { return ran; });
}

TEST(Executor, IsCurrentOnlyWhereItRuns) {
  Executor executor("loop");
  Executor* seen = nullptr;
  std::thread thread([&] { executor.run(); });
  std::atomic<bool> done = false;
  executor.post([&] {
    seen = Executor::current();
    done = true;
    executor.stop();
  });
  thread.join();
  EXPECT_EQ(seen, &executor);
  EXPECT_EQ(Executor::current(), nullptr);
  EXPECT_EQ(executor.name(), "loop");
}

TEST(Executor, RunUntilEndsAtItsDeadline) {
  Executor executor("test");
  const TimePoint start = executor.now();
  executor.run_until(start + milliseconds(20));
  EXPECT_GE(executor.now(), start + milliseconds(19));
  executor.run_until(start);  // past: polls
}

Task<void> note_sleep(Executor& executor, TimePoint until, std::vector<TimePoint>& woken) {
  auto sleep = executor.sleep_until(until);
  co_await sleep;
  EXPECT_GE(executor.now(), until);
  woken.push_back(until);
}

TEST(Executor, SleepersWakeInOrderAndNeverEarly) {
  Executor executor("test");
  const TimePoint now = executor.now();
  std::vector<TimePoint> woken;
  executor.spawn(note_sleep(executor, now + milliseconds(60), woken));
  executor.spawn(note_sleep(executor, now + milliseconds(20), woken));  // moves the alarm ahead
  executor.spawn(note_sleep(executor, now + milliseconds(40), woken));
  executor.spawn(note_sleep(executor, now - milliseconds(40), woken));  // at once
  EXPECT_EQ(executor.tasks(), 3U);
  run_until_true(executor, [&] { return executor.tasks() == 0; });
  const std::vector<TimePoint> expected{now - milliseconds(40), now + milliseconds(20),
                                        now + milliseconds(40), now + milliseconds(60)};
  EXPECT_EQ(woken, expected);
}

TEST(Executor, TimersAreMovedAndDisarmed) {
  Executor executor("test");
  bool late = false;
  Timer moved([&] { late = true; });
  Timer gone([] { FAIL() << "was disarmed"; });
  const TimePoint now = executor.now();
  executor.arm(moved, now + milliseconds(5));
  executor.arm(gone, now + milliseconds(5));
  executor.arm(moved, now + milliseconds(30));
  gone.disarm();
  run_until_true(executor, [&] { return late; });
  EXPECT_GE(executor.now(), now + milliseconds(30));
}

// Suspends for ever and tells when its frame is destroyed.
struct Tell {
  std::vector<int>& log;
  int id;
  Tell(std::vector<int>& l, int i) : log(l), id(i) {}
  Tell(const Tell&) = delete;
  Tell& operator=(const Tell&) = delete;
  ~Tell() { log.push_back(id); }
};

Task<void> wait_inside(Executor& executor, std::vector<int>& log, int id) {
  const Tell tell(log, id);
  auto sleep = executor.sleep_until(executor.now() + std::chrono::hours(1));
  co_await sleep;
  ADD_FAILURE() << "nobody waits an hour";
}

Task<void> wait_outside(Executor& executor, std::vector<int>& log, int id) {
  const Tell tell(log, id);
  co_await wait_inside(executor, log, id + 1);
}

TEST(Executor, DestructionEndsWhatWaitsYoungestFirst) {
  std::vector<int> log;
  {
    Executor executor("test");
    executor.spawn(wait_outside(executor, log, 10));
    executor.spawn(wait_outside(executor, log, 20));
    EXPECT_EQ(executor.tasks(), 2U);
    executor.run_until(executor.now());
  }
  EXPECT_EQ(log, (std::vector<int>{21, 20, 11, 10}));
}

TEST(Executor, TasksEndBeforeWhatTheyUse) {
  Executor executor("test");
  std::vector<int> log;
  executor.spawn(wait_outside(executor, log, 10));
  executor.run_until(executor.now());
  executor.end_tasks();
  EXPECT_EQ(log, std::vector<int>({11, 10}));
  executor.spawn(wait_outside(executor, log, 20));
  EXPECT_EQ(log.size(), 2U) << "none begins any more";
  EXPECT_EQ(executor.tasks(), 0U);
}

Task<void> spawn_more(Executor& executor, int levels, int& ended) {
  if (levels > 0) {
    executor.spawn(spawn_more(executor, levels - 1, ended));
    executor.spawn(spawn_more(executor, levels - 1, ended));
  }
  auto sleep = executor.sleep_until(executor.now() + milliseconds(1));
  co_await sleep;
  ++ended;
}

TEST(Executor, TasksSpawnTasks) {
  Executor executor("test");
  int ended = 0;
  run_to_end(executor, spawn_more(executor, 6, ended));
  EXPECT_EQ(ended, 127);
}

struct OnOtherThread {
  Executor& home;
  std::thread& helper;
  [[nodiscard]] bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> waiter) {
    helper = std::thread([this_home = &home, waiter] { this_home->resume(waiter); });
  }
  void await_resume() const {}
};

Task<void> hop(Executor& executor, std::thread& helper, std::thread::id& woken_on) {
  OnOtherThread away{executor, helper};
  co_await away;
  woken_on = std::this_thread::get_id();
}

TEST(Executor, ResumesOnItsThreadWhenAnotherAsks) {
  Executor executor("test");
  std::thread helper;
  std::thread::id woken_on;
  run_to_end(executor, hop(executor, helper, woken_on));
  helper.join();
  EXPECT_EQ(woken_on, std::this_thread::get_id());
}

Task<void> fail_badly() {
  throw std::runtime_error("unhandled");
  co_return;
}

TEST(ExecutorDeathTest, AnEscapedExceptionEndsTheProgram) {
  EXPECT_DEATH(
      {
        Executor executor("test");
        executor.spawn(fail_badly());
      },
      "left a detached task: unhandled");
}

TEST(Executor, FarTimersDoNotTick) {
  Executor executor("test");
  std::deque<Timer> timers(1000);
  for (size_t i = 0; i < timers.size(); ++i) {
    executor.arm(timers[i], executor.now() + std::chrono::seconds(40) + milliseconds(i));
  }
  executor.run_until(executor.now());  // what is ready
  rusage before{};
  rusage after{};
  ::getrusage(RUSAGE_THREAD, &before);
  executor.run_until(executor.now() + milliseconds(300));
  ::getrusage(RUSAGE_THREAD, &after);
  EXPECT_LE(after.ru_nvcsw - before.ru_nvcsw, 10);  // sleeps; 75 if it woke at every tick
}

}  // namespace
}  // namespace ebb::net
