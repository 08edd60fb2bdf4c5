#include "node/node_usage.h"

#include <gtest/gtest.h>

namespace ebb::node {
namespace {

TEST(NodeUsage, BusyIsAllButIdleAndWaitingForDisks) {
  const auto busy =
      parse_busy_ns("cpu  100 20 30 4000 500 6 7 8 9 10\ncpu0 1 1 1 1 1 1 1 1 1 1\nintr 5\n", 100);
  EXPECT_EQ(busy, 1'710'000'000u);  // (100 + 20 + 30 + 6 + 7 + 8) / 100 s
  EXPECT_EQ(parse_busy_ns("cpu  1 2 3 4\n", 100), 60'000'000u);
  EXPECT_FALSE(parse_busy_ns("cpu  1 2 3\n", 100));
  EXPECT_FALSE(parse_busy_ns("cpu0 1 2 3 4\n", 100));
  EXPECT_FALSE(parse_busy_ns("cpu  1 2 3 4\n", 0));
  EXPECT_FALSE(parse_busy_ns("", 100));
}

TEST(NodeUsage, MemoryIsWhatNobodyCouldHave) {
  const auto memory =
      parse_meminfo("MemTotal:       8192 kB\nMemFree:  100 kB\nMemAvailable:    2048 kB\n");
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->total_bytes, 8u << 20);
  EXPECT_EQ(memory->used_bytes, 6u << 20);
  EXPECT_EQ(parse_meminfo("MemTotal: 1 kB\nMemAvailable: 2 kB\n")->used_bytes, 0u);
  EXPECT_FALSE(parse_meminfo("MemTotal: 1 kB\n"));
  EXPECT_FALSE(parse_meminfo("MemTotal: x kB\nMemAvailable: 2 kB\n"));
  EXPECT_FALSE(parse_meminfo("MemTotal: 18446744073709551615 kB\nMemAvailable: 2 kB\n"));
}

TEST(NodeUsage, Pressure) {
  const auto both = parse_pressure("io",
                                   "some avg10=0.04 avg60=0.34 avg300=0.64 total=179547107\n"
                                   "full avg10=0.00 avg60=0.04 avg300=0.35 total=21420335\n");
  EXPECT_EQ(both, (Pressure{"io", 179547107, 21420335}));
  const auto some = parse_pressure("cpu", "some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n");
  EXPECT_EQ(some, (Pressure{"cpu", 7, 0}));
  EXPECT_FALSE(parse_pressure("cpu", "some avg10=0.00\n"));
  EXPECT_FALSE(parse_pressure("cpu", ""));
}

TEST(NodeUsage, OfThisMachine) {
  const auto usage = read_node_usage(7);
  ASSERT_TRUE(usage);
  EXPECT_EQ(usage->at_ns, 7u);
  EXPECT_GT(usage->cpu_ns, 0u);
  EXPECT_GE(usage->cores, 1u);
  EXPECT_GT(usage->memory_bytes, 1u << 20);
  EXPECT_GT(usage->memory_total, usage->memory_bytes);
}

}  // namespace
}  // namespace ebb::node
