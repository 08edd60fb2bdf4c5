#include "sim/cluster.h"

#include <gtest/gtest.h>

#include "sim/event_queue.h"

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
      cluster_->happen(events_.pop(), now_);
    }
    now_ = until;
  }
  EventQueue<Cluster::Event> events_;
  std::optional<Cluster> cluster_;
  int64_t now_ = 0;
};

TEST_F(ClusterTest, GivesColdPodsAndRefillsThePoolOneAfterTheOther) {
  make({.slots = 8, .pool = 2, .pod_create = seconds(1)});
  ASSERT_TRUE(cluster_->assign(1, 0));
  ASSERT_TRUE(cluster_->assign(2, 0));
  EXPECT_FALSE(cluster_->assign(3, 0));  // two are being made
  pass(kSecond);
  EXPECT_TRUE(cluster_->assign(3, now_));
  EXPECT_FALSE(cluster_->assign(4, now_));
  pass(2 * kSecond);
  EXPECT_TRUE(cluster_->assign(4, now_));
}

TEST_F(ClusterTest, NeverHoldsMoreThanItsSlots) {
  make({.slots = 3, .pool = 2, .pod_create = milliseconds(1)});
  std::vector<Cluster::Pod> pods;
  for (int i = 0; i < 10; ++i) {
    if (const auto pod = cluster_->assign(1, now_)) pods.push_back(*pod);
    pass(now_ + kSecond);
  }
  EXPECT_EQ(pods.size(), 3);
  cluster_->release(pods[0], now_);
  pass(now_ + kSecond);
  EXPECT_TRUE(cluster_->assign(2, now_));
}

TEST_F(ClusterTest, BootsNodesForWhatIsMissingAndGivesIdleOnesBack) {
  make({.min_nodes = 0,
        .max_nodes = 3,
        .slots = 4,
        .pool = 4,
        .pod_create = Duration(0),
        .node_boot = seconds(30),
        .node_idle = seconds(100)});
  EXPECT_FALSE(cluster_->assign(1, 0));
  cluster_->set_missing(5, 0);
  pass(30 * kSecond - 1);
  EXPECT_FALSE(cluster_->assign(1, now_));
  pass(30 * kSecond);
  std::vector<Cluster::Pod> pods;
  for (int i = 0; i < 5; ++i) {
    const auto pod = cluster_->assign(1, now_);
    ASSERT_TRUE(pod) << i;
    pods.push_back(*pod);
  }
  cluster_->set_missing(0, now_);
  EXPECT_EQ(cluster_->totals(now_).peak_nodes, 2);
  for (const auto pod : pods) cluster_->release(pod, 40 * kSecond);
  pass(40 * kSecond);
  cluster_->tick(139 * kSecond);
  EXPECT_FALSE(cluster_->settled());
  cluster_->tick(140 * kSecond);
  EXPECT_TRUE(cluster_->settled());
  EXPECT_DOUBLE_EQ(cluster_->totals(200 * kSecond).node_seconds, 2 * 140);
}

TEST_F(ClusterTest, KeepsABufferAhead) {
  make({.min_nodes = 1,
        .max_nodes = 5,
        .slots = 4,
        .pool = 4,
        .pod_create = Duration(0),
        .node_boot = seconds(60),
        .buffer = 3});
  EXPECT_TRUE(cluster_->assign(1, 0));
  EXPECT_EQ(cluster_->totals(0).nodes_started, 1);  // 3 are free
  EXPECT_TRUE(cluster_->assign(1, 0));
  EXPECT_EQ(cluster_->totals(0).nodes_started, 2);
}

}  // namespace
}  // namespace ebb::sim
