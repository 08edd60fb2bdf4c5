#include "sim/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
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

TEST_F(Compare, SaysWhatWasRunWhereItMatters) {
  options_.policies = {"kpa"};
  EXPECT_EQ(compare(options_, PolicyTable())->by_chance, false);
  options_.run.start = "exponential:1s";
  EXPECT_THAT(to_table(*compare(options_, PolicyTable())),
              HasSubstr("room for every pod\nseed 1\n"));
  std::ofstream(path_) << "HashOwner,HashApp,HashFunction,1\no,a,f,1\n";
  options_.run.start = "1s";
  options_.run.arrivals = {.spread = Spread::kUniform, .seed = 7};
  options_.run.cluster = ClusterOptions{.min_nodes = 0, .max_nodes = 2, .slots = 4, .pool = 1};
  const auto found = compare(options_, PolicyTable());
  const std::string table = to_table(*found);
  EXPECT_THAT(table,
              HasSubstr("1 call of 1 function in 1 min\n"
                        "cold start 1s, one call in a pod at a time\n"
                        "0 to 2 nodes with room for 4 pods each, 1 of them kept cold; a node "
                        "boots in 60s, a cold pod is made in 3ms; node policy pool\n"
                        "spread of a minute's calls: uniform; seed 7\n"));
  const auto json = nlohmann::json::parse(to_json(*found));
  EXPECT_EQ(json.at("spread"), "uniform");
  EXPECT_EQ(json.at("pool"), 1);
  EXPECT_EQ(json.at("pod_create_s"), 0.003);
  EXPECT_EQ(json.at("node_boot_s"), 60);
  EXPECT_EQ(json.at("begin"), nullptr) << "neither the trace nor anybody says it";
  options_.run.begin = WallTime(std::chrono::hours(24));
  const auto dated = compare(options_, PolicyTable());
  EXPECT_THAT(to_table(*dated),
              HasSubstr("1 call of 1 function in 1 min from 1970-01-02T00:00:00Z\n"));
  EXPECT_EQ(nlohmann::json::parse(to_json(*dated)).at("begin"), "1970-01-02T00:00:00Z");
}

TEST_F(Compare, ThePlaceOfCallsInTheirMinuteChangesWhatIsFound) {
  // 300 calls of 100 ms: evenly spread none overlap, by chance some do, at the start all.
  std::ofstream(path_) << "HashOwner,HashApp,HashFunction,1\no,a,f,300\n";
  options_.policies = {"fixed:10m"};
  std::map<std::string, int> peaks;
  for (const std::string& name : spread_names()) {
    options_.run.arrivals.spread = *spread(name);
    const auto found = compare(options_, PolicyTable());
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_THAT(to_table(*found), HasSubstr("spread of a minute's calls: " + name + "; seed 1"));
    peaks[name] = found->reports[0].peak_pods;
  }
  EXPECT_EQ(peaks.size(), 5);
  EXPECT_LT(peaks["equidistant"], peaks["uniform"]);
  EXPECT_LT(peaks["uniform"], peaks["start"]);
  EXPECT_EQ(peaks["start"], 300);
}

TEST_F(Compare, APolicyThatLeavesCallsIsMarked) {
  Comparison comparison = *compare(options_, PolicyTable());
  EXPECT_THAT(to_table(comparison), testing::Not(HasSubstr("UNFINISHED")));
  EXPECT_TRUE(
      nlohmann::json::parse(to_json(comparison)).at("policies").at(0).at("problems").empty());
  comparison.reports[1].unfinished = 1;
  EXPECT_TRUE(comparable(comparison.reports[0]));
  EXPECT_FALSE(comparable(comparison.reports[1]));
  EXPECT_THAT(to_table(comparison), HasSubstr(R"(
POLICY      UNFINISHED   COLD     SHARE)"));
  EXPECT_THAT(to_table(comparison), HasSubstr(R"(
fixed:1s             1      2   100.00%)"));
  EXPECT_THAT(to_table(comparison),
              HasSubstr("\nfixed:1s: 1 call had not ended an hour after the trace\n"));
  comparison.reports[1].policy_errors = 3;
  comparison.reports[1].first_policy_error = "mine.lua:1: oh";
  EXPECT_THAT(to_table(comparison), HasSubstr("POLICY      UNFINISHED   FAILED   COLD"));
  const auto json = nlohmann::json::parse(to_json(comparison)).at("policies").at(1);
  EXPECT_EQ(json.at("problems"), nlohmann::json({"1 call had not ended an hour after the trace",
                                                 "3 decisions failed, the first: mine.lua:1: oh"}));
  EXPECT_EQ(json.at("first_policy_error"), "mine.lua:1: oh");
}

TEST(CompareText, TimesReadWell) {
  EXPECT_EQ(time_text(0), "0");
  EXPECT_EQ(time_text(0.01234), "12.3ms");
  EXPECT_EQ(time_text(0.9996), "1s");
  EXPECT_EQ(time_text(60), "60s");
  EXPECT_EQ(time_text(2199.6), "2,200s");
}

TEST_F(Compare, SaysWhatTheTraceDoesNot) {
  std::ofstream(path_) << "HashOwner,HashApp,HashFunction,1\no,a,f,1\n";
  const std::string table = to_table(*compare(options_, PolicyTable()));
  EXPECT_THAT(table,
              HasSubstr("does not say, so it is assumed: 100 ms a call and 128 MiB a pod\n"));
  std::ofstream(path_) << "timestamp,function,duration,memory\n1,f,20,64\n";
  const auto known = nlohmann::json::parse(to_json(*compare(options_, PolicyTable())));
  EXPECT_TRUE(known.at("assumed_ms").is_null());
  EXPECT_TRUE(known.at("assumed_mb").is_null());
}

TEST_F(Compare, SaysWhatDecidesTheNodes) {
  options_.run.cluster.emplace();
  options_.run.cluster->max_nodes = 3;
  options_.run.cluster->slots = 8;
  const auto pool = compare(options_, PolicyTable());
  ASSERT_TRUE(pool) << pool.error().message;
  EXPECT_THAT(to_table(*pool), HasSubstr("a cold pod is made in 3ms; node policy pool\n"));
  options_.run.node_policy = "average,target=0.05";
  const auto average = compare(options_, PolicyTable());
  ASSERT_TRUE(average) << average.error().message;
  EXPECT_THAT(to_table(*average), HasSubstr("; node policy average,target=0.05\n"));
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
