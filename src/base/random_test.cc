#include "base/random.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace ebb {
namespace {

TEST(Random, HexHasTwoDigitsPerByteAndDiffers) {
  EXPECT_EQ(random_hex(0), "");
  EXPECT_THAT(random_hex(8), testing::MatchesRegex("[0-9a-f]{16}"));
  EXPECT_NE(random_hex(16), random_hex(16));
}

TEST(Random, FillsMoreThanOneSystemCallGives) {
  std::vector<unsigned char> bytes(100'000);
  random_bytes(bytes);
  std::set<unsigned char> seen(bytes.end() - 10'000, bytes.end());
  EXPECT_EQ(seen.size(), 256U);
}

TEST(Random, Uuid4HasItsVersionAndVariant) {
  for (int i = 0; i < 50; ++i) {
    EXPECT_THAT(uuid4(),
                testing::MatchesRegex(
                    "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
  }
  EXPECT_NE(uuid4(), uuid4());
}

}  // namespace
}  // namespace ebb
