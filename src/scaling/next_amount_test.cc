#include "scaling/next_amount.h"

#include <gtest/gtest.h>

namespace ebb::scaling {
namespace {

using std::chrono::seconds;

constexpr TimePoint kSomeTime{std::chrono::hours(1)};

Decision wish(int pods) {
  Decision out;
  out.valid = true;
  out.desired = pods;
  out.reason = "wish";
  return out;
}

// Last called so long ago, with a window of 60 s.
AmountInput idle_for(Duration time) {
  return {.idle = {.last_active = kSomeTime - time, .stable_window = seconds(60)}};
}

TEST(NextAmount, BoundsHoldAndAnInvalidDecisionChangesNothing) {
  AmountInput in = idle_for(seconds(0));
  in.bounds = {.min = 2, .max = 5};
  EXPECT_EQ(next_amount(wish(9), in, kSomeTime).pods, 5);
  EXPECT_TRUE(next_amount(wish(9), in, kSomeTime).by(AmountRule::kMaximum));
  EXPECT_EQ(next_amount(wish(1), in, kSomeTime).pods, 2);
  in.want = 4;
  EXPECT_EQ(next_amount(Decision{}, in, kSomeTime).pods, 4);
}

TEST(NextAmount, TheLastPodHasItsTime) {
  AmountInput in = idle_for(seconds(59));
  EXPECT_EQ(next_amount(wish(0), in, kSomeTime).pods, 0);  // there is none: none is started
  in.want = 3;
  EXPECT_EQ(next_amount(wish(0), in, kSomeTime).pods, 1);
  EXPECT_EQ(next_amount(wish(0), in, kSomeTime + seconds(1)).pods, 0);
  in.loaded = true;
  EXPECT_TRUE(next_amount(wish(0), in, kSomeTime + seconds(1)).by(AmountRule::kLoaded));
}

TEST(NextAmount, WhatIsBusyStaysAndWhoWaitsIsServed) {
  AmountInput in = idle_for(seconds(0));
  in.want = 5;
  in.needed_pods = 3;
  EXPECT_EQ(next_amount(wish(1), in, kSomeTime).pods, 3);
  in.needed_pods = 9;  // no more than there are
  EXPECT_EQ(next_amount(wish(1), in, kSomeTime).pods, 5);
  in = idle_for(seconds(100));
  in.waiting = 1;
  EXPECT_EQ(next_amount(wish(0), in, kSomeTime).pods, 1);
}

TEST(NextAmount, WithoutARouteOnlyTheFloorAndWhoWaitsCount) {
  AmountInput in = idle_for(seconds(0));
  in.want = in.needed_pods = 4;
  in.reachable = false;
  EXPECT_EQ(next_amount(wish(4), in, kSomeTime).pods, 0);
  in.floor = 1;  // it has yet to prove that it starts
  EXPECT_EQ(next_amount(wish(4), in, kSomeTime).pods, 1);
  in.floor = 0;
  in.waiting = 2;
  EXPECT_EQ(next_amount(wish(4), in, kSomeTime).pods, 1);
}

TEST(NextAmount, TheReasonNamesEachRule) {
  AmountInput in = idle_for(seconds(0));
  in.want = 3;
  in.needed_pods = 2;
  in.floor = 3;
  EXPECT_EQ(
      amount_reason(wish(0), next_amount(wish(0), in, kSomeTime)),
      "wish, the last one stays until nobody has called for a while, what is busy this moment "
      "is not taken away, kept at the minimum");
  in = idle_for(seconds(0));
  in.bounds = {.min = 2, .max = 5};
  EXPECT_EQ(amount_reason(wish(1), next_amount(wish(1), in, kSomeTime)),
            "wish, raised to the minimum 2");
  EXPECT_EQ(
      amount_reason(wish(9), next_amount(wish(9), in, kSomeTime), {.maximum = "max-scale-limit"}),
      "wish, held at max-scale-limit 5");
  in = idle_for(seconds(100));
  in.waiting = 1;
  EXPECT_EQ(amount_reason(wish(0), next_amount(wish(0), in, kSomeTime)), "a request waits");
  in.reachable = false;
  in.floor = 1;
  EXPECT_EQ(
      amount_reason(wish(3), next_amount(wish(3), in, kSomeTime), {.floor = "kept for a proof"}),
      "no route sends traffic there, kept for a proof");
}

}  // namespace
}  // namespace ebb::scaling
