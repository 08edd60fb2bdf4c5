#include "scaling/node_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scaling/node_amount.h"
#include "scaling/testing.h"

namespace ebb::scaling {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

// The pool and what becomes of its wish, with nodes of ten slots that boot in a minute.
class NodePoolTest : public testing::Test {
 protected:
  NodePoolTest() { make({}); }
  void make(NodePoolSettings settings, int min = 0) {
    settings.most = 200;
    pool_.emplace(settings);
    limits_.bounds = {min, 20};
    times_ = {};
  }
  void asked(TimePoint now, int instances) {
    pool_->observe({.at = now, .requests = static_cast<double>(instances)});
  }
  NodeAmount next(Situation situation, int idle = 0) {
    situation.pod_concurrency = 10;
    if (situation.start_time == Duration(0)) situation.start_time = seconds(60);
    decision_ = pool_->decide(situation);
    EXPECT_TRUE(decision_.valid);
    const NodeAmount amount = node_amount(decision_, situation, idle, limits_, times_);
    times_ = amount.times;
    reason_ = node_amount_reason(decision_, amount);
    return amount;
  }
  std::optional<NodePool> pool_;
  NodeLimits limits_;
  NodeTimes times_;
  Decision decision_;
  std::string reason_;
};

TEST_F(NodePoolTest, FromZeroByTheFirstThatFindsNoPlace) {
  EXPECT_EQ(next({.now = kStart}).nodes, 0);
  EXPECT_EQ(next({.now = kStart, .waiting = 1}).nodes, 1);
  EXPECT_THAT(reason_, HasSubstr("1 without a place"));
  // One start per need: the node on the way will do.
  asked(kStart + seconds(1), 1);
  EXPECT_EQ(next({.now = kStart + seconds(1), .starting = 1, .waiting = 1}).nodes, 1);
}

TEST_F(NodePoolTest, KeepsABufferForWhatMayBeAskedDuringABoot) {
  for (int i = 0; i < 600; ++i) asked(kStart + seconds(i), 1);  // 60 in a boot time
  const TimePoint now = kStart + seconds(600);
  EXPECT_EQ(next({.now = now, .ready = 8, .in_flight = 50}).nodes, 11);
  EXPECT_EQ(decision_.reason, "50 in use, 0 without a place and a buffer of 60, 10 a node -> 11");
  EXPECT_EQ(decision_.excess_burst_capacity, 30);
  EXPECT_EQ(next({.now = now, .ready = 8, .starting = 3, .in_flight = 50}).nodes, 11);
  // A shorter boot needs less, as soon as what was seen is forgotten.
  make({});
  for (int i = 0; i < 5 * 3600; ++i) {
    if (i == 600) {
      (void)next(
          {.now = kStart + seconds(i), .ready = 8, .in_flight = 50, .start_time = seconds(10)});
    }
    asked(kStart + seconds(i), 1);
  }
  const TimePoint later = kStart + seconds(5 * 3600);
  EXPECT_EQ(next({.now = later, .ready = 8, .in_flight = 50, .start_time = seconds(10)}).nodes, 8);
  EXPECT_THAT(decision_.reason, HasSubstr("a buffer of 10,"));
}

TEST_F(NodePoolTest, GivesIdleNodesBackAfterAWhile) {
  asked(kStart, 5);
  Situation situation{.now = kStart, .ready = 5, .in_flight = 15};
  EXPECT_EQ(next(situation, 3).give_back, 0);
  EXPECT_THAT(reason_, HasSubstr("kept for a while"));
  situation.now = kStart + minutes(5);
  const NodeAmount amount = next(situation, 3);
  EXPECT_EQ(amount.give_back, 3);  // 5 free slots remain: the buffer
  EXPECT_EQ(amount.nodes, 2);
  // Needed in between: the time begins anew.
  make({});
  asked(kStart, 5);
  situation.now = kStart;
  (void)next(situation, 3);
  situation.waiting = 40;
  situation.now = kStart + minutes(4);
  asked(situation.now, 0);
  (void)next(situation, 3);
  situation.waiting = 0;
  situation.now = kStart + minutes(5);
  asked(situation.now, 0);
  EXPECT_EQ(next(situation, 3).give_back, 0);
}

TEST_F(NodePoolTest, ToZeroWhenAllRests) {
  asked(kStart, 100);
  Situation situation{.now = kStart, .ready = 2};
  EXPECT_GE(next(situation, 2).nodes, 2);
  situation.now = kStart + minutes(10);
  const NodeAmount amount = next(situation, 2);
  EXPECT_EQ(amount.give_back, 2);
  EXPECT_EQ(amount.nodes, 0);
  EXPECT_EQ(reason_, "nothing was in use for long");
  // At zero it stays there, whatever the buffer would be.
  EXPECT_EQ(next({.now = kStart + minutes(11)}).nodes, 0);
  // What is in use keeps the node that it needs.
  make({});
  for (int i = 0; i <= 30; ++i) {
    const NodeAmount held = next({.now = kStart + minutes(i), .ready = 2, .in_flight = 1}, 1);
    EXPECT_EQ(held.nodes, i < 5 ? 2 : 1);
  }
}

TEST_F(NodePoolTest, StaysWithinItsBounds) {
  make({}, 3);
  EXPECT_EQ(next({.now = kStart}).nodes, 3);
  EXPECT_THAT(reason_, HasSubstr("raised to the minimum 3"));
  EXPECT_EQ(next({.now = kStart, .ready = 3, .waiting = 1000}).nodes, 20);
  EXPECT_THAT(reason_, HasSubstr("held at the maximum 20"));
  // More than allowed, but in use: nothing is taken from under its pods.
  const NodeAmount amount = next({.now = kStart, .ready = 25, .in_flight = 240}, 1);
  EXPECT_EQ(amount.give_back, 1);
  EXPECT_EQ(amount.nodes, 24);
}

TEST_F(NodePoolTest, ABurstCountsOnceBeforeItsMetricComes) {
  asked(kStart, 1);
  EXPECT_EQ(next({.now = kStart, .ready = 2, .in_flight = 10}).nodes, 2);
  const Situation burst{.now = kStart + seconds(1), .ready = 2, .in_flight = 10, .waiting = 25};
  EXPECT_EQ(next(burst).nodes, 7);  // as many may come again
  EXPECT_THAT(decision_.reason, HasSubstr("a buffer of 26,"));
  EXPECT_EQ(next(burst).nodes, 7);
  asked(kStart + seconds(1), 25);
  EXPECT_EQ(next(burst).nodes, 7);
  // What ended meanwhile hides what came; its metric tells.
  asked(kStart + seconds(2), 12);
  (void)next({.now = kStart + seconds(2), .ready = 2, .in_flight = 10});
  EXPECT_THAT(decision_.reason, HasSubstr("a buffer of 38,"));
}

TEST_F(NodePoolTest, ABufferMayBeSaid) {
  make({.least = 25});
  EXPECT_EQ(next({.now = kStart}).nodes, 0);  // none for nobody
  EXPECT_EQ(next({.now = kStart, .waiting = 1}).nodes, 3);
  EXPECT_EQ(next({.now = kStart, .ready = 3, .in_flight = 5}).nodes, 3);
  EXPECT_EQ(next({.now = kStart, .ready = 3, .in_flight = 6}).nodes, 4);
}

TEST_F(NodePoolTest, ShareSaysHowManyFindASlot) {
  make({.share = 0.5});
  for (int i = 0; i < 100; ++i) asked(kStart + minutes(10) * i, 50);
  (void)next({.now = kStart + minutes(1000), .ready = 1, .in_flight = 1});
  EXPECT_THAT(decision_.reason, HasSubstr("a buffer of 25,"));
}

TEST(NodePool, ANodeWithoutALimitIsEnough) {
  NodePool pool({});
  EXPECT_EQ(pool.decide({.now = kStart}).desired, 0);
  EXPECT_EQ(pool.decide({.now = kStart, .ready = 3, .in_flight = 1000}).desired, 1);
}

}  // namespace
}  // namespace ebb::scaling
