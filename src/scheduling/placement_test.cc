#include "scheduling/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "scheduling/node_provider.h"

namespace ebb::scheduling {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// A node with `cold` python pods named NAME-0, NAME-1, ...
void add(Placement& placement, const std::string& name, int slots, int cold) {
  ASSERT_TRUE(placement.add_node(name, slots));
  for (int i = 0; i < cold; ++i) {
    ASSERT_TRUE(placement.pod_cold(name, name + "-" + std::to_string(i), "python"));
  }
}

TEST(PlacementTest, GivesTheOldestColdPodOfTheRuntime) {
  Placement placement;
  add(placement, "a", 4, 2);
  ASSERT_TRUE(placement.pod_cold("a", "js", "node"));
  EXPECT_EQ(placement.cold_count("python"), 2);
  EXPECT_EQ(placement.assign("python", "rev"), (PodRef{"a", "a-0"}));
  EXPECT_EQ(placement.assign("python", "rev"), (PodRef{"a", "a-1"}));
  EXPECT_EQ(placement.assign("python", "rev"), std::nullopt);
  EXPECT_EQ(placement.assign("ruby", "rev"), std::nullopt);
  EXPECT_EQ(placement.cold_count("python"), 0);
  EXPECT_EQ(placement.cold_count("node"), 1);
}

TEST(PlacementTest, PacksOccupiedAndFullestNodesFirst) {
  Placement placement;
  add(placement, "a", 4, 4);
  add(placement, "b", 4, 2);
  add(placement, "c", 4, 2);
  ASSERT_TRUE(placement.adopt_warm("b", "b-warm", "python", "old"));
  ASSERT_TRUE(placement.adopt_warm("c", "c-warm", "python", "old"));
  ASSERT_TRUE(placement.adopt_warm("c", "c-warm2", "python", "old"));
  std::vector<std::string> nodes(5);
  for (auto& node : nodes) node = placement.assign("python", "rev")->node;
  EXPECT_THAT(nodes, ElementsAre("c", "c", "b", "b", "a"));
}

TEST(PlacementTest, NodeStateFollowsItsPods) {
  Placement placement;
  add(placement, "a", 2, 1);
  EXPECT_EQ(placement.find_node("a")->state, NodeState::kIdle);
  const auto pod = placement.assign("python", "rev");
  ASSERT_TRUE(pod);
  EXPECT_EQ(placement.find_node("a")->state, NodeState::kOccupied);
  EXPECT_TRUE(placement.begin_drain(*pod));
  EXPECT_EQ(placement.find_node("a")->state, NodeState::kOccupied);
  EXPECT_TRUE(placement.remove_pod(*pod));
  EXPECT_EQ(placement.find_node("a")->state, NodeState::kIdle);
  EXPECT_TRUE(placement.drain_node("a"));
  EXPECT_EQ(placement.find_node("a")->state, NodeState::kDraining);
  EXPECT_THAT(placement.nodes_in(NodeState::kDraining), ElementsAre("a"));
}

TEST(PlacementTest, ADrainingNodeGetsNoWorkUntilItIsTakenBack) {
  Placement placement;
  add(placement, "a", 2, 2);
  placement.drain_node("a");
  EXPECT_EQ(placement.cold_count("python"), 0);
  EXPECT_EQ(placement.assign("python", "rev"), std::nullopt);
  placement.drain_node("a", false);
  EXPECT_TRUE(placement.assign("python", "rev"));
  EXPECT_FALSE(placement.drain_node("nowhere"));
}

TEST(PlacementTest, APodGoesOneWayOnly) {
  Placement placement;
  add(placement, "a", 2, 1);
  const PodRef ref{"a", "a-0"};
  EXPECT_FALSE(placement.begin_drain(ref));  // still cold
  ASSERT_EQ(placement.assign("python", "rev"), ref);
  EXPECT_EQ(placement.pod_cold("a", "a-0", "python").error().code, Errc::kAlreadyExists);
  EXPECT_TRUE(placement.begin_drain(ref));
  EXPECT_FALSE(placement.begin_drain(ref));
  EXPECT_EQ(placement.find(ref)->state, PodState::kDraining);
  EXPECT_EQ(placement.pods_of("rev").size(), 1U);
  EXPECT_TRUE(placement.remove_pod(ref));
  EXPECT_FALSE(placement.remove_pod(ref));
  EXPECT_THAT(placement.pods_of("rev"), IsEmpty());
}

TEST(PlacementTest, RefusesWhatDoesNotFit) {
  Placement placement;
  add(placement, "a", 1, 1);
  EXPECT_EQ(placement.add_node("a", 1).error().code, Errc::kAlreadyExists);
  EXPECT_EQ(placement.pod_cold("b", "x", "python").error().code, Errc::kNotFound);
  const auto full = placement.pod_cold("a", "x", "python");
  EXPECT_EQ(full.error().code, Errc::kExhausted);
  EXPECT_THAT(full.error().message, HasSubstr("no slot"));
}

TEST(PlacementTest, RemovingANodeTellsWhichPodsWereLost) {
  Placement placement;
  add(placement, "a", 3, 2);
  const auto pod = placement.assign("python", "rev");
  const auto lost = placement.remove_node("a");
  ASSERT_EQ(lost.size(), 1U);
  EXPECT_EQ(lost[0].ref, *pod);
  EXPECT_EQ(lost[0].revision, "rev");
  EXPECT_THAT(placement.pods_of("rev"), IsEmpty());
  EXPECT_EQ(placement.cold_count("python"), 0);
  EXPECT_THAT(placement.remove_node("a"), IsEmpty());
}

// Random operations against a plain model that is checked after each.
class PlacementModel {
 public:
  explicit PlacementModel(unsigned seed) : random_(seed) {}

  void step() {
    switch (pick(8)) {
      case 0:
        add_node();
        break;
      case 1:
        remove_node();
        break;
      case 2:
      case 3:
        create();
        break;
      case 4:
      case 5:
        assign();
        break;
      case 6:
        drain_or_remove();
        break;
      default:
        toggle_draining();
        break;
    }
  }

  void check() const {
    const Snapshot seen = placement_.snapshot();
    ASSERT_EQ(seen.pods.size(), pods_.size());
    std::map<std::string, int> cold_left;
    for (const PodView& pod : seen.pods) {
      const auto known = pods_.find(pod.ref);
      ASSERT_NE(known, pods_.end());
      EXPECT_EQ(pod.state, known->second.state);
      EXPECT_EQ(pod.revision, known->second.revision);
      EXPECT_EQ(pod.revision.empty(), pod.state == PodState::kCold);
      if (pod.state == PodState::kCold && !draining(pod.ref.node)) ++cold_left[pod.runtime];
    }
    for (const auto& runtime : kRuntimes) {
      EXPECT_EQ(placement_.cold_count(runtime), cold_left[runtime]);
    }
    for (const NodeView& node : seen.nodes) {
      const auto is_busy = [&node](const PodView& pod) {
        return pod.ref.node == node.name && pod.state != PodState::kCold;
      };
      const bool busy = std::any_of(seen.pods.begin(), seen.pods.end(), is_busy);
      const NodeState expected = draining(node.name) ? NodeState::kDraining
                                 : busy              ? NodeState::kOccupied
                                                     : NodeState::kIdle;
      EXPECT_EQ(node.state, expected) << node.name;
      EXPECT_LE(node.cold + node.warm + node.draining, node.slots);
    }
    size_t used = 0;
    for (const auto& revision : kRevisions) used += placement_.pods_of(revision).size();
    const auto busy_pods = std::count_if(pods_.begin(), pods_.end(), [](const auto& entry) {
      return entry.second.state != PodState::kCold;
    });
    EXPECT_EQ(used, static_cast<size_t>(busy_pods));
  }

 private:
  static inline const std::vector<std::string> kRuntimes{"python", "node"};
  static inline const std::vector<std::string> kRevisions{"r1", "r2", "r3"};

  size_t pick(size_t below) { return random_() % below; }
  const std::string& one_of(const std::vector<std::string>& values) {
    return values[pick(values.size())];
  }
  [[nodiscard]] bool draining(const std::string& node) const { return nodes_.at(node); }
  // A random node, maybe one that is not there.
  std::string some_node() { return "n" + std::to_string(pick(6)); }

  void add_node() {
    const std::string name = some_node();
    EXPECT_EQ(placement_.add_node(name, 5).has_value(), nodes_.emplace(name, false).second);
  }
  void remove_node() {
    const std::string name = some_node();
    if (pick(4) != 0) return;  // rarely, so that nodes fill up
    for (const PodView& lost : placement_.remove_node(name)) {
      EXPECT_EQ(lost.state, pods_.at(lost.ref).state);
    }
    std::erase_if(pods_, [&name](const auto& entry) { return entry.first.node == name; });
    nodes_.erase(name);
  }
  void create() {
    const PodRef ref{some_node(), "p" + std::to_string(next_pod_++)};
    const std::string& runtime = one_of(kRuntimes);
    const auto on_node = std::count_if(pods_.begin(), pods_.end(), [&ref](const auto& entry) {
      return entry.first.node == ref.node;
    });
    const bool fits = nodes_.contains(ref.node) && on_node < 5;
    EXPECT_EQ(placement_.pod_cold(ref.node, ref.pod, runtime).has_value(), fits);
    if (fits)
      pods_[ref] = {.ref = ref, .state = PodState::kCold, .runtime = runtime, .revision = {}};
    if (!pods_.empty()) {  // a known id is never taken again
      const PodRef& known = some_pod();
      EXPECT_FALSE(placement_.pod_cold(known.node, known.pod, runtime));
    }
  }
  void assign() {
    const std::string& runtime = one_of(kRuntimes);
    const std::string& revision = one_of(kRevisions);
    const bool occupied_could = any_cold(runtime, true);
    const bool any_could = occupied_could || any_cold(runtime, false);
    const auto ref = placement_.assign(runtime, revision);
    ASSERT_EQ(ref.has_value(), any_could);
    if (!ref) return;
    PodView& pod = pods_.at(*ref);
    ASSERT_EQ(pod.state, PodState::kCold);  // no pod twice, no warm pod again
    EXPECT_EQ(pod.runtime, runtime);
    EXPECT_FALSE(draining(ref->node));
    EXPECT_EQ(busy(ref->node), occupied_could);  // idle nodes only when nothing else is left
    pod.state = PodState::kWarm;
    pod.revision = revision;
  }
  void drain_or_remove() {
    if (pods_.empty()) return;
    const PodRef ref = some_pod();
    if (pick(2) == 0) {
      EXPECT_EQ(placement_.begin_drain(ref), pods_.at(ref).state == PodState::kWarm);
      if (pods_.at(ref).state == PodState::kWarm) pods_.at(ref).state = PodState::kDraining;
    } else {
      EXPECT_TRUE(placement_.remove_pod(ref));
      pods_.erase(ref);
    }
  }
  void toggle_draining() {
    const std::string name = some_node();
    const auto node = nodes_.find(name);
    if (node == nodes_.end()) return;
    node->second = pick(3) == 0;
    EXPECT_TRUE(placement_.drain_node(name, node->second));
  }

  const PodRef& some_pod() {
    return std::next(pods_.begin(), static_cast<ptrdiff_t>(pick(pods_.size())))->first;
  }
  [[nodiscard]] bool busy(const std::string& node) const {
    return std::any_of(pods_.begin(), pods_.end(), [&node](const auto& entry) {
      return entry.first.node == node && entry.second.state != PodState::kCold;
    });
  }
  [[nodiscard]] bool any_cold(const std::string& runtime, bool on_busy_node) const {
    return std::any_of(pods_.begin(), pods_.end(), [&](const auto& entry) {
      const auto& [ref, pod] = entry;
      return pod.state == PodState::kCold && pod.runtime == runtime && !draining(ref.node) &&
             busy(ref.node) == on_busy_node;
    });
  }

  std::mt19937 random_;
  Placement placement_;
  std::map<PodRef, PodView> pods_;
  std::map<std::string, bool> nodes_;  // name -> draining
  int next_pod_ = 0;
};

TEST(PlacementTest, HoldsItsInvariantsUnderRandomOperations) {
  for (unsigned seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    PlacementModel model(seed);
    for (int i = 0; i < 1000; ++i) {
      model.step();
      model.check();
      ASSERT_FALSE(HasFailure()) << "after operation " << i;
    }
  }
}

TEST(ThisMachineTest, IsOneNodeAndSaysThatItCannotGrow) {
  ThisMachine machine("here", 16);
  EXPECT_THAT(machine.nodes(), ElementsAre(NodeInfo{"here", 16, NodeInfo::Phase::kReady}));
  EXPECT_TRUE(machine.want(0));
  EXPECT_TRUE(machine.want(1));
  const auto more = machine.want(2);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::kExhausted);
  EXPECT_THAT(more.error().message, HasSubstr("cannot grow"));
  EXPECT_EQ(machine.release("here").error().code, Errc::kInvalid);
  EXPECT_EQ(machine.release("there").error().code, Errc::kNotFound);
  EXPECT_EQ(machine.nodes().size(), 1U);
}

}  // namespace
}  // namespace ebb::scheduling
