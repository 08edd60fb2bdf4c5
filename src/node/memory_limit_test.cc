#include "node/memory_limit.h"

#include <gtest/gtest.h>

namespace ebb::node {
namespace {

constexpr uint64_t kMi = 1 << 20;

TEST(MemoryLimit, IsWrittenAsItWasGiven) {
  EXPECT_EQ(describe_memory(256 * kMi), "256Mi");
  EXPECT_EQ(describe_memory(1024), "1Ki");
  EXPECT_EQ(describe_memory(1), "1");
  EXPECT_EQ(describe_memory(1'000'000'000), "1000000000");
}

TEST(MemoryLimit, TheAdviceHoldsAColdPodOfThatRuntime) {
  EXPECT_EQ(too_little_memory(1024, 3 * kMi + kMi / 2, "python"),
            "the memory limit of 1Ki is too small for a pod to start in: a pod of the runtime "
            "python holds 3.5 MiB before it loads any code. Give it 8Mi or more");
  for (const uint64_t used : {uint64_t{0}, kMi, 8 * kMi - 1, 8 * kMi, 17 * kMi}) {
    const std::string said = too_little_memory(1, used, "node");
    const uint64_t advised = std::stoull(said.substr(said.find("Give it ") + 8)) * kMi;
    EXPECT_GT(advised, used + used / 4);
    EXPECT_LE(advised, used + used / 4 + 8 * kMi);
  }
}

}  // namespace
}  // namespace ebb::node
