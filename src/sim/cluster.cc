#include "sim/cluster.h"

#include <algorithm>
#include <utility>

namespace ebb::sim {
namespace {

ClusterOptions checked(ClusterOptions options) {
  options.slots = std::max(1, options.slots);
  options.max_nodes = std::max(1, options.max_nodes);
  options.min_nodes = std::clamp(options.min_nodes, 0, options.max_nodes);
  options.pool = std::clamp(options.pool, 0, options.slots);
  return options;
}

TimePoint time(int64_t ns) { return kSimStart + Duration(ns); }

}  // namespace

Cluster::Cluster(const ClusterOptions& options, Later later)
    : options_(checked(options)),
      later_(std::move(later)),
      policy_(options_.node_policy.make(options_, time(0))) {}

void Cluster::start(int64_t now) {
  for (int i = 0; i < options_.min_nodes; ++i) {
    const uint32_t node = add_node(now);
    make_ready(node, now);
    for (int pod = 0; pod < options_.pool; ++pod) create_cold(node);
  }
}

void Cluster::account(int64_t now) {
  const double seconds = static_cast<double>(now - accounted_) / kNsPerSecond;
  totals_.node_seconds += seconds * nodes();
  totals_.cold_pod_seconds += seconds * cold_;
  const auto passed = static_cast<double>(now - accounted_);
  seen_.used += passed * used_;
  seen_.missing += passed * missing_;
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

// --- How many: metric, decision, amount ---

void Cluster::asked(int pods) {
  seen_.asked += pods;
  changed_ = true;
}

void Cluster::sample(int64_t now) {
  account(now);
  const double period = std::max(1.0, static_cast<double>(now - sampled_));
  policy_->observe({.at = time(now),
                    .period = Duration(now - sampled_),
                    .concurrency = (seen_.used + seen_.missing) / period,
                    .requests = static_cast<double>(seen_.asked),
                    .queued = seen_.missing / period,
                    .ended = static_cast<double>(seen_.ended),
                    .service_seconds = seen_.service / kNsPerSecond});
  seen_ = {};
  sampled_ = now;
}

void Cluster::decide(int64_t now) {
  changed_ = false;
  const scaling::Situation situation{.now = time(now),
                                     .ready = ready_,
                                     .starting = booting_,
                                     .in_flight = used_,
                                     .waiting = missing_,
                                     .pod_concurrency = options_.slots,
                                     .start_time = options_.node_boot,
                                     .wall = options_.begin + Duration(now),
                                     .explain = false};
  const scaling::Decision decision = policy_->decide(situation);
  if (!decision.error.empty() && totals_.policy_errors++ == 0) {
    totals_.first_policy_error = decision.error;
  }
  int idle = 0;
  for (const Node& node : nodes_) idle += node.idle() ? 1 : 0;
  const scaling::NodeAmount next =
      scaling::node_amount(decision, situation, idle,
                           {.bounds = {.min = options_.min_nodes, .max = options_.max_nodes},
                            .keep = options_.node_keep,
                            .rest = options_.node_rest},
                           times_);
  times_ = next.times;
  for (int more = next.nodes - nodes(); more > 0; --more) {
    const uint32_t node = add_node(now);
    later_(now + options_.node_boot.count(), {.kind = Event::Kind::kNodeReady, .node = node});
  }
  int surplus = next.give_back;
  for (uint32_t i = 0; i < nodes_.size() && surplus > 0; ++i) {
    if (!nodes_[i].idle()) continue;
    remove_node(i, now);
    --surplus;
  }
}

void Cluster::tick(int64_t now) {
  sample(now);
  decide(now);
}

bool Cluster::settled() const {
  return options_.node_policy.rests && !changed_ && nodes() <= options_.min_nodes;
}

// --- Pods ---

void Cluster::create_cold(uint32_t index) {
  Node& node = nodes_[index];
  Pod pod = 0;
  if (free_pods_.empty()) {
    pod = static_cast<Pod>(places_.size());
    places_.emplace_back();
  } else {
    pod = free_pods_.back();
    free_pods_.pop_back();
  }
  places_[pod].node = index;
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
  places_[pod].given_at = now;
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
  const uint32_t index = places_[pod].node;
  ++seen_.ended;
  seen_.service += static_cast<double>(now - places_[pod].given_at);
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
  if (missing == missing_) return;
  account(now);
  const int before = std::exchange(missing_, missing);
  if (missing < before) return;
  decide(now);
  for (uint32_t i = 0; i < nodes_.size(); ++i) refill(i, now);
}

void Cluster::happen(Event event, int64_t now) {
  account(now);
  if (event.kind == Event::Kind::kNodeReady) {
    make_ready(event.node, now);
    refill(event.node, now);
    return;
  }
  --nodes_[event.node].creating;
  --creating_;
  create_cold(event.node);
}

}  // namespace ebb::sim
