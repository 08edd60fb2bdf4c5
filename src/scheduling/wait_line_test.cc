#include "scheduling/wait_line.h"

#include <gtest/gtest.h>

#include <string>

namespace ebb::scheduling {
namespace {

TimePoint at(int seconds) { return TimePoint(std::chrono::seconds(seconds)); }

TEST(WaitLine, TheLongestWaitComesFirst) {
  WaitLine<std::string> line;
  EXPECT_EQ(line.next(), std::nullopt);
  line.set("late", at(5));
  line.set("early", at(3));
  line.set("ahead", std::nullopt);
  EXPECT_EQ(line.next(), "early");
  line.remove("early");
  EXPECT_EQ(line.next(), "late");
  line.remove("late");
  EXPECT_EQ(line.next(), "ahead");
  line.remove("ahead");
  line.remove("nobody");
  EXPECT_EQ(line.size(), 0);
}

TEST(WaitLine, TurnsChangeWithTheOldestRequest) {
  WaitLine<int> line;
  line.set(1, at(1));
  line.set(2, at(2));
  line.set(1, at(9));  // its oldest was served
  EXPECT_EQ(line.next(), 2);
  line.set(2, std::nullopt);
  EXPECT_EQ(line.next(), 1);
  line.set(2, at(0));  // somebody waits again
  EXPECT_EQ(line.next(), 2);
  EXPECT_EQ(line.size(), 2);
}

TEST(WaitLine, EqualWaitsGoByTheOrderOfJoining) {
  WaitLine<int> line;
  line.set(7, std::nullopt);
  line.set(3, std::nullopt);
  EXPECT_EQ(line.next(), 7);
  line.set(7, at(1));
  line.set(7, std::nullopt);  // back in its old place
  EXPECT_EQ(line.next(), 7);
}

TEST(WaitLine, ThoseForWhomNobodyWaitsTakeTurns) {
  WaitLine<int> line;
  line.set(7, std::nullopt);
  line.set(3, std::nullopt);
  line.turn_taken(7);
  EXPECT_EQ(line.next(), 3);
  line.turn_taken(3);
  EXPECT_EQ(line.next(), 7);
  line.set(3, at(1));
  line.turn_taken(3);  // somebody waits: first all the same
  EXPECT_EQ(line.next(), 3);
  line.turn_taken(8);
  EXPECT_EQ(line.size(), 2);
}

}  // namespace
}  // namespace ebb::scheduling
