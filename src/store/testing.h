// For tests: runs a task on an executor until it ends.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <utility>

#include "net/executor.h"
#include "net/task.h"

namespace ebb::store::testing {

inline constexpr Duration kTestPatience = std::chrono::seconds(30);

template <class T>
net::Task<void> keep_result(net::Task<T> task, std::optional<T>* out) {
  out->emplace(co_await task);
}

// Ends the program if it takes longer than kTestPatience: its frame refers to
// the caller's.
template <class T>
T run(net::Executor& executor, net::Task<T> task) {
  std::optional<T> result;
  executor.spawn(keep_result(std::move(task), &result));
  TimePoint patience = executor.now() + kTestPatience;
  while (!result) {
    if (executor.now() > patience) {
      std::fprintf(stderr, "the task does not end\n");
      std::abort();
    }
    executor.run_until(executor.now() + std::chrono::milliseconds(20));
  }
  return std::move(*result);
}

}  // namespace ebb::store::testing
