#include "node/compiled_code.h"

#include <gtest/gtest.h>

namespace ebb::node {
namespace {

TEST(CompiledCode, KeepsTheFirstOfEachCodeAndRuntime) {
  CompiledCode kept;
  kept.add("python", "a", "one");
  kept.add("python", "a", "two");
  kept.add("other", "a", "three");
  kept.add("python", "b", "");
  ASSERT_NE(kept.find("python", "a"), nullptr);
  EXPECT_EQ(*kept.find("python", "a"), "one");
  EXPECT_EQ(*kept.find("other", "a"), "three");
  EXPECT_EQ(kept.find("python", "b"), nullptr);
  kept.forget("python");
  EXPECT_EQ(kept.find("python", "a"), nullptr);
  EXPECT_NE(kept.find("other", "a"), nullptr);
  kept.add("python", "a", "four");
  EXPECT_EQ(*kept.find("python", "a"), "four");
}

TEST(CompiledCode, IsBounded) {
  CompiledCode kept;
  kept.add("python", "large", std::string(CompiledCode::kMostOfOne + 1, 'x'));
  EXPECT_EQ(kept.find("python", "large"), nullptr);
  const size_t fit = CompiledCode::kMostBytes / CompiledCode::kMostOfOne;
  for (size_t i = 0; i <= fit; ++i) {
    kept.add("python", std::to_string(i), std::string(CompiledCode::kMostOfOne, 'x'));
  }
  EXPECT_EQ(kept.find("python", "0"), nullptr) << "the oldest made room";
  EXPECT_NE(kept.find("python", "1"), nullptr);
  EXPECT_NE(kept.find("python", std::to_string(fit)), nullptr);
}

}  // namespace
}  // namespace ebb::node
