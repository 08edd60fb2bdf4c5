#include "node/output_tail.h"

#include <gtest/gtest.h>

namespace ebb::node {
namespace {

using namespace std::chrono_literals;

const TimePoint kStart{1h};

TEST(OutputTail, KeepsTheLastWholeLines) {
  OutputTail tail;
  EXPECT_EQ(tail.last(10), "");
  tail.add("first line\nsecond\nthi", kStart);
  tail.add("rd\n", kStart);
  EXPECT_EQ(tail.last(1000), "first line\nsecond\nthird\n");
  EXPECT_EQ(tail.last(15), "second\nthird\n");
  EXPECT_EQ(tail.last(13), "second\nthird\n") << "it begins with a line";
  EXPECT_EQ(tail.last(12), "third\n");
}

TEST(OutputTail, LeavesOutWhatIsOld) {
  OutputTail tail;
  tail.add("listening\n", kStart);
  tail.add("served\nhal", kStart + 5s);
  tail.add("f a line\nfailed\n", kStart + 9s);
  EXPECT_EQ(tail.last(1000, kStart), "listening\nserved\nhalf a line\nfailed\n");
  EXPECT_EQ(tail.last(1000, kStart + 5s), "served\nhalf a line\nfailed\n");
  EXPECT_EQ(tail.last(1000, kStart + 8s), "failed\n");
  EXPECT_EQ(tail.last(1000, kStart + 10s), "");
}

TEST(OutputTail, IsBounded) {
  OutputTail tail;
  std::string line(99, 'x');
  line += '\n';
  for (int i = 0; i < 1000; ++i) tail.add(line, kStart + i * 1s);
  EXPECT_EQ(tail.last(1 << 20, kStart + 998s), line + line);
  EXPECT_LE(tail.last(1 << 20).size(), 2 * kKeptOutput);
  EXPECT_GE(tail.last(1 << 20).size(), kKeptOutput - line.size());
}

}  // namespace
}  // namespace ebb::node
