// Which pod on which node serves a revision: knows every node, every pod and the
// state of each, and picks a cold pod when a revision needs one more.
//
// It packs, see scheduling/pack_order.h. A pod goes Cold -> Warm -> Draining -> gone, never
// back; a node never uses an id again. Pure and not thread-safe; calls cost O(log n).
//
//   Placement placement;
//   placement.add_node("node-1", 16);
//   placement.pod_cold("node-1", "pod-7", "python");      // the node reported it
//   auto pod = placement.assign("python", revision_uid);  // nullopt: none is cold
//   ...
//   placement.begin_drain(*pod);                          // out of the routing table
//   placement.remove_pod(*pod);                           // it has ended
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "scheduling/pack_order.h"

namespace ebb::scheduling {

enum class PodState {
  kCold,      // used by no function
  kWarm,      // given to a revision
  kDraining,  // finishes what it holds, then ends
};

enum class NodeState {
  kIdle,      // all its pods are cold (or it has none)
  kOccupied,  // at least one pod is not cold
  kDraining,  // takes no new work
};

[[nodiscard]] const char* to_string(PodState state);  // "Cold", as users see it
[[nodiscard]] const char* to_string(NodeState state);

struct PodRef {
  std::string node;
  std::string pod;
  friend auto operator<=>(const PodRef&, const PodRef&) = default;
};

struct PodView {
  PodRef ref;
  PodState state = PodState::kCold;
  std::string runtime;
  std::string revision;  // uid; empty while cold
};

struct NodeView {
  std::string name;
  NodeState state = NodeState::kIdle;
  int slots = 0;
  int cold = 0;
  int warm = 0;
  int draining = 0;
};

// For display: nodes by name, pods by node and id.
struct Snapshot {
  std::vector<NodeView> nodes;
  std::vector<PodView> pods;
};

class Placement final {
 public:
  Placement() = default;
  Placement(const Placement&) = delete;
  Placement& operator=(const Placement&) = delete;

  // A node with room for `slots` pods. kAlreadyExists.
  [[nodiscard]] Result<void> add_node(std::string name, int slots);
  // Forgets a node and returns the pods that went with it and were not cold, so that
  // their revisions can be given others. Empty if it was not known.
  [[nodiscard]] std::vector<PodView> remove_node(std::string_view name);
  // From now on (or no longer) the node gets no new work; its warm pods go on. False
  // if it is not known.
  bool drain_node(std::string_view name, bool draining = true);

  // A node created a cold pod. kNotFound (node), kAlreadyExists (a pod with this id
  // is there, whatever its state), kExhausted (no free slot).
  [[nodiscard]] Result<void> pod_cold(std::string_view node, std::string pod,
                                      std::string_view runtime);
  // A node still holds a warm pod of an earlier front. Errors as of pod_cold.
  [[nodiscard]] Result<void> adopt_warm(std::string_view node, std::string pod,
                                        std::string_view runtime, std::string_view revision);

  // Gives a cold pod of `runtime` to the revision: it is warm now. On one node the
  // oldest goes first. nullopt: no node that takes work has one.
  [[nodiscard]] std::optional<PodRef> assign(std::string_view runtime, std::string_view revision);

  // Warm -> Draining. False if the pod is not known or not warm.
  bool begin_drain(const PodRef& pod);
  // The pod has ended, from any state; its slot is free. False if it is not known.
  bool remove_pod(const PodRef& pod);

  // The revision's pods, warm and draining, by node and id.
  [[nodiscard]] std::vector<PodView> pods_of(std::string_view revision) const;
  [[nodiscard]] std::optional<PodView> find(const PodRef& pod) const;
  [[nodiscard]] std::optional<NodeView> find_node(std::string_view name) const;
  // Cold pods that assign() could hand out.
  [[nodiscard]] int cold_count(std::string_view runtime) const;
  // Nodes in each state; idle ones may be given back.
  [[nodiscard]] std::vector<std::string> nodes_in(NodeState state) const;
  [[nodiscard]] Snapshot snapshot() const;

 private:
  struct Pod {
    PodState state = PodState::kCold;
    std::string runtime;
    std::string revision;
    uint64_t order = 0;  // of creation
  };
  // The cold pods of one runtime on one node: order of creation -> pod id.
  using ColdPods = std::map<uint64_t, std::string>;
  struct Node {
    std::string name;
    int slots = 0;
    bool draining = false;
    int warm_pods = 0;
    int draining_pods = 0;
    std::map<std::string, Pod, std::less<>> pods;
    std::map<std::string, ColdPods, std::less<>> cold;  // by runtime; no empty entries

    [[nodiscard]] int busy() const { return warm_pods + draining_pods; }
  };
  using Order = PackOrder<std::string>;
  [[nodiscard]] static Order::Node rank(const Node& node);
  [[nodiscard]] static NodeState state(const Node& node);
  [[nodiscard]] static NodeView view(const Node& node);
  [[nodiscard]] static PodView view(const Node& node, const std::string& id, const Pod& pod);
  [[nodiscard]] Node* node(std::string_view name);
  [[nodiscard]] Result<Node*> node_for(std::string_view name, const std::string& pod);
  // A node's rank depends on its pods: take it out before a change, put it back after.
  void unlist(const Node& node);
  void list(const Node& node);
  void forget_use(const Node& node, const std::string& id, const Pod& pod);

  std::map<std::string, Node, std::less<>> nodes_;
  // By runtime, the nodes that take work and have a cold pod of it.
  std::map<std::string, Order, std::less<>> ready_;
  std::map<std::string, std::set<PodRef>, std::less<>> by_revision_;  // no empty entries
  uint64_t next_order_ = 0;
};

}  // namespace ebb::scheduling
