#include "control/pod_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ebb::control {
namespace {

using namespace std::chrono_literals;

constexpr uint64_t kSecond = 1'000'000'000;

class PodMetricsTest : public testing::Test {
 protected:
  static node::PodSample sample(const std::string& pod, uint64_t at_s, uint64_t cpu_ms,
                                const std::string& revision = "uid") {
    return {.pod = pod,
            .revision = revision,
            .ready = 1,
            .age_ms = 5000,
            .state_age_ms = 4000,
            .at_ns = at_s * kSecond,
            .cpu_ns = cpu_ms * 1'000'000,
            .memory_bytes = at_s << 20};
  }
  void take(const node::PodSample& one) {
    node::PodUsage message;
    message.pods.push_back(one);
    metrics_.on_message("n", message);
  }
  // Two samples, 15 s apart, of a pod that uses so much.
  void run(const std::string& pod, uint64_t cpu_ms, const std::string& revision = "uid") {
    take(sample(pod, 100, 1000, revision));
    clock_.advance(15s);
    take(sample(pod, 115, 1000 + cpu_ms, revision));
  }

  FakeClock clock_;
  PodMetrics metrics_{clock_};
};

TEST_F(PodMetricsTest, ARateNeedsTwoSamples) {
  take(sample("p", 100, 1000));
  EXPECT_TRUE(metrics_.pods().empty());
  EXPECT_TRUE(metrics_.of_revision("uid").empty());
  clock_.advance(15s);
  take(sample("p", 115, 4000));
  const auto pods = metrics_.pods();
  ASSERT_EQ(pods.size(), 1u);
  EXPECT_EQ(pods[0].pod, "p");
  EXPECT_EQ(pods[0].node, "n");
  EXPECT_DOUBLE_EQ(pods[0].use.cores, 0.2);  // 3 s of CPU in 15 s
  EXPECT_EQ(pods[0].use.memory_bytes, 115u << 20);
  EXPECT_EQ(pods[0].use.window, 15s);
  EXPECT_EQ(pods[0].use.sampled, clock_.now());
  EXPECT_EQ(pods[0].use.at, clock_.wall());
}

TEST_F(PodMetricsTest, ARevisionsPodsAsAPolicyTakesThem) {
  run("a", 1500);
  run("b", 0);
  run("other", 300, "uid-2");
  auto usage = metrics_.of_revision("uid");
  ASSERT_EQ(usage.size(), 2u);
  EXPECT_NE(usage[0].pod, usage[1].pod);
  EXPECT_DOUBLE_EQ(usage[0].cpu_millis, 100);
  EXPECT_DOUBLE_EQ(usage[0].memory_bytes, 115 << 20);
  EXPECT_TRUE(usage[0].ready);
  // "a" was sampled 30 s ago, and had been given out 5 s before that.
  EXPECT_EQ(usage[0].started, clock_.now() - 35s);
  EXPECT_EQ(usage[0].ready_changed, clock_.now() - 34s);
  EXPECT_EQ(usage[0].window, 15s);
  EXPECT_DOUBLE_EQ(usage[1].cpu_millis, 0);
  const auto number = usage[0].pod;
  take(sample("a", 160, 3000));
  usage = metrics_.of_revision("uid");
  EXPECT_EQ(usage[0].pod, number);
}

TEST_F(PodMetricsTest, WhatMemoryLacks) {
  EXPECT_EQ(metrics_.memory_lack(1).bytes, 0u);
  take(sample("a", 100, 0));           // 100 MiB
  take(sample("b", 200, 0, "uid-2"));  // 200
  EXPECT_EQ(metrics_.memory_of_pod("uid-2"), 200u << 20);
  EXPECT_EQ(metrics_.memory_of_pod("none"), 0u);
  EXPECT_EQ(metrics_.memory_lack(0).bytes, 0u);
  EXPECT_EQ(metrics_.memory_lack(300u << 20).bytes, 0u);
  const auto over = metrics_.memory_lack(260u << 20);
  EXPECT_EQ(over.bytes, 40u << 20);
  EXPECT_TRUE(over.of_budget);
  metrics_.on_message(
      "n", node::NodeUsage{.at_ns = 1, .memory_bytes = 990, .memory_total = 1000, .pressure = {}});
  const auto machine = metrics_.memory_lack(0);
  EXPECT_EQ(machine.bytes, 40u);
  EXPECT_FALSE(machine.of_budget);
  EXPECT_GT(machine.sample, over.sample);
  metrics_.on_message("n", node::PodGone{.pod = "b", .reason = "Stopped", .message = {}});
  EXPECT_EQ(metrics_.memory_lack(60u << 20).bytes, 40u << 20);
}

TEST_F(PodMetricsTest, WhatIsNotHeardOfAnyMoreGoes) {
  run("a", 1500);
  clock_.advance(45s);
  EXPECT_EQ(metrics_.pods().size(), 1u);
  clock_.advance(1s);
  EXPECT_TRUE(metrics_.pods().empty());
  EXPECT_TRUE(metrics_.of_revision("uid").empty());
}

TEST_F(PodMetricsTest, PodsAndNodesThatEnd) {
  run("a", 10);
  run("b", 10);
  metrics_.on_message("n", node::PodGone{.pod = "a", .reason = "Stopped", .message = ""});
  ASSERT_EQ(metrics_.pods().size(), 1u);
  EXPECT_EQ(metrics_.pods()[0].pod, "b");
  metrics_.remove_node("else");
  EXPECT_EQ(metrics_.pods().size(), 1u);
  metrics_.remove_node("n");
  EXPECT_TRUE(metrics_.pods().empty());
  EXPECT_TRUE(metrics_.of_revision("uid").empty());
}

TEST_F(PodMetricsTest, CountersThatGoBackStartAnew) {
  run("a", 1500);
  take(sample("a", 130, 10));
  EXPECT_TRUE(metrics_.pods().empty());
  take(sample("a", 145, 25));
  EXPECT_DOUBLE_EQ(metrics_.pods().at(0).use.cores, 0.001);
  take(sample("a", 145, 40));  // no time has passed
  EXPECT_TRUE(metrics_.pods().empty());
}

TEST_F(PodMetricsTest, ANameUsedAgainIsAnotherPod) {
  run("a", 1500);
  take(sample("a", 130, 9000, "uid-2"));
  EXPECT_TRUE(metrics_.pods().empty());
  EXPECT_TRUE(metrics_.of_revision("uid").empty());
  take(sample("a", 145, 24000, "uid-2"));
  EXPECT_DOUBLE_EQ(metrics_.of_revision("uid-2").at(0).cpu_millis, 1000);
}

TEST_F(PodMetricsTest, WrongAgesStayTimes) {
  auto wrong = sample("a", 100, 0);
  wrong.age_ms = wrong.state_age_ms = UINT64_MAX;
  take(wrong);
  wrong.at_ns += kSecond;
  take(wrong);
  EXPECT_LT(metrics_.of_revision("uid").at(0).started, clock_.now());
}

TEST_F(PodMetricsTest, NodesAndWhereTheyAreShort) {
  node::NodeUsage usage{.at_ns = 10 * kSecond,
                        .cpu_ns = 50 * kSecond,
                        .cores = 2,
                        .memory_bytes = 1 << 30,
                        .memory_total = 4ull << 30,
                        .pressure = {{"cpu", 1'000'000, 0}, {"io", 5, 5}}};
  EXPECT_FALSE(metrics_.size_of("n"));
  metrics_.on_message("n", usage);
  EXPECT_TRUE(metrics_.nodes().empty());
  ASSERT_TRUE(metrics_.size_of("n"));
  EXPECT_EQ(metrics_.size_of("n")->cores, 2u);
  EXPECT_EQ(metrics_.size_of("n")->memory_bytes, 4ull << 30);
  usage.at_ns += 10 * kSecond;
  usage.cpu_ns += 15 * kSecond;
  usage.pressure = {{"cpu", 6'000'000, 0}, {"io", 5, 20'000'005}, {"memory", 7, 7}};
  metrics_.on_message("n", usage);
  const auto nodes = metrics_.nodes();
  ASSERT_EQ(nodes.size(), 1u);
  EXPECT_DOUBLE_EQ(nodes[0].use.cores, 1.5);
  EXPECT_EQ(nodes[0].use.memory_bytes, 1u << 30);
  ASSERT_EQ(nodes[0].pressure.size(), 2u);  // memory was not there before
  EXPECT_DOUBLE_EQ(nodes[0].pressure[0].some, 0.5);
  EXPECT_DOUBLE_EQ(nodes[0].pressure[1].some, 0);
  EXPECT_DOUBLE_EQ(nodes[0].pressure[1].full, 1);  // never more than all of the time
}

TEST_F(PodMetricsTest, NodesTogetherAsAPolicyTakesThem) {
  EXPECT_EQ(metrics_.node_load(), nullptr);
  const auto tell = [this](const char* name, uint64_t at, uint64_t cpu, uint64_t stalled_us) {
    metrics_.on_message(name, node::NodeUsage{.at_ns = at * kSecond,
                                              .cpu_ns = cpu * kSecond,
                                              .cores = 2,
                                              .memory_bytes = 1 << 30,
                                              .memory_total = 4ull << 30,
                                              .pressure = {{"cpu", stalled_us, 0}}});
  };
  tell("a", 10, 50, 0);
  EXPECT_EQ(metrics_.node_load(), nullptr) << "one sample makes no rate";
  tell("a", 20, 70, 8'000'000);
  tell("b", 10, 0, 0);
  tell("b", 20, 10, 1'000'000);
  const auto load = metrics_.node_load();
  ASSERT_TRUE(load);
  EXPECT_DOUBLE_EQ(load->cpu, 0.75);
  EXPECT_DOUBLE_EQ(load->memory, 0.25);
  EXPECT_DOUBLE_EQ(load->cpu_pressure.value_or(-1), 0.8) << "the worst node's";
  EXPECT_FALSE(load->io_pressure);
  clock_.advance(std::chrono::minutes(1));
  EXPECT_EQ(metrics_.node_load(), nullptr) << "that is too long ago";
}

}  // namespace
}  // namespace ebb::control
