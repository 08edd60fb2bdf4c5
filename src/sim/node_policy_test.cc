#include "sim/node_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "scaling/adaptive.h"
#include "sim/cluster.h"
#include "sim/engine.h"

namespace ebb::sim {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

const TimePoint kStart{std::chrono::hours(100)};

class NodePolicyTest : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path()); }
  static std::string path() {
    return std::filesystem::path(testing::TempDir()) /
           fmt::format("{}.lua", testing::UnitTest::GetInstance()->current_test_info()->name());
  }
  static std::string file(const std::string& text) {
    std::ofstream(path()) << text;
    return path();
  }
  static std::string error(const std::string& text) {
    const auto policy = parse_node_policy(text);
    return policy ? "none" : policy.error().message;
  }
  // What it wishes after a minute with so many slots in use, of 40 a node, while ten
  // instances at a time are asked for.
  static int nodes_for(const std::string& text, int used) {
    const auto choice = parse_node_policy(text);
    EXPECT_TRUE(choice) << text << ": " << choice.error().message;
    if (!choice) return -1;
    const ClusterOptions nodes{.max_nodes = 20, .slots = 40};
    const auto policy = choice->make(nodes, kStart);
    int wish = 0;
    for (int t = 1; t <= 60; ++t) {
      const TimePoint now = kStart + seconds(t);
      policy->observe({.at = now,
                       .concurrency = static_cast<double>(used),
                       .requests = t % 10 == 0 ? 10.0 : 0.0,
                       .ended = 1,
                       .service_seconds = static_cast<double>(used)});
      const scaling::Situation situation{.now = now,
                                         .ready = 5,
                                         .in_flight = used,
                                         .pod_concurrency = 40,
                                         .start_time = seconds(30)};
      wish = policy->decide(situation).desired;
    }
    return wish;
  }
};

TEST_F(NodePolicyTest, MakesThoseThatThereAre) {
  EXPECT_EQ(nodes_for("pool", 90), 3);  // a buffer of 30: three times ten in a boot
  EXPECT_EQ(nodes_for("pool", 91), 4);
  EXPECT_EQ(nodes_for("pool,buffer=50", 91), 4);
  EXPECT_EQ(nodes_for("pool,buffer=70", 91), 5);
  EXPECT_EQ(nodes_for("pool,share=0.5", 97), 3);
  EXPECT_EQ(nodes_for("average", 84), 3);  // 28 of 40 a node
  EXPECT_EQ(nodes_for("average", 85), 4);
  EXPECT_EQ(nodes_for("average,target=0.5,window=30s", 85), 5);
  EXPECT_EQ(nodes_for("kpa", 84), 3);
  EXPECT_EQ(nodes_for("kpa,target=1,window=30s", 85), 3);
  EXPECT_GE(nodes_for("adaptive", 85), 3);
  EXPECT_LE(nodes_for("adaptive,window=30s,share=0.1", 85), 4);
  EXPECT_EQ(nodes_for(file("function decide(m, s) return {desired = s.in_flight / 10} end"), 85),
            9);
}

TEST_F(NodePolicyTest, OnlyThePoolRestsUntilSomethingIsAskedFor) {
  EXPECT_TRUE(parse_node_policy("pool,share=0.9")->rests);
  EXPECT_FALSE(parse_node_policy("average")->rests);
  EXPECT_TRUE(ClusterOptions().node_policy.rests);
}

TEST_F(NodePolicyTest, ErrorsSayWhatIsWrong) {
  EXPECT_EQ(
      error("quick"),
      "no policy \"quick\" for nodes; there are: pool, average, kpa, adaptive and a Lua file");
  EXPECT_THAT(error("fixed:10m"), HasSubstr("no policy \"fixed:10m\" for nodes"));
  EXPECT_THAT(error(""), HasSubstr("no policy \"\" for nodes"));
  EXPECT_EQ(error("average,target=70"),
            "node policy average: target must be a number from 0.01 to 1, not \"70\"");
  EXPECT_EQ(error("kpa,window=1s"), "node policy kpa: window must be 6s to 1h, not 1s");
  EXPECT_THAT(error("pool,size=3"), HasSubstr("node policy pool: no setting \"size\" here"));
  EXPECT_THAT(error("pool,buffer"), HasSubstr("node policy pool: \"buffer\" is no setting"));
  EXPECT_THAT(error("/nonexistent.lua"), HasSubstr("/nonexistent.lua"));
  EXPECT_EQ(error(file("x = 1\nfunction decide(")).find(path() + ":2:"), 0);
  EXPECT_THAT(error(path() + ",window=3s"),
              HasSubstr("node policy " + path() + ": no setting \"window\" here"));
}

// --- In a simulation ---

// 30 calls of 20 minutes come together after an hour, and again after three.
Trace two_crowds() {
  TraceBuilder builder;
  for (int f = 0; f < 30; ++f) {
    const std::string name = fmt::format("f{}", f);
    const auto id = builder.function({.name = name, .mean_ms = 1'200'000, .max_ms = 1'200'000});
    builder.minute(60, 1);
    builder.minute(180, 1);
    (void)id;
  }
  return *std::move(builder).build(std::chrono::hours(5));
}

Report simulated(const std::string& node_policy) {
  EngineOptions options{.policy = *PolicyTable().make("keep-alive", {{"keep", "1m"}}, 1)};
  options.cluster = ClusterOptions{.min_nodes = 0, .max_nodes = 10, .slots = 10, .pool = 10};
  auto policy = parse_node_policy(node_policy);
  EXPECT_TRUE(policy) << policy.error().message;
  options.cluster->node_policy = *std::move(policy);
  return run_engine(two_crowds(), options);
}

TEST_F(NodePolicyTest, EveryOneServesASimulatedDay) {
  const std::string lua = file(
      "function decide(m, s) return {desired = (s.in_flight + s.waiting) / s.pod_concurrency} end");
  for (const std::string& text :
       {std::string("pool"), std::string("pool,share=0.9,buffer=5"), std::string("average"),
        std::string("kpa"), std::string("adaptive"), lua}) {
    const Report report = simulated(text);
    EXPECT_EQ(report.completed, 60) << text;
    EXPECT_EQ(report.unfinished, 0) << text;
    EXPECT_EQ(report.policy_errors, 0) << text;
    EXPECT_GE(report.peak_nodes, 3) << text;
    EXPECT_LE(report.peak_nodes, 10) << text;
    // Each crowd holds three nodes for 20 minutes; between them there are none.
    EXPECT_GE(report.node_s, 2 * 3 * 20 * 60) << text;
    EXPECT_LE(report.node_s, 2 * 10 * 45 * 60) << text;
    EXPECT_GE(report.nodes_started, 6) << text;
  }
}

TEST_F(NodePolicyTest, ASimulationCountsWhatAPolicyFailedToDecide) {
  const Report report = simulated(file("function decide(m, s)\n  return {desired = oh + 1} end"));
  EXPECT_EQ(report.completed, 60);  // who waits gets a node, one after the other
  EXPECT_GT(report.policy_errors, 3600);
  EXPECT_THAT(report.first_policy_error, HasSubstr("nodes: " + path() + ":2: "));
  EXPECT_EQ(report.nodes_started, 1);
}

TEST_F(NodePolicyTest, TheWorkingHoursOfTheExampleAreThoseOfTheTrace) {
  EngineOptions options{.policy = *PolicyTable().make("keep-alive", {}, 1)};
  options.cluster = ClusterOptions{.min_nodes = 0, .max_nodes = 10, .slots = 10, .pool = 10};
  options.cluster->node_policy =
      *parse_node_policy(file("function decide(m, s) local hour = s.wall / 3600 % 24\n"
                              "return {desired = hour >= 1 and hour < 2 and 2 or 0} end"));
  TraceBuilder builder;
  (void)builder.function({.name = "f", .mean_ms = 10, .max_ms = 10});
  builder.minute(0, 0);
  const Trace trace = *std::move(builder).build(std::chrono::hours(4));
  const Report report = run_engine(trace, options);
  // From one to two; the first goes 5 minutes later, the other one with it, both at rest.
  EXPECT_EQ(report.peak_nodes, 2);
  EXPECT_NEAR(report.node_s, 2 * 60 * 60, 10);
}

}  // namespace
}  // namespace ebb::sim
