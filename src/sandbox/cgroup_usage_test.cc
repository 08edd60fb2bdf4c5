#include "sandbox/cgroup_usage.h"

#include <gtest/gtest.h>

namespace ebb::sandbox {
namespace {

TEST(CgroupUsage, V1TakesInactiveFilePagesOff) {
  const auto usage = v1_usage("1234567890\n", "10485760\n",
                              "cache 4096\ninactive_file 111\ntotal_cache 4096\n"
                              "total_inactive_file 4194304\ntotal_active_file 0\n");
  EXPECT_EQ(usage, (CgroupUsage{.cpu_ns = 1234567890, .memory_bytes = 6291456}));
}

TEST(CgroupUsage, V2CountsMicroseconds) {
  const auto usage =
      v2_usage("usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n", "8388608\n",
               "anon 4096\nfile 4096\ninactive_anon 0\ninactive_file 1048576\nactive_file 5\n");
  EXPECT_EQ(usage, (CgroupUsage{.cpu_ns = 2500000000, .memory_bytes = 7340032}));
}

TEST(CgroupUsage, NeverBelowZeroAndAllWithoutTheLine) {
  EXPECT_EQ(v1_usage("1", "100", "total_inactive_file 200\n")->memory_bytes, 0u);
  EXPECT_EQ(v1_usage("1", "100", "")->memory_bytes, 100u);
  EXPECT_EQ(v1_usage("1", "100", "total_inactive_file x\n")->memory_bytes, 100u);
}

TEST(CgroupUsage, WithoutCpuOrMemoryThereIsNone) {
  EXPECT_FALSE(v1_usage("", "100", ""));
  EXPECT_FALSE(v1_usage("1", "max", ""));
  EXPECT_FALSE(v2_usage("nr_periods 0\n", "100", ""));
  EXPECT_FALSE(v2_usage("usage_usec 18446744073709551615\n", "100", ""));  // no room for ns
}

TEST(MemoryLack, V1IsItsOwnIfTheGroupHasBeenFull) {
  const auto* const killed = "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n";
  EXPECT_EQ(
      v1_memory_lack("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n", "67108864\n", "67108864\n"),
      MemoryLack::kNone);
  EXPECT_EQ(v1_memory_lack(killed, "67108864\n", "67108864\n"), MemoryLack::kOwn);
  EXPECT_EQ(v1_memory_lack(killed, "67080192\n", "67108864\n"), MemoryLack::kOwn);
  EXPECT_EQ(v1_memory_lack(killed, "60000000\n", "67108864\n"), MemoryLack::kAround);
  EXPECT_EQ(v1_memory_lack(killed, "", "67108864\n"), MemoryLack::kOwn) << "it is not known";
  EXPECT_EQ(v1_memory_lack("", "", ""), MemoryLack::kNone);
}

TEST(MemoryLack, V2CountsBoth) {
  EXPECT_EQ(v2_memory_lack("low 0\nhigh 0\nmax 9\noom 0\noom_kill 0\n"), MemoryLack::kNone);
  EXPECT_EQ(v2_memory_lack("low 0\nhigh 0\nmax 9\noom 1\noom_kill 2\noom_group_kill 1\n"),
            MemoryLack::kOwn);
  EXPECT_EQ(v2_memory_lack("low 0\nhigh 0\nmax 9\noom 0\noom_kill 1\n"), MemoryLack::kAround);
}

TEST(CgroupUsage, NumbersAndEntriesAreReadWhole) {
  EXPECT_EQ(parse_number("18446744073709551615"), UINT64_MAX);
  for (const char* bad : {"", "-1", "1x", "18446744073709551616", " 1", "\n"}) {
    EXPECT_FALSE(parse_number(bad)) << bad;
  }
  EXPECT_EQ(parse_entry("ab 1\na 2", "a"), 2u);
  EXPECT_FALSE(parse_entry("ab 1\na", "a"));
  EXPECT_FALSE(parse_entry("", "a"));
}

}  // namespace
}  // namespace ebb::sandbox
