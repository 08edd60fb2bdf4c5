#include "scaling/quota.h"

#include <gtest/gtest.h>

namespace ebb::scaling {
namespace {

TEST(QuotaTest, CutsWhatIsBeyondTheLimit) {
  Quota quota;
  quota.changed(7);
  EXPECT_EQ(quota.allowed("a", 2, 4, 10), 4);
  EXPECT_EQ(quota.allowed("a", 2, 9, 10), 5);
  EXPECT_EQ(quota.allowed("a", 2, 9, 0), 9) << "no limit";
  EXPECT_EQ(quota.allowed("a", 2, 1, 10), 1) << "less is always allowed";
  quota.changed(5);
  EXPECT_EQ(quota.allowed("a", 2, 9, 10), 2) << "over a lowered limit nothing is taken here";
}

TEST(QuotaTest, WhoAskedFirstHasTheFirstPod) {
  Quota quota;
  quota.changed(10);
  EXPECT_FALSE(quota.next());
  EXPECT_TRUE(quota.ask("a", 3));
  EXPECT_TRUE(quota.ask("b", 1));
  EXPECT_FALSE(quota.ask("a", 2)) << "it waits already";
  quota.changed(-1);
  EXPECT_EQ(quota.allowed("b", 0, 1, 10), 0) << "the free one is a's";
  EXPECT_EQ(quota.allowed("a", 0, 2, 10), 1);
  ASSERT_TRUE(quota.next());
  EXPECT_EQ(quota.next()->who, "a");
  EXPECT_EQ(quota.next()->want, 2);
  quota.served(1);
  EXPECT_EQ(quota.next()->who, "b") << "one at a time";
  quota.served(1);
  EXPECT_EQ(quota.next()->who, "a");
  quota.served(2);
  EXPECT_FALSE(quota.next());
}

TEST(QuotaTest, WhoNeedsNoMoreLeavesTheLine) {
  Quota quota;
  quota.ask("a", 1);
  quota.ask("b", 1);
  quota.forget("a");
  EXPECT_EQ(quota.next()->who, "b");
  quota.forget("c");
  quota.forget("b");
  EXPECT_FALSE(quota.next());
}

}  // namespace
}  // namespace ebb::scaling
