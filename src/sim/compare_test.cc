#include "sim/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace ebb::sim {
namespace {

using testing::HasSubstr;

class Compare : public testing::Test {
 protected:
  void SetUp() override {
    path_ = std::filesystem::path(testing::TempDir()) /
            fmt::format("{}.csv", testing::UnitTest::GetInstance()->current_test_info()->name());
    // Two calls 5 minutes apart: kept for 10 minutes the second is warm, for 1 s it is not.
    std::ofstream(path_) << "0,f,1000\n300,f,1000\n";
    options_.run.trace.path = path_;
    options_.run.start = "1s";
    options_.policies = {"fixed:10m", "fixed:1s"};
  }
  void TearDown() override { std::filesystem::remove(path_); }
  std::string error() {
    const auto found = compare(options_, PolicyTable());
    return found ? "none" : found.error().message;
  }
  std::filesystem::path path_;
  CompareOptions options_;
};

TEST_F(Compare, SetsPoliciesSideBySide) {
  const auto found = compare(options_, PolicyTable());
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->reports.size(), 2);
  EXPECT_EQ(found->reports[0].cold, 1);
  EXPECT_EQ(found->reports[1].cold, 2);
  const auto json = nlohmann::json::parse(to_json(*found));
  EXPECT_EQ(json.at("policies").at(0).at("policy"), "fixed:10m");
  EXPECT_EQ(json.at("policies").at(0).at("cold"), 1);
  EXPECT_EQ(json.at("policies").at(1).at("cold_share"), 1.0);
  EXPECT_EQ(json.at("policies").at(1).at("functions_cold_share").at("p50"), 1.0);
  EXPECT_EQ(json.at("policies").at(1).at("pods_started"), 2);
  uint64_t calls = 0;
  for (const auto& bin : json.at("policies").at(0).at("timeline")) {
    calls += bin.at("calls").get<uint64_t>();
  }
  EXPECT_EQ(calls, 2);
  const std::string table = to_table(*found);
  EXPECT_THAT(table, HasSubstr("2 calls of 1 function in 6 min\n"
                               "cold start 1s, one call in a pod at a time, room for every pod\n"));
  EXPECT_THAT(table, HasSubstr(R"(
POLICY      COLD     SHARE   FUNCTIONS' COLD   WAIT p50   WAIT p99   SLOWDOWN   GB-HOURS   WASTED   STARTS   PEAK PODS
fixed:10m      1    50.00%         50/50/50%          0         1s       1.99     0.0125    99.4%        1           1
fixed:1s       2   100.00%      100/100/100%         1s         1s       1.99   0.000208    66.7%        2           1
)"));
}

TEST_F(Compare, IsTheSameEachTime) {
  options_.policies = {"kpa", "adaptive", "average", "hpa", "hybrid"};
  options_.run.start = "exponential:1s";
  EXPECT_EQ(to_json(*compare(options_, PolicyTable())), to_json(*compare(options_, PolicyTable())));
}

TEST_F(Compare, MemorySaysHowManyPodsFit) {
  options_.run.cluster.emplace();
  options_.node_memory_mb = 1024;  // at 128 each
  EXPECT_EQ(compare(options_, PolicyTable())->slots, 8);
  options_.node_memory_mb = 100;
  EXPECT_THAT(error(), HasSubstr("128 MiB on average"));
}

TEST_F(Compare, SaysWhatDecidesTheNodes) {
  options_.run.cluster.emplace();
  options_.run.cluster->max_nodes = 3;
  options_.run.cluster->slots = 8;
  const auto pool = compare(options_, PolicyTable());
  ASSERT_TRUE(pool) << pool.error().message;
  EXPECT_THAT(to_table(*pool),
              HasSubstr("1 to 3 nodes with room for 8 pods each, node policy pool"));
  options_.run.node_policy = "average,target=0.05";
  const auto average = compare(options_, PolicyTable());
  ASSERT_TRUE(average) << average.error().message;
  EXPECT_THAT(to_table(*average), HasSubstr("each, node policy average,target=0.05\n"));
  EXPECT_EQ(nlohmann::json::parse(to_json(*average)).at("node_policy"), "average,target=0.05");
  EXPECT_EQ(average->reports[0].peak_nodes, 3);  // one pod is more than 0.4 slots
  options_.run.node_policy = "average,target=5";
  options_.run.trace.path = "/nonexistent.csv";  // it is checked before
  EXPECT_THAT(error(), HasSubstr("node policy average: target must be a number from 0.01 to 1"));
}

TEST_F(Compare, ChecksAllPoliciesFirst) {
  options_.policies = {"kpa", "adaptive,window=0s"};
  EXPECT_THAT(error(), HasSubstr("autoscaling.knative.dev/window: Invalid value: \"0s\""));
  options_.policies = {"kpa", "kpa"};
  EXPECT_EQ(error(), "the policy kpa comes twice");
  options_.policies = {};
  EXPECT_EQ(error(), "there is no policy to simulate");
}

}  // namespace
}  // namespace ebb::sim
