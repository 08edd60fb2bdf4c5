#include "sim/cluster.h"

#include <algorithm>
#include <utility>

namespace ebb::sim {
namespace {

constexpr double kSecond = 1e9;  // in ns

ClusterOptions checked(ClusterOptions options) {
  options.slots = std::max(1, options.slots);
  options.max_nodes = std::max(1, options.max_nodes);
  options.min_nodes = std::clamp(options.min_nodes, 0, options.max_nodes);
  options.pool = std::clamp(options.pool, 0, options.slots);
  return options;
}

scaling::NodePoolSettings node_pool_of(const ClusterOptions& options) {
  return {.min = options.min_nodes,
          .max = options.max_nodes,
          .slots = options.slots,
          .boot = options.node_boot,
          .keep = options.node_keep,
          .rest = options.node_rest};
}

TimePoint time(int64_t ns) { return TimePoint(Duration(ns)); }

}  // namespace

Cluster::Cluster(const ClusterOptions& options, Later later)
    : options_(checked(options)), later_(std::move(later)), node_pool_(node_pool_of(options_)) {}

void Cluster::start(int64_t now) {
  for (int i = 0; i < options_.min_nodes; ++i) {
    const uint32_t node = add_node(now);
    make_ready(node, now);
    for (int pod = 0; pod < options_.pool; ++pod) create_cold(node);
  }
}

void Cluster::account(int64_t now) {
  const double seconds = static_cast<double>(now - accounted_) / kSecond;
  totals_.node_seconds += seconds * nodes();
  totals_.cold_pod_seconds += seconds * cold_;
  accounted_ = now;
}

Cluster::Totals Cluster::totals(int64_t now) {
  account(now);
  return totals_;
}

// --- Nodes ---

uint32_t Cluster::add_node(int64_t now) {
  account(now);
  const auto free = std::find_if(nodes_.begin(), nodes_.end(),
                                 [](const Node& node) { return node.state == Node::State::kGone; });
  const auto index = static_cast<uint32_t>(free - nodes_.begin());
  if (free == nodes_.end()) nodes_.emplace_back();
  nodes_[index] = {};
  nodes_[index].state = Node::State::kBooting;
  ++booting_;
  ++totals_.nodes_started;
  totals_.peak_nodes = std::max(totals_.peak_nodes, nodes());
  return index;
}

void Cluster::make_ready(uint32_t index, int64_t now) {
  Node& node = nodes_[index];
  node.state = Node::State::kReady;
  node.creates_until = now;
  --booting_;
  ++ready_;
}

void Cluster::remove_node(uint32_t index, int64_t now) {
  account(now);
  Node& node = nodes_[index];
  if (!node.cold.empty()) order_.take_out({node.used, options_.slots, index});
  cold_ -= static_cast<int>(node.cold.size());
  free_pods_.insert(free_pods_.end(), node.cold.begin(), node.cold.end());
  node.cold.clear();
  --ready_;
  node.state = Node::State::kGone;
}

void Cluster::asked(int64_t now, int pods) {
  node_pool_.asked(time(now), pods);
  changed_ = true;
}

void Cluster::decide(int64_t now) {
  changed_ = false;
  scaling::NodeSituation situation{.now = time(now), .ready = ready_, .booting = booting_};
  for (const Node& node : nodes_) situation.idle += node.idle() ? 1 : 0;
  situation.cold = ready_ * options_.slots - used_;
  situation.unplaced = missing_;
  const scaling::NodeDecision decision = node_pool_.decide(situation);
  while (nodes() < std::min(decision.desired, options_.max_nodes)) {
    const uint32_t node = add_node(now);
    later_(now + options_.node_boot.count(), {.kind = Event::Kind::kNodeReady, .node = node});
  }
  int surplus = decision.give_back;
  for (uint32_t i = 0; i < nodes_.size() && surplus > 0; ++i) {
    if (!nodes_[i].idle()) continue;
    remove_node(i, now);
    --surplus;
  }
}

void Cluster::tick(int64_t now) { decide(now); }

bool Cluster::settled() const { return !changed_ && nodes() <= options_.min_nodes; }

// --- Pods ---

void Cluster::create_cold(uint32_t index) {
  Node& node = nodes_[index];
  Pod pod = 0;
  if (free_pods_.empty()) {
    pod = static_cast<Pod>(node_of_.size());
    node_of_.push_back(0);
  } else {
    pod = free_pods_.back();
    free_pods_.pop_back();
  }
  node_of_[pod] = index;
  node.cold.push_back(pod);
  if (node.cold.size() == 1) order_.put({node.used, options_.slots, index});
  ++cold_;
  ++totals_.pods_created;
}

void Cluster::refill(uint32_t index, int64_t now) {
  Node& node = nodes_[index];
  if (node.state != Node::State::kReady) return;
  const auto cold = static_cast<int>(node.cold.size());
  // The pool, and beyond it what is asked for this moment.
  while (node.used + cold + node.creating < options_.slots &&
         (cold + node.creating < options_.pool || cold_ + creating_ < missing_)) {
    node.creates_until = std::max(node.creates_until, now) + options_.pod_create.count();
    ++node.creating;
    ++creating_;
    later_(node.creates_until, {.kind = Event::Kind::kPodCreated, .node = index});
  }
}

std::optional<Cluster::Pod> Cluster::assign(int64_t now) {
  if (order_.empty()) return std::nullopt;
  account(now);
  const uint32_t index = order_.front();
  Node& node = nodes_[index];
  const Pod pod = node.cold.front();
  node.cold.pop_front();
  --cold_;
  ++used_;
  ++node.used;
  const Order::Node before{node.used - 1, options_.slots, index};
  if (node.cold.empty()) {
    order_.take_out(before);
  } else {
    order_.move(before, {node.used, options_.slots, index});
  }
  refill(index, now);
  return pod;
}

void Cluster::release(Pod pod, int64_t now) {
  account(now);
  const uint32_t index = node_of_[pod];
  free_pods_.push_back(pod);
  Node& node = nodes_[index];
  --used_;
  --node.used;
  if (!node.cold.empty()) {
    order_.move({node.used + 1, options_.slots, index}, {node.used, options_.slots, index});
  }
  refill(index, now);
}

void Cluster::set_missing(int missing, int64_t now) {
  const int before = std::exchange(missing_, missing);
  if (missing <= before) return;
  decide(now);
  for (uint32_t i = 0; i < nodes_.size(); ++i) refill(i, now);
}

void Cluster::happen(Event event, int64_t now) {
  account(now);
  if (event.kind == Event::Kind::kNodeReady) {
    node_pool_.booted(options_.node_boot);
    make_ready(event.node, now);
    refill(event.node, now);
    return;
  }
  --nodes_[event.node].creating;
  --creating_;
  create_cold(event.node);
}

}  // namespace ebb::sim
