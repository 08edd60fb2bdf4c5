#include "scaling/node_amount.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scaling/testing.h"

namespace ebb::scaling {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

Decision wish_of_nodes(int desired) {
  Decision out;
  out.valid = true;
  out.desired = desired;
  out.reason = "because";
  return out;
}

// Nodes of ten slots, 1 to 20 of them unless said otherwise.
class NodeAmountTest : public testing::Test {
 protected:
  NodeAmount next(const Decision& decision, Situation situation, int idle = 0) {
    situation.now = now_;
    situation.pod_concurrency = 10;
    const NodeAmount amount = node_amount(decision, situation, idle, limits_, times_);
    times_ = amount.times;
    reason_ = node_amount_reason(decision, amount);
    return amount;
  }
  NodeLimits limits_{.bounds = {1, 20}};
  NodeTimes times_;
  TimePoint now_ = kStart;
  std::string reason_;
};

TEST_F(NodeAmountTest, TheWishWithinTheBounds) {
  EXPECT_EQ(next(wish_of_nodes(7), {.ready = 2}).nodes, 7);
  EXPECT_EQ(reason_, "because");
  EXPECT_EQ(next(wish_of_nodes(0), {}).nodes, 1);
  EXPECT_EQ(reason_, "because, raised to the minimum 1");
  EXPECT_EQ(next(wish_of_nodes(70), {.ready = 2}).nodes, 20);
  EXPECT_EQ(reason_, "because, held at the maximum 20");
  limits_.bounds = {};
  EXPECT_EQ(next(wish_of_nodes(70), {.ready = 2}).nodes, 70);  // unlimited
}

TEST_F(NodeAmountTest, WithoutADecisionAllStays) {
  const Decision none;
  EXPECT_EQ(next(none, {.ready = 4, .starting = 1}, 4).nodes, 5);
  now_ += minutes(20);
  EXPECT_EQ(next(none, {.ready = 4, .starting = 1}, 4).give_back, 0);
  EXPECT_EQ(next(none, {}).nodes, 1);
  limits_.bounds.min = 0;
  EXPECT_EQ(next(none, {}).nodes, 0);
  EXPECT_EQ(next(none, {.waiting = 3}).nodes, 1);
  EXPECT_EQ(reason_, "an instance waits for a place");
}

TEST_F(NodeAmountTest, OnlyIdleNodesGoAndOnlyAfterAWhile) {
  const Situation situation{.ready = 6, .in_flight = 4};
  EXPECT_EQ(next(wish_of_nodes(1), situation, 3).give_back, 0);
  EXPECT_EQ(reason_,
            "because, what is too many is kept for a while, what is in use or boots is not given "
            "back");
  now_ += limits_.keep - seconds(1);
  EXPECT_EQ(next(wish_of_nodes(1), situation, 3).nodes, 6);
  now_ += seconds(1);
  const NodeAmount amount = next(wish_of_nodes(1), situation, 3);
  EXPECT_EQ(amount.give_back, 3);
  EXPECT_EQ(amount.nodes, 3);
  EXPECT_EQ(reason_, "because, what is in use or boots is not given back");
}

TEST_F(NodeAmountTest, WhatBootsIsNotTurnedBack) {
  limits_.keep = Duration(0);
  const NodeAmount amount = next(wish_of_nodes(1), {.ready = 1, .starting = 3, .in_flight = 1});
  EXPECT_EQ(amount.nodes, 4);
  EXPECT_EQ(amount.give_back, 0);
}

TEST_F(NodeAmountTest, WhatIsInUseOrWaitedForIsNotTakenAway) {
  limits_.keep = Duration(0);
  const NodeAmount amount = next(wish_of_nodes(1), {.ready = 6, .in_flight = 15, .waiting = 20}, 4);
  EXPECT_EQ(amount.nodes, 4);  // 35 instances
  EXPECT_EQ(amount.give_back, 2);
  EXPECT_THAT(reason_, HasSubstr("what is in use or waited for is not taken away"));
  // That starts none: how many there are to be the policy says.
  EXPECT_EQ(next(wish_of_nodes(1), {.ready = 2, .in_flight = 15, .waiting = 20}).nodes, 2);
}

TEST_F(NodeAmountTest, TheLastOneStaysUntilAllWereIdleForLong) {
  limits_.bounds.min = 0;
  const Situation idle{.ready = 3};
  (void)next(wish_of_nodes(0), idle, 3);
  now_ += minutes(5);
  NodeAmount amount = next(wish_of_nodes(0), idle, 3);
  EXPECT_EQ(amount.nodes, 1);
  EXPECT_EQ(amount.give_back, 2);
  EXPECT_EQ(reason_, "because, the last one stays until all were idle for long");
  now_ += minutes(5) - seconds(1);
  EXPECT_EQ(next(wish_of_nodes(0), {.ready = 1}, 1).nodes, 1);
  now_ += seconds(1);
  EXPECT_EQ(next(wish_of_nodes(0), {.ready = 1}, 1).nodes, 0);
  EXPECT_EQ(reason_, "because");
}

TEST_F(NodeAmountTest, AtRestThePolicyIsHeardAtOnceAndNotOverruled) {
  limits_.bounds.min = 0;
  (void)next(wish_of_nodes(5), {.ready = 5}, 5);
  now_ += minutes(10);
  EXPECT_EQ(next(wish_of_nodes(5), {.ready = 5}, 5).nodes, 5);  // such as by a schedule
  EXPECT_EQ(next(wish_of_nodes(2), {.ready = 5}, 5).give_back, 3);
}

TEST_F(NodeAmountTest, BeyondTheMaximumIdleOnesGoAtOnce) {
  EXPECT_EQ(next(wish_of_nodes(30), {.ready = 25, .in_flight = 100}, 3).give_back, 3);
  EXPECT_EQ(next(wish_of_nodes(30), {.ready = 25, .in_flight = 100}, 9).give_back, 5);
  EXPECT_EQ(next(Decision(), {.ready = 25, .in_flight = 100}, 9).nodes, 20);
}

TEST_F(NodeAmountTest, NonsenseDoesNoHarm) {
  limits_.keep = limits_.rest = Duration(0);
  EXPECT_EQ(next(wish_of_nodes(-5), {.ready = 2, .in_flight = 3}, 99).give_back, 1);
  EXPECT_EQ(next(wish_of_nodes(-5), {.ready = -2, .starting = -1}, -3).nodes, 1);
  EXPECT_EQ(next(wish_of_nodes(0), {.ready = 2}, -1).give_back, 0);
  const Situation unlimited{.now = now_, .ready = 3, .in_flight = 100};  // no pod_concurrency
  EXPECT_EQ(node_amount(wish_of_nodes(0), unlimited, 2, limits_, {}).nodes, 1);
}

}  // namespace
}  // namespace ebb::scaling
