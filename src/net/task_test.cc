#include "net/task.h"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "net/test_util.h"

namespace ebb::net {
namespace {

Task<int> ready(int value) { co_return value; }

Task<void> add_many(int count, int64_t& sum) {
  for (int i = 0; i < count; ++i) sum += co_await ready(i);
}

TEST(Task, AMillionReadyAwaitsNeedNoStack) {
  Executor executor("test");
  int64_t sum = 0;
  run_to_end(executor, add_many(1'000'000, sum));
  EXPECT_EQ(sum, 499'999'500'000);
}

Task<void> sleep_once(Executor& executor) {
  auto sleep = executor.sleep_until(executor.now() + std::chrono::milliseconds(1));
  co_await sleep;
}

Task<std::unique_ptr<std::string>> deep(Executor& executor, int depth) {
  if (depth == 0) {
    co_await sleep_once(executor);
    co_return std::make_unique<std::string>("bottom");
  }
  co_return co_await deep(executor, depth - 1);
}

Task<void> check_deep(Executor& executor, bool& done) {
  const auto text = co_await deep(executor, 50);
  EXPECT_EQ(*text, "bottom");
  done = true;
}

TEST(Task, ResumesThroughManyLevels) {
  Executor executor("test");
  bool done = false;
  run_to_end(executor, check_deep(executor, done));
  EXPECT_TRUE(done);
}

Task<int> throws(Executor& executor, bool suspend) {
  if (suspend) co_await sleep_once(executor);
  throw std::runtime_error("no");
}

Task<void> catches(Executor& executor, int& caught) {
  for (const bool suspend : {false, true}) {
    try {
      co_await throws(executor, suspend);
    } catch (const std::runtime_error&) {
      ++caught;
    }
  }
}

TEST(Task, ExceptionsReachWhoAwaits) {
  Executor executor("test");
  int caught = 0;
  run_to_end(executor, catches(executor, caught));
  EXPECT_EQ(caught, 2);
}

// Looks one up, or waits for one: as callers of Task::ready do.
Task<std::unique_ptr<int>> find(Executor& executor, bool known) {
  if (known) return Task<std::unique_ptr<int>>::ready(std::make_unique<int>(1));
  return [](Executor& e) -> Task<std::unique_ptr<int>> {
    co_await sleep_once(e);
    co_return std::make_unique<int>(2);
  }(executor);
}

Task<void> look_up(Executor& executor, std::vector<int>& found) {
  for (const bool known : {true, false, true}) {
    const auto value = co_await find(executor, known);
    found.push_back(*value);
  }
  co_await Task<void>::ready();
  found.push_back(0);
}

TEST(Task, OneThatIsReadyIsAwaitedAsAnyOther) {
  Executor executor("test");
  std::vector<int> found;
  run_to_end(executor, look_up(executor, found));
  EXPECT_EQ(found, (std::vector<int>{1, 2, 1, 0}));
}

TEST(Task, AReadyOneMayBeMovedAndDropped) {
  auto dropped = Task<std::shared_ptr<int>>::ready(std::make_shared<int>(7));
  auto task = std::move(dropped);
  ASSERT_TRUE(task.await_ready());
  const std::weak_ptr<int> value = [&] {
    const auto taken = task.await_resume();
    EXPECT_EQ(*taken, 7);
    return std::weak_ptr<int>(taken);
  }();
  EXPECT_TRUE(value.expired());
}

TEST(Task, NeverAwaitedRunsNothing) {
  int64_t sum = 0;
  {
    const Task<void> task = add_many(10, sum);
  }
  EXPECT_EQ(sum, 0);
}

}  // namespace
}  // namespace ebb::net
