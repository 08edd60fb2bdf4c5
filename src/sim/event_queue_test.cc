#include "sim/event_queue.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "sim/random.h"

namespace ebb::sim {
namespace {

TEST(EventQueue, GivesEventsByTimeAndThenInTheOrderOfAdding) {
  EventQueue<int> queue;
  EXPECT_EQ(queue.next_ns(), INT64_MAX);
  queue.push(5, 1);
  queue.push(3, 2);
  queue.push(5, 3);
  queue.push(3, 4);
  EXPECT_EQ(queue.next_ns(), 3);
  EXPECT_EQ(queue.pop(), 2);
  EXPECT_EQ(queue.pop(), 4);
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.pop(), 3);
  EXPECT_TRUE(queue.empty());
}

TEST(EventQueue, SortsWhateverComes) {
  EventQueue<std::pair<int64_t, int>> queue;
  std::vector<std::pair<int64_t, int>> expected;
  Random random(1);
  for (int i = 0; i < 5000; ++i) {
    const auto at = static_cast<int64_t>(random.next() % 500);
    queue.push(at, {at, i});
    expected.emplace_back(at, i);
    if (i % 3 == 0) {  // what has been taken out is before all that is left
      const auto least = std::min_element(expected.begin(), expected.end());
      EXPECT_EQ(queue.pop(), *least);
      expected.erase(least);
    }
  }
  std::sort(expected.begin(), expected.end());
  for (const auto& event : expected) EXPECT_EQ(queue.pop(), event);
  EXPECT_TRUE(queue.empty());
}

}  // namespace
}  // namespace ebb::sim
