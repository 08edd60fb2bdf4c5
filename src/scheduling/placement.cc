#include "scheduling/placement.h"

#include <algorithm>
#include <utility>

namespace ebb::scheduling {

const char* to_string(PodState state) {
  switch (state) {
    case PodState::kCold:
      return "Cold";
    case PodState::kWarm:
      return "Warm";
    case PodState::kDraining:
      return "Draining";
  }
  return "Unknown";
}

const char* to_string(NodeState state) {
  switch (state) {
    case NodeState::kIdle:
      return "Idle";
    case NodeState::kOccupied:
      return "Occupied";
    case NodeState::kDraining:
      return "Draining";
  }
  return "Unknown";
}

Placement::Order::Node Placement::rank(const Node& node) {
  return {.busy = node.busy(), .slots = node.slots, .name = node.name};
}

NodeState Placement::state(const Node& node) {
  if (node.draining) return NodeState::kDraining;
  return node.busy() > 0 ? NodeState::kOccupied : NodeState::kIdle;
}

NodeView Placement::view(const Node& node) {
  return {.name = node.name,
          .state = state(node),
          .slots = node.slots,
          .cold = static_cast<int>(node.pods.size()) - node.busy(),
          .warm = node.warm_pods,
          .draining = node.draining_pods};
}

PodView Placement::view(const Node& node, const std::string& id, const Pod& pod) {
  return {
      .ref = {node.name, id}, .state = pod.state, .runtime = pod.runtime, .revision = pod.revision};
}

Placement::Node* Placement::node(std::string_view name) {
  const auto found = nodes_.find(name);
  return found == nodes_.end() ? nullptr : &found->second;
}

void Placement::unlist(const Node& node) {
  for (const auto& [runtime, pods] : node.cold) {
    const auto ranks = ready_.find(runtime);
    if (ranks == ready_.end()) continue;
    ranks->second.take_out(rank(node));
    if (ranks->second.empty()) ready_.erase(ranks);
  }
}

void Placement::list(const Node& node) {
  if (node.draining) return;
  for (const auto& [runtime, pods] : node.cold) ready_[runtime].put(rank(node));
}

void Placement::forget_use(const Node& node, const std::string& id, const Pod& pod) {
  const auto pods = by_revision_.find(pod.revision);
  if (pods == by_revision_.end()) return;
  pods->second.erase({node.name, id});
  if (pods->second.empty()) by_revision_.erase(pods);
}

Result<void> Placement::add_node(std::string name, int slots) {
  const auto [entry, added] = nodes_.try_emplace(name);
  if (!added) return fail(Errc::kAlreadyExists, "node {} is already known", name);
  entry->second.name = std::move(name);
  entry->second.slots = slots;
  return {};
}

std::vector<PodView> Placement::remove_node(std::string_view name) {
  const auto found = nodes_.find(name);
  if (found == nodes_.end()) return {};
  const Node& node = found->second;
  unlist(node);
  std::vector<PodView> lost;
  for (const auto& [id, pod] : node.pods) {
    if (pod.state == PodState::kCold) continue;
    lost.push_back(view(node, id, pod));
    forget_use(node, id, pod);
  }
  nodes_.erase(found);
  return lost;
}

bool Placement::drain_node(std::string_view name, bool draining) {
  Node* found = node(name);
  if (found == nullptr) return false;
  unlist(*found);
  found->draining = draining;
  list(*found);
  return true;
}

Result<Placement::Node*> Placement::node_for(std::string_view name, const std::string& pod) {
  Node* found = node(name);
  if (found == nullptr) return fail(Errc::kNotFound, "node {} is not known", name);
  if (found->pods.contains(pod)) {
    return fail(Errc::kAlreadyExists, "pod {} of node {} was reported before", pod, name);
  }
  if (static_cast<int>(found->pods.size()) >= found->slots) {
    return fail(Errc::kExhausted, "node {} has no slot for pod {}: all {} are taken", name, pod,
                found->slots);
  }
  return found;
}

Result<void> Placement::pod_cold(std::string_view node, std::string pod, std::string_view runtime) {
  auto found = node_for(node, pod);
  if (!found) return fail(found.error());
  Node& target = **found;
  unlist(target);
  const uint64_t order = next_order_++;
  target.cold[std::string(runtime)].emplace(order, pod);
  target.pods.emplace(std::move(pod), Pod{PodState::kCold, std::string(runtime), {}, order});
  list(target);
  return {};
}

Result<void> Placement::adopt_warm(std::string_view node, std::string pod, std::string_view runtime,
                                   std::string_view revision) {
  auto found = node_for(node, pod);
  if (!found) return fail(found.error());
  Node& target = **found;
  unlist(target);
  by_revision_[std::string(revision)].insert({target.name, pod});
  target.pods.emplace(std::move(pod), Pod{PodState::kWarm, std::string(runtime),
                                          std::string(revision), next_order_++});
  ++target.warm_pods;
  list(target);
  return {};
}

std::optional<PodRef> Placement::assign(std::string_view runtime, std::string_view revision) {
  const auto ranks = ready_.find(runtime);
  if (ranks == ready_.end()) return std::nullopt;
  Node& target = *node(ranks->second.front());
  unlist(target);
  const auto cold = target.cold.find(runtime);
  const auto oldest = cold->second.begin();
  PodRef ref{target.name, std::move(oldest->second)};
  cold->second.erase(oldest);
  if (cold->second.empty()) target.cold.erase(cold);
  Pod& pod = target.pods.find(ref.pod)->second;
  pod.state = PodState::kWarm;
  pod.revision = revision;
  by_revision_[pod.revision].insert(ref);
  ++target.warm_pods;
  list(target);
  return ref;
}

bool Placement::begin_drain(const PodRef& ref) {
  Node* target = node(ref.node);
  if (target == nullptr) return false;
  const auto found = target->pods.find(ref.pod);
  if (found == target->pods.end() || found->second.state != PodState::kWarm) return false;
  found->second.state = PodState::kDraining;
  --target->warm_pods;  // still busy: the node's rank stays
  ++target->draining_pods;
  return true;
}

bool Placement::remove_pod(const PodRef& ref) {
  Node* target = node(ref.node);
  if (target == nullptr) return false;
  const auto found = target->pods.find(ref.pod);
  if (found == target->pods.end()) return false;
  unlist(*target);
  const Pod& pod = found->second;
  if (pod.state == PodState::kCold) {
    const auto cold = target->cold.find(pod.runtime);
    cold->second.erase(pod.order);
    if (cold->second.empty()) target->cold.erase(cold);
  } else {
    forget_use(*target, ref.pod, pod);
    --(pod.state == PodState::kWarm ? target->warm_pods : target->draining_pods);
  }
  target->pods.erase(found);
  list(*target);
  return true;
}

std::vector<PodView> Placement::pods_of(std::string_view revision) const {
  std::vector<PodView> out;
  const auto refs = by_revision_.find(revision);
  if (refs == by_revision_.end()) return out;
  for (const PodRef& ref : refs->second) out.push_back(*find(ref));
  return out;
}

std::optional<PodView> Placement::find(const PodRef& ref) const {
  const auto node = nodes_.find(ref.node);
  if (node == nodes_.end()) return std::nullopt;
  const auto pod = node->second.pods.find(ref.pod);
  if (pod == node->second.pods.end()) return std::nullopt;
  return view(node->second, pod->first, pod->second);
}

std::optional<NodeView> Placement::find_node(std::string_view name) const {
  const auto found = nodes_.find(name);
  if (found == nodes_.end()) return std::nullopt;
  return view(found->second);
}

int Placement::cold_count(std::string_view runtime) const {
  const auto ranks = ready_.find(runtime);
  if (ranks == ready_.end()) return 0;
  size_t count = 0;
  ranks->second.for_each([&](const std::string& name) {
    count += nodes_.find(name)->second.cold.find(runtime)->second.size();
  });
  return static_cast<int>(count);
}

std::vector<std::string> Placement::nodes_in(NodeState wanted) const {
  std::vector<std::string> out;
  for (const auto& [name, node] : nodes_) {
    if (state(node) == wanted) out.push_back(name);
  }
  return out;
}

Snapshot Placement::snapshot() const {
  Snapshot out;
  for (const auto& [name, node] : nodes_) {
    out.nodes.push_back(view(node));
    for (const auto& [id, pod] : node.pods) out.pods.push_back(view(node, id, pod));
  }
  return out;
}

}  // namespace ebb::scheduling
