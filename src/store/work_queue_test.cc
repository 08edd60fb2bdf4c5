#include "store/work_queue.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>

namespace ebb::store {
namespace {

template <class T>
bool push(WorkQueue<T>& queue, T item, size_t bytes) {
  return queue.push(item, bytes);
}

TEST(WorkQueue, IsBoundedInItems) {
  WorkQueue<int> queue(2, 1000);
  EXPECT_TRUE(push(queue, 1, 0));
  EXPECT_TRUE(push(queue, 2, 0));
  EXPECT_FALSE(push(queue, 3, 0));
  EXPECT_EQ(queue.take_all().size(), 2U);
  EXPECT_TRUE(push(queue, 3, 0));
}

TEST(WorkQueue, IsBoundedInBytes) {
  WorkQueue<std::string> queue(100, 10);
  EXPECT_TRUE(push<std::string>(queue, "a", 6));
  std::string refused = "b";
  EXPECT_FALSE(queue.push(refused, 5));
  EXPECT_EQ(refused, "b") << "a refused item stays with its owner";
  EXPECT_TRUE(push<std::string>(queue, "c", 4));
  (void)queue.take_all();
  EXPECT_TRUE(push<std::string>(queue, "large", 50)) << "one alone always fits";
}

TEST(WorkQueue, StopLetsTheWorkerFinish) {
  WorkQueue<int> queue(1000, 1000);
  size_t taken = 0;
  std::thread worker([&] {
    for (auto batch = queue.take_all(); !batch.empty(); batch = queue.take_all()) {
      taken += batch.size();
    }
  });
  for (int i = 0; i < 500; ++i) EXPECT_TRUE(push(queue, i, 0));
  queue.stop();
  worker.join();
  EXPECT_EQ(taken, 500U);
  EXPECT_FALSE(push(queue, 1, 0));
}

}  // namespace
}  // namespace ebb::store
