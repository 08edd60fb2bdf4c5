#include "net/task.h"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>

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

TEST(Task, NeverAwaitedRunsNothing) {
  int64_t sum = 0;
  {
    const Task<void> task = add_many(10, sum);
  }
  EXPECT_EQ(sum, 0);
}

}  // namespace
}  // namespace ebb::net
