#include "sim/run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace ebb::sim {
namespace {

using testing::HasSubstr;

class Run : public testing::Test {
 protected:
  void SetUp() override {
    path_ = std::filesystem::path(testing::TempDir()) /
            fmt::format("{}.csv", testing::UnitTest::GetInstance()->current_test_info()->name());
    std::ofstream(path_) << "0,f,100\n1,f,100\n2,g,50\n";
    options_.trace.path = path_;
  }
  void TearDown() override { std::filesystem::remove(path_); }
  std::string error() {
    const auto outcome = run(options_, PolicyTable());
    return outcome ? "none" : outcome.error().message;
  }
  std::filesystem::path path_;
  RunOptions options_;
};

TEST_F(Run, OpensRunsAndReports) {
  options_.cluster = ClusterOptions();
  const auto outcome = run(options_, PolicyTable());
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(outcome->report.calls, 3);
  EXPECT_THAT(to_text(outcome->report), HasSubstr("kpa, seed 1"));
  const auto json =
      nlohmann::json::parse(to_json(outcome->report, outcome->trace, {.functions = true}));
  EXPECT_EQ(json.at("completed"), 3);
  EXPECT_EQ(json.at("by_function").size(), 2);
  EXPECT_EQ(json.at("by_function").at(0).at("name"), "f");
  EXPECT_DOUBLE_EQ(json.at("cold_wait_s").at("max"), 0.3);
}

TEST_F(Run, CopiesAndATimeLimit) {
  options_.copies = 3;
  options_.arrivals.until = std::chrono::milliseconds(1500);
  const auto outcome = run(options_, PolicyTable());
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(outcome->report.calls, 6);
  EXPECT_EQ(outcome->report.functions, 6);
}

TEST_F(Run, ErrorsSayWhatIsWrong) {
  options_.policy = "greedy-dual";
  EXPECT_THAT(error(), HasSubstr("policy greedy-dual: say by --nodes and --node-memory"));
  options_.policy = "magic";
  EXPECT_EQ(
      error(),
      "no policy \"magic\"; there are: adaptive, average, greedy-dual, hpa, hybrid, fixed:TIME, "
      "kpa, FILE.lua, pods");
  options_.policy = "keep-alive";
  options_.settings = {{"keep", "ten"}};
  EXPECT_THAT(error(), HasSubstr("policy keep-alive: keep: \"ten\" is no time"));
  options_.settings = {{"kep", "10m"}};
  EXPECT_EQ(error(), "policy keep-alive: no setting \"kep\" here; there are: keep");
  options_.settings = {};
  options_.start = "lognormal:1s";
  EXPECT_EQ(error(), "a lognormal start time is lognormal:MEDIAN:SIGMA");
  options_.start = "1s";
  options_.cluster = ClusterOptions{.min_nodes = 5, .max_nodes = 2};
  EXPECT_THAT(error(), HasSubstr("least number of nodes"));
  options_.cluster.reset();
  options_.trace.path = "/nonexistent.csv";
  EXPECT_THAT(error(), HasSubstr("/nonexistent.csv"));
}

TEST(PolicyTable, TakesOthers) {
  PolicyTable table;
  table.add("mine", [](const PolicySettings&, int) -> Result<PolicyChoice> {
    PolicyChoice choice;
    choice.name = "mine";
    return choice;
  });
  EXPECT_EQ(table.make("mine", {}, 1)->name, "mine");
  EXPECT_THAT(table.names(), testing::Contains("mine"));
}

TEST(PolicyTable, ChecksSettings) {
  const PolicyTable table;
  const auto error = [&](const char* text) {
    const auto choice = table.make("kpa", *parse_settings(text), 1);
    return choice ? "none" : choice.error().message;
  };
  EXPECT_EQ(error("target=0.5,window=20s,max-scale=5"), "none");
  EXPECT_EQ(error("target=x"),
            "policy kpa: autoscaling.knative.dev/target: Invalid value: \"x\": must be in "
            "[0.01, 1e9]");
  EXPECT_THAT(error("window=1s"), HasSubstr("/window: Invalid value: \"1s\": must be in [6s, 1h"));
  EXPECT_THAT(error("metric=cpu"), HasSubstr("must be \"concurrency\" or \"rps\""));
  EXPECT_THAT(error("activation-scale=1"), HasSubstr("must be an integer in [2, "));
  EXPECT_THAT(error("windows=30s"), HasSubstr("unknown autoscaling annotation"));
  EXPECT_THAT(error("initial-scale=2"), HasSubstr("there before the trace begins"));
  EXPECT_THAT(error("ebb.dev/metric-jobs=json http://x/ /a"), HasSubstr("nobody can be asked"));
  EXPECT_THAT(error("max-scale-up-rate=1"), HasSubstr("must be greater than 1"));
  EXPECT_THAT(error("schedule=every day"), HasSubstr("ebb.dev/schedule: "));
  for (const char* good :
       {"target-burst-capacity=-1", "metric-aggregation-algorithm=weighted-exponential",
        "max-scale-up-rate=2,max-scale-down-rate=1.5", "forecast=true,forecast-lead=2m",
        "schedule=0 8 * * mon-fri | 0 18 * * mon-fri | 5", "keep-alive=hybrid"}) {
    EXPECT_EQ(error(good), "none") << good;
  }
  EXPECT_FALSE(parse_settings("a"));
  EXPECT_FALSE(parse_settings("=1"));
  EXPECT_EQ(*parse_settings("a=1,2 3,b=4"), (PolicySettings{{"a", "1,2 3"}, {"b", "4"}}));
  EXPECT_THAT(error("window=30s,patience"), HasSubstr("30s,patience"));
  EXPECT_EQ(error("schedule=0 8 * * mon,fri | 0 9 * * mon,fri | 2"), "none");
  EXPECT_FALSE(parse_settings("a=1,a=2"));
  EXPECT_TRUE(parse_settings("")->empty());
}

TEST(PolicyTable, RefusesWhatIsImpossible) {
  const auto error = [](const char* text) {
    const PolicyWish wish = parse_wish(text);
    const auto settings = parse_settings(wish.settings);
    if (!settings) return settings.error().message;
    const auto choice = PolicyTable().make(wish.name, *settings, 1);
    return choice ? "none" : choice.error().message;
  };
  for (const char* good :
       {"kpa", "adaptive,window=1s", "adaptive", "average,target=2", "hpa", "fixed:10m",
        "pods,pods=3", "hybrid:2h", "hybrid", "greedy-dual", "greedy-dual,rule=lru,keep=10m"}) {
    EXPECT_EQ(error(good), "none") << good;
  }
  EXPECT_THAT(error("adaptive,window=0s"), HasSubstr("must be in [1s, 1h"));
  EXPECT_THAT(error("adaptive,share=1"),
              HasSubstr("ebb.dev/policy-share: Invalid value: \"1\": must be a number in"));
  EXPECT_THAT(error("adaptive,wait=61s"), HasSubstr("ebb.dev/policy-wait"));
  EXPECT_THAT(error("adaptive,min-scale=5,max-scale=2"), HasSubstr("must be at least min-scale"));
  EXPECT_THAT(error("average,metric=cpu"), HasSubstr("must be \"concurrency\" or \"rps\""));
  EXPECT_THAT(error("fixed:ten"), HasSubstr("policy keep-alive: keep: \"ten\" is no time"));
  EXPECT_THAT(error("hybrid:10s"), HasSubstr("range must be 60s to 168h, not 10s"));
  EXPECT_THAT(error("kpa,class=ebb.dev/adaptive"), HasSubstr("named in front of its settings"));
  EXPECT_THAT(error("greedy-dual,rule=fifo"), HasSubstr("rule must be greedy-dual, frequency"));
  EXPECT_THAT(error("/nowhere/mine.lua"), HasSubstr("/nowhere/mine.lua"));
  EXPECT_THAT(error("quick"), HasSubstr("no policy \"quick\""));
}

TEST(StartTime, ParsesAndDraws) {
  EXPECT_EQ(*parse_duration("1.5s"), std::chrono::milliseconds(1500));
  EXPECT_EQ(*parse_duration("0"), Duration(0));
  for (const char* bad : {"", "5", "-1s", "1d", "nans", "1e300h", "s"}) {
    EXPECT_FALSE(parse_duration(bad)) << bad;
  }
  EXPECT_NEAR(StartTime::parse("p50:1s,p99:10s")->sigma, 0.99, 0.001);
  EXPECT_FALSE(StartTime::parse("p50:1s"));
  for (const char* bad :
       {"p50:1s,p99:1ms", "p50:0,p99:1s", "p50", "p50:1s,", "p99:1s,p50:1s", "p-1:1s,p50:2s",
        "p50:1s,p101:2s", "pnan:1s,p99:2s", "p50:1s;p99:2s", "p1:1s,p2:soon", "p:1s,p99:2s"}) {
    EXPECT_FALSE(StartTime::parse(bad)) << bad;
  }
  Random random(5);
  for (const char* text :
       {"exponential:2s", "lognormal:2s:0.5", "2s", "p0:1s,p50:2s,p100:9s", "p0:1s,p100:3s"}) {
    const auto start = StartTime::parse(text);
    ASSERT_TRUE(start) << text;
    std::vector<double> drawn;
    for (int i = 0; i < 20000; ++i) {
      drawn.push_back(std::chrono::duration<double>(start->draw(random)).count());
    }
    std::sort(drawn.begin(), drawn.end());
    const double median = start->kind == StartTime::Kind::kExponential ? 2 * std::log(2) : 2;
    EXPECT_NEAR(drawn[10000] / median, 1, 0.03) << text;
  }
}

TEST(StartTime, MeasuredPercentilesComeBack) {
  const auto start = StartTime::parse("p10:1s,p50:2s,p99.9:4s");
  ASSERT_TRUE(start) << start.error().message;
  Random random(5);
  std::vector<double> drawn;
  for (int i = 0; i < 20000; ++i) {
    drawn.push_back(std::chrono::duration<double>(start->draw(random)).count());
  }
  std::sort(drawn.begin(), drawn.end());
  EXPECT_EQ(drawn[0], 1);
  EXPECT_EQ(drawn[1800], 1);
  EXPECT_NEAR(drawn[6000], 1.5, 0.03);
  EXPECT_NEAR(drawn[15000], 3, 0.05);
  EXPECT_EQ(drawn.back(), 4);
}

}  // namespace
}  // namespace ebb::sim
