#include "sandbox/cgroup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ebb::sandbox {
namespace {

using testing::ElementsAre;
using testing::Pair;
using namespace std::string_literals;
using Version = CgroupMounts::Version;

constexpr const char* kV2 =
    "25 21 0:22 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr const char* kHybrid =
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

TEST(CgroupMounts, V2WhereItHasMemory) {
  const auto found = CgroupMounts::find(kV2, "0::/user.slice\n", "cpuset cpu io memory pids");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->version, Version::kV2);
  EXPECT_THAT(found->folders, ElementsAre("/sys/fs/cgroup"));
  EXPECT_THAT(found->controllers, ElementsAre("memory", "pids", "cpu"));
  EXPECT_EQ(found->freezer, "/sys/fs/cgroup");
}

TEST(CgroupMounts, V1WhereV2HasNoMemory) {
  const auto found =
      CgroupMounts::find(kHybrid, "5:cpu,cpuacct:/\n4:memory:/\n3:pids:/\n0::/\n", "");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->version, Version::kV1);
  EXPECT_THAT(found->folders,
              ElementsAre("/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids",
                          "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct"));
  EXPECT_EQ(found->freezer, "/sys/fs/cgroup/unified") << "v2 beside v1";
}

TEST(CgroupMounts, FreezesByV1WhereThereIsNoV2) {
  const std::string mounts =
      std::string(kHybrid) + "42 31 0:39 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n";
  const std::string own = "6:freezer:/\n5:cpu,cpuacct:/\n4:memory:/\n3:pids:/\n";
  const auto both = CgroupMounts::find(mounts, own + "0::/\n", "");
  ASSERT_TRUE(both);
  EXPECT_EQ(both->freezer, "/sys/fs/cgroup/unified");
  EXPECT_EQ(both->freezer_version, Version::kV2);
  std::string without_v2 = mounts;
  without_v2.erase(without_v2.find("41 31"), without_v2.find("42 31") - without_v2.find("41 31"));
  const auto v1 = CgroupMounts::find(without_v2, own, "");
  ASSERT_TRUE(v1);
  EXPECT_EQ(v1->freezer, "/sys/fs/cgroup/freezer");
  EXPECT_EQ(v1->freezer_version, Version::kV1);
}

TEST(CgroupMounts, CpuacctOnItsOwnOrNotAtAll) {
  const std::string three =
      "32 31 0:29 / /cg/cpu rw - cgroup cgroup rw,cpu\n"
      "35 31 0:32 / /cg/memory rw - cgroup cgroup rw,memory\n"
      "39 31 0:36 / /cg/pids rw - cgroup cgroup rw,pids\n";
  const std::string own = "4:memory:/\n3:pids:/\n2:cpuacct:/\n1:cpu:/\n";
  const auto without = CgroupMounts::find(three, own, "");
  ASSERT_TRUE(without);
  EXPECT_THAT(without->folders, ElementsAre("/cg/memory", "/cg/pids", "/cg/cpu"));
  EXPECT_EQ(without->freezer, "");
  const auto with = CgroupMounts::find(
      three + "33 31 0:30 / /cg/cpuacct rw - cgroup cgroup rw,cpuacct\n", own, "");
  ASSERT_TRUE(with);
  EXPECT_THAT(with->folders, ElementsAre("/cg/memory", "/cg/pids", "/cg/cpu", "/cg/cpuacct"));
}

TEST(CgroupMounts, WithoutControllersItSaysHow) {
  const auto found = CgroupMounts::find("1 1 0:1 / / rw - ext4 /dev/vda rw\n", "0::/\n", "");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Errc::kPermission);
  EXPECT_THAT(found.error().message, testing::HasSubstr("Mount cgroup2 on /sys/fs/cgroup"));
}

TEST(CgroupLimits, V2) {
  const Limits limits{.memory_bytes = 1 << 20, .cpu_millis = 500, .pids = 64};
  EXPECT_THAT(v2_limits("/g", {"memory", "pids", "cpu"}, limits),
              ElementsAre(Pair("/g/memory.max", "1048576"), Pair("/g/memory.swap.max", "0"),
                          Pair("/g/memory.oom.group", "1"), Pair("/g/pids.max", "64"),
                          Pair("/g/cpu.max", "50000 100000")));
  EXPECT_THAT(v2_limits("/g", {"cpu"}, {}), ElementsAre(Pair("/g/cpu.max", "max 100000")));
  EXPECT_THAT(v2_limits("/g", {"cpu"}, {.cpu_millis = 1}),
              ElementsAre(Pair("/g/cpu.max", "1000 100000")));
}

TEST(CgroupWeight, AnEighthWhileItYields) {
  const std::vector<std::string> together = {"/c/pod"};
  const std::vector<std::string> apart = {"/memory/pod", "/pids/pod", "/cpu/pod"};
  EXPECT_EQ(v1_weight(apart, true), std::pair("/cpu/pod/cpu.shares"s, "128"s));
  EXPECT_EQ(v1_weight(apart, false), std::pair("/cpu/pod/cpu.shares"s, "1024"s));
  EXPECT_EQ(v1_weight(together, true).first, "/c/pod/cpu.shares");
  EXPECT_EQ(v2_weight("/c/pod", {"memory", "cpu"}, true), std::pair("/c/pod/cpu.weight"s, "12"s));
  EXPECT_EQ(v2_weight("/c/pod", {"memory", "cpu"}, false), std::pair("/c/pod/cpu.weight"s, "100"s));
  EXPECT_EQ(v2_weight("/c/pod", {"memory"}, true).first, "");
}

TEST(CgroupLimits, V1SetsTheSumWithSwapWhenThePartAllows) {
  const Limits limits{.memory_bytes = 1 << 20, .cpu_millis = 0, .pids = 64};
  const std::vector<std::string> folders = {"/m", "/p", "/c"};
  const auto lowered = v1_limits(folders, limits, 1 << 30);
  EXPECT_EQ(lowered[0].first, "/m/memory.limit_in_bytes");
  EXPECT_EQ(lowered[1].first, "/m/memory.memsw.limit_in_bytes");
  const auto raised = v1_limits(folders, limits, 1 << 10);
  EXPECT_EQ(raised[0].first, "/m/memory.memsw.limit_in_bytes");
  const auto without = v1_limits(folders, limits, -1);
  EXPECT_THAT(
      without,
      ElementsAre(Pair("/m/memory.limit_in_bytes", "1048576"), Pair("/p/pids.max", "64"),
                  Pair("/c/cpu.cfs_period_us", "100000"), Pair("/c/cpu.cfs_quota_us", "-1")));
}

}  // namespace
}  // namespace ebb::sandbox
