#include "scheduling/pool_size.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ebb::scheduling {
namespace {

using testing::HasSubstr;

TEST(PoolSize, IsANumberOrARange) {
  EXPECT_EQ(PoolSize::parse("16").value(), (PoolSize{16, 16}));
  EXPECT_EQ(PoolSize::parse("0").value(), (PoolSize{0, 0}));
  EXPECT_EQ(PoolSize::parse("8-64").value(), (PoolSize{8, 64}));
  EXPECT_EQ(PoolSize::parse("0-10000").value(), (PoolSize{0, 10000}));
}

TEST(PoolSize, OthersAreRefusedWithTheReason) {
  const auto error = [](const char* text) { return PoolSize::parse(text).error().message; };
  for (const char* text : {"", "-", "few", "1-", "-1-2-3", "1.5", "2 - 3", "99999999999"}) {
    EXPECT_THAT(error(text), HasSubstr("neither a number of pods nor a range")) << text;
  }
  EXPECT_EQ(error("-1"), "-1 is not within 0 and 10000");
  EXPECT_EQ(error("1-10001"), "10001 is not within 0 and 10000");
  EXPECT_THAT(error("9-8"), HasSubstr("ends below where it begins"));
}

}  // namespace
}  // namespace ebb::scheduling
