#include "sim/row_times.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "sim/random.h"

namespace ebb::sim {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<size_t> unordered(const std::vector<int64_t>& times) {
  return rows_out_of_order(times);
}
std::vector<size_t> apart(const std::vector<int64_t>& times, int64_t most) {
  return rows_apart(times, most);
}

TEST(RowTimes, OutOfOrderIsTheRowThatIsWrongAndNotWhatFollowsIt) {
  EXPECT_THAT(unordered({}), IsEmpty());
  EXPECT_THAT(unordered({3}), IsEmpty());
  EXPECT_THAT(unordered({1, 1, 2}), IsEmpty());
  EXPECT_THAT(unordered({0, 1, 1'700'000'000, 2, 3}), ElementsAre(2));
  EXPECT_THAT(unordered({1'700'000'000, 1, 2, 3}), ElementsAre(0));
  EXPECT_THAT(unordered({10, 11, 2, 12, 13}), ElementsAre(2));
  EXPECT_THAT(unordered({10, 11, 12, 0}), ElementsAre(3));
  EXPECT_THAT(unordered({5, 4}), ElementsAre(1));
  EXPECT_THAT(unordered({0, 2, 1, 3}), ElementsAre(2));
  EXPECT_THAT(unordered({3, 2, 1}), ElementsAre(1, 2));
}

// The longest chain in order, counted by trying every pair of rows.
size_t longest(const std::vector<int64_t>& times) {
  std::vector<size_t> chains(times.size(), 1);
  for (size_t i = 0; i < times.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (times[j] <= times[i]) chains[i] = std::max(chains[i], chains[j] + 1);
    }
  }
  return chains.empty() ? 0 : *std::max_element(chains.begin(), chains.end());
}

TEST(RowTimes, AsFewAsCanBeAreOutOfOrder) {
  Random random(7);
  for (int round = 0; round < 300; ++round) {
    std::vector<int64_t> times(static_cast<size_t>(random.uniform() * 30));
    for (int64_t& time : times) time = static_cast<int64_t>(random.uniform() * 20);
    const auto out = unordered(times);
    EXPECT_EQ(out.size(), times.size() - longest(times));
    EXPECT_TRUE(std::is_sorted(out.begin(), out.end()));
    std::vector<int64_t> rest = times;
    for (size_t i = out.size(); i-- > 0;) {
      rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(out[i]));
    }
    EXPECT_TRUE(std::is_sorted(rest.begin(), rest.end()));
  }
}

TEST(RowTimes, ApartAreTheFarthestUntilTheRestIsNear) {
  EXPECT_THAT(apart({}, 10), IsEmpty());
  EXPECT_THAT(apart({0, 10}, 10), IsEmpty());
  EXPECT_THAT(apart({0, 5, 900, 7, 10}, 10), ElementsAre(2));
  EXPECT_THAT(apart({3, 900, 905, 907}, 10), ElementsAre(0));
  EXPECT_THAT(apart({500, 1, 2, 900, 3}, 10), ElementsAre(3, 0));
  EXPECT_THAT(apart({1, 900}, 10), ElementsAre(1));  // nothing tells which: the later one
  // Most calls at one end: what is in the span stays, however far from the median.
  EXPECT_THAT(apart({0, 0, 0, 0, 9, 10, 11}, 10), ElementsAre(6));
}

TEST(RowTimes, MedianIsTheLowerOfTwo) {
  EXPECT_EQ(median(std::vector<int64_t>{7}), 7);
  EXPECT_EQ(median(std::vector<int64_t>{9, 1}), 1);
  EXPECT_EQ(median(std::vector<int64_t>{9, 1, 5}), 5);
}

}  // namespace
}  // namespace ebb::sim
