#include "control/pod_metrics.h"

#include <algorithm>

namespace ebb::control {
namespace {

// No pod is older; keeps a wrong number from leaving the range of a Duration.
constexpr uint64_t kMaxAgeMs = 100ull * 365 * 24 * 3600 * 1000;

Duration age_of(uint64_t ms) { return std::chrono::milliseconds(std::min(ms, kMaxAgeMs)); }

// A pressure counter's growth as a part of the window.
double share(uint64_t from_us, uint64_t to_us, Duration window) {
  if (to_us <= from_us || window <= Duration::zero()) return 0;
  const double window_us = std::chrono::duration<double, std::micro>(window).count();
  return std::min(1.0, static_cast<double>(to_us - from_us) / window_us);
}

}  // namespace

void PodMetrics::on_message(const std::string& node, const node::FromController& message) {
  const std::lock_guard lock(mutex_);
  if (const auto* usage = std::get_if<node::PodUsage>(&message)) {
    for (const auto& sample : usage->pods) take(node, sample);
  }
  if (const auto* usage = std::get_if<node::NodeUsage>(&message)) take(node, *usage);
  if (const auto* gone = std::get_if<node::PodGone>(&message)) forget(gone->pod);
}

void PodMetrics::remove_node(const std::string& node) {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> here;
  for (const auto& [id, pod] : pods_) {
    if (pod.node == node) here.push_back(id);
  }
  for (const auto& id : here) forget(id);
  nodes_.erase(node);
}

void PodMetrics::forget(const std::string& pod) {
  const auto found = pods_.find(pod);
  if (found == pods_.end()) return;
  const auto revision = by_revision_.find(found->second.last.revision);
  if (revision != by_revision_.end()) {
    revision->second.erase(pod);
    if (revision->second.empty()) by_revision_.erase(revision);
  }
  pods_.erase(found);
}

ResourceUse PodMetrics::between(uint64_t from_ns, uint64_t to_ns, uint64_t cpu_ns) const {
  const auto ns = static_cast<double>(to_ns - from_ns);
  return {.cores = static_cast<double>(cpu_ns) / ns,
          .memory_bytes = 0,
          .window = Duration(static_cast<int64_t>(to_ns - from_ns)),
          .sampled = clock_.now(),
          .at = clock_.wall()};
}

void PodMetrics::take(const std::string& node, const node::PodSample& sample) {
  auto found = pods_.find(sample.pod);
  // A pod is given to one revision only; else it is another one with the same name.
  if (found != pods_.end() && found->second.last.revision != sample.revision) {
    forget(sample.pod);
    found = pods_.end();
  }
  if (found == pods_.end()) {
    found = pods_.emplace(sample.pod, Pod()).first;
    found->second.number = ++last_number_;
    by_revision_[sample.revision].insert(sample.pod);
  } else if (const auto& last = found->second.last;
             sample.at_ns > last.at_ns && sample.cpu_ns >= last.cpu_ns) {
    found->second.use = between(last.at_ns, sample.at_ns, sample.cpu_ns - last.cpu_ns);
    found->second.use->memory_bytes = sample.memory_bytes;
  } else {
    found->second.use.reset();  // a clock or a counter that went back: from here anew
  }
  Pod& pod = found->second;
  const TimePoint now = clock_.now();
  pod.node = node;
  pod.started = now - age_of(sample.age_ms);
  pod.ready_changed = now - age_of(sample.state_age_ms);
  pod.last = sample;
}

void PodMetrics::take(const std::string& node, const node::NodeUsage& sample) {
  auto [found, fresh] = nodes_.try_emplace(node);
  Node& known = found->second;
  const node::NodeUsage& last = known.last;
  if (fresh || sample.at_ns <= last.at_ns || sample.cpu_ns < last.cpu_ns) {
    known.use.reset();
  } else {
    NodeUse use{.node = node,
                .use = between(last.at_ns, sample.at_ns, sample.cpu_ns - last.cpu_ns),
                .cores = sample.cores,
                .memory_total = sample.memory_total,
                .cpu_ns = sample.cpu_ns,
                .pressure = {}};
    use.use.memory_bytes = sample.memory_bytes;
    for (const auto& now : sample.pressure) {
      const auto before =
          std::find_if(last.pressure.begin(), last.pressure.end(),
                       [&](const node::Pressure& one) { return one.resource == now.resource; });
      if (before == last.pressure.end()) continue;
      use.pressure.push_back({.resource = now.resource,
                              .some = share(before->some_us, now.some_us, use.use.window),
                              .full = share(before->full_us, now.full_us, use.use.window),
                              .some_us = now.some_us,
                              .full_us = now.full_us});
    }
    known.use = std::move(use);
  }
  known.last = sample;
  ++node_samples_;
}

bool PodMetrics::fresh(const ResourceUse& use) const {
  return clock_.now() - use.sampled <= kStaleAfter * use.window;
}

std::vector<PodUse> PodMetrics::pods() const {
  const std::lock_guard lock(mutex_);
  std::vector<PodUse> out;
  for (const auto& [id, pod] : pods_) {
    if (!pod.use || !fresh(*pod.use)) continue;
    out.push_back({.pod = id,
                   .node = pod.node,
                   .revision = pod.last.revision,
                   .use = *pod.use,
                   .ready = pod.last.ready != 0,
                   .started = pod.started,
                   .ready_changed = pod.ready_changed});
  }
  return out;
}

std::vector<NodeUse> PodMetrics::nodes() const {
  const std::lock_guard lock(mutex_);
  std::vector<NodeUse> out;
  for (const auto& [name, node] : nodes_) {
    if (node.use && fresh(node.use->use)) out.push_back(*node.use);
  }
  return out;
}

std::shared_ptr<const scaling::NodeLoad> PodMetrics::node_load() const {
  double used_cores = 0;
  double cores = 0;
  double used_memory = 0;
  double memory = 0;
  auto out = std::make_shared<scaling::NodeLoad>();
  const auto note = [](std::optional<double>& worst, double some) {
    worst = std::max(worst.value_or(0), some);
  };
  for (const NodeUse& node : nodes()) {
    used_cores += node.use.cores;
    cores += node.cores;
    used_memory += static_cast<double>(node.use.memory_bytes);
    memory += static_cast<double>(node.memory_total);
    for (const PressureShare& pressure : node.pressure) {
      if (pressure.resource == "cpu") note(out->cpu_pressure, pressure.some);
      if (pressure.resource == "memory") note(out->memory_pressure, pressure.some);
      if (pressure.resource == "io") note(out->io_pressure, pressure.some);
    }
  }
  if (cores == 0 || memory == 0) return nullptr;
  out->cpu = std::min(1.0, used_cores / cores);
  out->memory = std::min(1.0, used_memory / memory);
  return out;
}

std::vector<scaling::PodUsage> PodMetrics::of_revision(const std::string& uid) const {
  constexpr double kMillis = 1000;
  const std::lock_guard lock(mutex_);
  std::vector<scaling::PodUsage> out;
  const auto revision = by_revision_.find(uid);
  if (revision == by_revision_.end()) return out;
  for (const auto& id : revision->second) {
    const Pod& pod = pods_.at(id);
    if (!pod.use || !fresh(*pod.use)) continue;
    out.push_back({.pod = pod.number,
                   .cpu_millis = pod.use->cores * kMillis,
                   .memory_bytes = static_cast<double>(pod.use->memory_bytes),
                   .ready = pod.last.ready != 0,
                   .started = pod.started,
                   .ready_changed = pod.ready_changed,
                   .sampled = pod.use->sampled,
                   .window = pod.use->window});
  }
  return out;
}

PodMetrics::MemoryLack PodMetrics::memory_lack(uint64_t budget) const {
  const std::lock_guard lock(mutex_);
  MemoryLack lack{.bytes = 0, .of_budget = false, .sample = node_samples_};
  for (const auto& [name, node] : nodes_) {
    const auto most =
        static_cast<uint64_t>(static_cast<double>(node.last.memory_total) * (1 - kSpareMemory));
    if (node.last.memory_bytes > most) lack.bytes += node.last.memory_bytes - most;
  }
  if (budget == 0) return lack;
  uint64_t used = 0;
  for (const auto& [id, pod] : pods_) used += pod.last.memory_bytes;
  if (used > budget && used - budget > lack.bytes) {
    lack.bytes = used - budget;
    lack.of_budget = true;
  }
  return lack;
}

uint64_t PodMetrics::memory_of_pod(const std::string& revision) const {
  const std::lock_guard lock(mutex_);
  const auto found = by_revision_.find(revision);
  if (found == by_revision_.end()) return 0;
  uint64_t sum = 0;
  for (const auto& id : found->second) sum += pods_.at(id).last.memory_bytes;
  return sum / found->second.size();
}

std::optional<PodMetrics::NodeSize> PodMetrics::size_of(const std::string& node) const {
  const std::lock_guard lock(mutex_);
  const auto found = nodes_.find(node);
  if (found == nodes_.end()) return std::nullopt;
  return NodeSize{.cores = found->second.last.cores,
                  .memory_bytes = found->second.last.memory_total};
}

}  // namespace ebb::control
