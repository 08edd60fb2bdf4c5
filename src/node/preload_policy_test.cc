#include "node/preload_policy.h"

#include <gtest/gtest.h>

namespace ebb::node {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;

Assign order(Preload preload, std::string revision = "r") {
  Assign out;
  out.revision = std::move(revision);
  out.preload = static_cast<uint8_t>(preload);
  return out;
}

TEST(PreloadPolicy, SlowAndOften) {
  PreloadPolicy policy;
  TimePoint now{};
  const auto automatic = order(Preload::kAutomatic);
  EXPECT_FALSE(policy.loaded(automatic, milliseconds(80), now));
  EXPECT_FALSE(policy.loaded(automatic, milliseconds(10), now)) << "a quick one counts for nothing";
  EXPECT_FALSE(policy.loaded(automatic, milliseconds(80), now += minutes(4)));
  EXPECT_TRUE(policy.loaded(automatic, milliseconds(80), now += minutes(4)));
}

TEST(PreloadPolicy, SeldomIsNotOften) {
  PreloadPolicy policy;
  TimePoint now{};
  for (int i = 0; i < 20; ++i) {
    EXPECT_FALSE(policy.loaded(order(Preload::kAutomatic), milliseconds(900), now += minutes(6)))
        << i;
  }
}

TEST(PreloadPolicy, AWishIsAtOnceAndARefusalStays) {
  PreloadPolicy policy;
  const TimePoint now{};
  EXPECT_TRUE(policy.loaded(order(Preload::kAlways), milliseconds(1), now));
  for (int i = 0; i < 5; ++i) {
    EXPECT_FALSE(policy.loaded(order(Preload::kNever), milliseconds(900), now));
  }
  policy.refuse("r", now);
  EXPECT_FALSE(policy.loaded(order(Preload::kAlways), milliseconds(900), now));
  EXPECT_TRUE(policy.loaded(order(Preload::kAlways, "other"), milliseconds(900), now));
}

TEST(PreloadPolicy, APauseEnds) {
  PreloadPolicy policy;
  const TimePoint now{};
  EXPECT_FALSE(policy.barred("r", now));
  policy.pause("r", now);
  EXPECT_TRUE(policy.barred("r", now + minutes(9)));
  EXPECT_FALSE(policy.barred("r", now + minutes(10)));
  EXPECT_FALSE(policy.loaded(order(Preload::kAlways), milliseconds(900), now + minutes(9)));
  EXPECT_TRUE(policy.loaded(order(Preload::kAlways), milliseconds(900), now + minutes(10)));
}

TEST(PreloadPolicy, ForgetsWhatWasSeenLongestAgo) {
  PreloadPolicy policy;
  TimePoint now{};
  policy.refuse("r", now);
  for (size_t i = 0; i < PreloadPolicy::kMostRevisions; ++i) {
    policy.refuse(std::to_string(i), now += milliseconds(1));
  }
  EXPECT_TRUE(policy.loaded(order(Preload::kAlways), milliseconds(900), now));
  EXPECT_FALSE(policy.loaded(order(Preload::kAlways, "999"), milliseconds(900), now));
}

}  // namespace
}  // namespace ebb::node
