#include "sim/cluster.h"

#include <gtest/gtest.h>

#include <map>

#include "scheduling/placement.h"
#include "sim/event_queue.h"
#include "sim/random.h"

namespace ebb::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int64_t kSecond = 1'000'000'000;

class ClusterTest : public testing::Test {
 protected:
  void make(const ClusterOptions& options) {
    cluster_.emplace(options,
                     [this](int64_t at, Cluster::Event event) { events_.push(at, event); });
    cluster_->start(0);
  }
  // What happens until then.
  void pass(int64_t until) {
    while (events_.next_ns() <= until) {
      now_ = events_.next_ns();
      const Cluster::Event event = events_.pop();
      cluster_->happen(event, now_);
      if (seen_) seen_(event);
    }
    now_ = until;
  }
  EventQueue<Cluster::Event> events_;
  std::optional<Cluster> cluster_;
  std::function<void(const Cluster::Event&)> seen_;
  int64_t now_ = 0;
};

TEST_F(ClusterTest, GivesColdPodsAndRefillsThePoolOneAfterTheOther) {
  make({.slots = 8, .pool = 2, .pod_create = seconds(1)});
  ASSERT_TRUE(cluster_->assign(0));
  ASSERT_TRUE(cluster_->assign(0));
  EXPECT_FALSE(cluster_->assign(0));  // two are being made
  pass(kSecond);
  EXPECT_TRUE(cluster_->assign(now_));
  EXPECT_FALSE(cluster_->assign(now_));
  pass(2 * kSecond);
  EXPECT_TRUE(cluster_->assign(now_));
}

TEST_F(ClusterTest, NeverHoldsMoreThanItsSlots) {
  make({.slots = 3, .pool = 2, .pod_create = milliseconds(1)});
  std::vector<Cluster::Pod> pods;
  for (int i = 0; i < 10; ++i) {
    if (const auto pod = cluster_->assign(now_)) pods.push_back(*pod);
    pass(now_ + kSecond);
  }
  EXPECT_EQ(pods.size(), 3);
  cluster_->release(pods[0], now_);
  pass(now_ + kSecond);
  EXPECT_TRUE(cluster_->assign(now_));
}

TEST_F(ClusterTest, BootsNodesForWhatIsMissingAndGivesIdleOnesBack) {
  make({.min_nodes = 0,
        .max_nodes = 3,
        .slots = 4,
        .pool = 4,
        .pod_create = Duration(0),
        .node_boot = seconds(30),
        .node_keep = seconds(100),
        .node_rest = seconds(100)});
  EXPECT_FALSE(cluster_->assign(0));
  cluster_->set_missing(5, 0);
  pass(30 * kSecond - 1);
  EXPECT_FALSE(cluster_->assign(now_));
  pass(30 * kSecond);
  std::vector<Cluster::Pod> pods;
  for (int i = 0; i < 5; ++i) {
    const auto pod = cluster_->assign(now_);
    ASSERT_TRUE(pod) << i;
    pods.push_back(*pod);
  }
  cluster_->set_missing(0, now_);
  EXPECT_EQ(cluster_->totals(now_).peak_nodes, 2);
  for (const auto pod : pods) cluster_->release(pod, 40 * kSecond);
  pass(40 * kSecond);
  cluster_->tick(40 * kSecond);
  cluster_->tick(139 * kSecond);
  EXPECT_FALSE(cluster_->settled());
  cluster_->tick(140 * kSecond);
  EXPECT_TRUE(cluster_->settled());
  EXPECT_DOUBLE_EQ(cluster_->totals(200 * kSecond).node_seconds, 2 * 140);
}

TEST_F(ClusterTest, TakesTheNodeThatPlacementWould) {
  constexpr int kNodes = 9;  // one digit: ordered alike by name and by number
  make({.min_nodes = kNodes, .max_nodes = kNodes, .slots = 6, .pool = 3});
  scheduling::Placement placement;
  int created = 0;
  const auto create = [&](uint32_t node) {
    ASSERT_TRUE(placement.pod_cold(std::to_string(node), std::to_string(created++), "any"));
  };
  for (uint32_t node = 0; node < kNodes; ++node) {
    ASSERT_TRUE(placement.add_node(std::to_string(node), 6));
    for (int i = 0; i < 3; ++i) create(node);
  }
  seen_ = [&](const Cluster::Event& event) { create(event.node); };
  std::map<Cluster::Pod, scheduling::PodRef> held;
  Random random(7);
  for (int step = 0; step < 5000; ++step) {
    if (random.uniform() < 0.55) {
      const auto pod = cluster_->assign(now_);
      const auto ref = placement.assign("any", "f");
      ASSERT_EQ(pod.has_value(), ref.has_value());
      if (!pod) continue;
      ASSERT_EQ(std::to_string(cluster_->node_of(*pod)), ref->node);
      held.emplace(*pod, *ref);
    } else if (!held.empty()) {
      const auto some = std::next(held.begin(), static_cast<int>(random.uniform() * held.size()));
      cluster_->release(some->first, now_);
      ASSERT_TRUE(placement.remove_pod(some->second));
      held.erase(some);
    }
    pass(now_ + static_cast<int64_t>(random.uniform() * 4e6));
  }
}

TEST_F(ClusterTest, KeepsABufferForWhatIsAskedDuringABoot) {
  make({.min_nodes = 1,
        .max_nodes = 5,
        .slots = 4,
        .pool = 4,
        .pod_create = Duration(0),
        .node_boot = seconds(60),
        .node_keep = seconds(100)});
  EXPECT_TRUE(cluster_->settled());
  std::vector<Cluster::Pod> pods;
  for (int i = 0; i < 4; ++i) {
    cluster_->asked(1);
    pods.push_back(*cluster_->assign(i * kSecond));
  }
  EXPECT_FALSE(cluster_->settled());
  cluster_->tick(4 * kSecond);  // as much again may come while a node boots
  EXPECT_EQ(cluster_->nodes(), 2);
  for (const auto pod : pods) cluster_->release(pod, 5 * kSecond);
  pass(100 * kSecond);
  cluster_->tick(100 * kSecond);
  EXPECT_EQ(cluster_->nodes(), 2);
  cluster_->tick(200 * kSecond);  // one node's slots are the buffer
  EXPECT_EQ(cluster_->nodes(), 1);
  EXPECT_TRUE(cluster_->settled());
}

TEST_F(ClusterTest, ToZeroNodesWhenAllRests) {
  make({.min_nodes = 0,
        .max_nodes = 2,
        .slots = 4,
        .pool = 4,
        .node_boot = seconds(10),
        .node_rest = seconds(300)});
  cluster_->asked(1);
  cluster_->set_missing(1, 0);
  pass(11 * kSecond);
  const auto pod = cluster_->assign(now_);
  ASSERT_TRUE(pod);
  cluster_->set_missing(0, now_);
  cluster_->release(*pod, 20 * kSecond);
  pass(21 * kSecond);
  cluster_->tick(21 * kSecond);
  cluster_->tick(320 * kSecond);
  EXPECT_EQ(cluster_->nodes(), 1);  // a buffer of one slot
  cluster_->tick(321 * kSecond);
  EXPECT_EQ(cluster_->nodes(), 0);
  EXPECT_TRUE(cluster_->settled());
}

// Tells what it saw, and wishes what it is told to.
struct Scripted final : scaling::Policy {
  explicit Scripted(scaling::Decision& wish) : wish_(wish) {}
  void observe(const scaling::Metric& metric) override { seen.push_back(metric); }
  [[nodiscard]] scaling::Decision decide(const scaling::Situation& situation) override {
    asked.push_back(situation);
    return wish_;
  }
  std::vector<scaling::Metric> seen;
  std::vector<scaling::Situation> asked;

 private:
  scaling::Decision& wish_;
};

class ClusterPolicyTest : public ClusterTest {
 protected:
  void make_scripted(ClusterOptions options) {
    options.node_policy = {.make = [this](const ClusterOptions&, TimePoint) {
      auto policy = std::make_unique<Scripted>(wish_);
      policy_ = policy.get();
      return policy;
    }};
    make(options);
  }
  void wish(int nodes) {
    wish_.valid = true;
    wish_.desired = nodes;
  }
  scaling::Decision wish_;
  Scripted* policy_ = nullptr;
};

TEST_F(ClusterPolicyTest, IsToldOfNodesWhatAPodsPolicyIsToldOfPods) {
  make_scripted({.min_nodes = 2,
                 .max_nodes = 9,
                 .slots = 4,
                 .pool = 2,
                 .pod_create = milliseconds(1),
                 .node_boot = seconds(30),
                 .begin = WallTime(std::chrono::hours(24 * 4))});
  cluster_->tick(kSecond);
  cluster_->asked(3);
  const auto first = cluster_->assign(kSecond);
  const auto second = cluster_->assign(kSecond + kSecond / 2);
  ASSERT_TRUE(first && second);
  cluster_->set_missing(1, kSecond + kSecond * 3 / 4);
  ASSERT_EQ(policy_->asked.size(), 2);  // who finds no place is told at once
  EXPECT_EQ(policy_->asked.back().waiting, 1);
  EXPECT_EQ(policy_->seen.size(), 1);
  wish(3);
  cluster_->tick(2 * kSecond);
  const scaling::Metric& metric = policy_->seen.back();
  EXPECT_EQ(metric.period, seconds(1));
  EXPECT_DOUBLE_EQ(metric.concurrency, 1 + 0.5 + 0.25);
  EXPECT_DOUBLE_EQ(metric.queued, 0.25);
  EXPECT_DOUBLE_EQ(metric.requests, 3);
  EXPECT_DOUBLE_EQ(metric.ended, 0);
  const scaling::Situation& situation = policy_->asked.back();
  EXPECT_EQ(situation.now, policy_->seen.back().at);
  EXPECT_EQ(situation.ready, 2);
  EXPECT_EQ(situation.starting, 0);
  EXPECT_EQ(situation.in_flight, 2);
  EXPECT_EQ(situation.waiting, 1);
  EXPECT_EQ(situation.pod_concurrency, 4);
  EXPECT_EQ(situation.start_time, seconds(30));
  EXPECT_EQ(situation.wall, WallTime(std::chrono::hours(24 * 4)) + seconds(2));
  cluster_->release(*first, 2 * kSecond + kSecond / 4);
  cluster_->release(*second, 2 * kSecond + kSecond / 2);
  cluster_->set_missing(0, 2 * kSecond + kSecond / 2);
  cluster_->tick(3 * kSecond);
  EXPECT_DOUBLE_EQ(policy_->seen.back().ended, 2);
  EXPECT_DOUBLE_EQ(policy_->seen.back().service_seconds, 1.25 + 1);
  EXPECT_DOUBLE_EQ(policy_->seen.back().concurrency, 0.25 + 0.5 + 0.5);
  EXPECT_EQ(policy_->asked.back().starting, 1);
}

TEST_F(ClusterPolicyTest, DecidesHowManyNodesThereAre) {
  make_scripted({.min_nodes = 0,
                 .max_nodes = 6,
                 .slots = 4,
                 .pool = 1,
                 .node_boot = seconds(30),
                 .node_keep = seconds(50)});
  EXPECT_FALSE(cluster_->settled());  // it may want some without any load
  wish(4);
  cluster_->tick(kSecond);
  EXPECT_EQ(cluster_->nodes(), 4);
  pass(40 * kSecond);
  wish(100);
  cluster_->tick(40 * kSecond);
  EXPECT_EQ(cluster_->nodes(), 6);
  pass(80 * kSecond);
  const auto pod = cluster_->assign(now_);
  ASSERT_TRUE(pod);
  pass(81 * kSecond);
  wish(1);
  cluster_->tick(now_);
  cluster_->tick(now_ + 49 * kSecond);
  EXPECT_EQ(cluster_->nodes(), 6);
  cluster_->tick(now_ + 50 * kSecond);
  EXPECT_EQ(cluster_->nodes(), 1);
  EXPECT_EQ(cluster_->node_of(*pod), 0);
}

TEST_F(ClusterPolicyTest, AFailingOneKeepsTheNodesAndIsCounted) {
  make_scripted({.min_nodes = 1, .max_nodes = 6, .slots = 4, .pool = 1, .node_boot = seconds(1)});
  wish(3);
  cluster_->tick(kSecond);
  pass(5 * kSecond);
  wish_ = {};
  wish_.error = "nodes.lua:1: oh";
  for (int t = 6; t < 1000; ++t) cluster_->tick(t * kSecond);
  EXPECT_EQ(cluster_->nodes(), 3);
  const auto totals = cluster_->totals(1000 * kSecond);
  EXPECT_EQ(totals.policy_errors, 994);
  EXPECT_EQ(totals.first_policy_error, "nodes.lua:1: oh");
}

}  // namespace
}  // namespace ebb::sim
