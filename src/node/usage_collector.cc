#include "node/usage_collector.h"

#include <algorithm>

#include "node/node_usage.h"

namespace ebb::node {
namespace {

uint64_t milliseconds(Duration span) {
  return static_cast<uint64_t>(std::max<int64_t>(0, span / std::chrono::milliseconds(1)));
}

}  // namespace

UsageCollector::UsageCollector(net::Executor& executor, Duration interval, const Pods& pods,
                               Report report)
    : executor_(executor), interval_(interval), pods_(pods), report_(std::move(report)) {
  round_.fire = [this] { begin_round(); };
  more_.fire = [this] { read_some(); };
}

void UsageCollector::start() { begin_round(); }

void UsageCollector::stop() {
  round_.disarm();
  more_.disarm();
}

uint64_t UsageCollector::now_ns() const {
  return static_cast<uint64_t>(executor_.now().time_since_epoch().count());
}

void UsageCollector::begin_round() {
  executor_.arm(round_, executor_.now() + interval_);
  if (more_.armed()) return;  // the round before is not over: its last pods come first
  last_.clear();
  executor_.arm(more_, executor_.now());
  // Last: a front that cannot be reached stops us from within.
  if (auto usage = read_node_usage(now_ns())) report_(*usage);
}

void UsageCollector::read_some() {
  PodUsage message;
  auto next = pods_.upper_bound(last_);
  // Of tries: what cannot be read takes its time, too.
  for (size_t tries = 0; next != pods_.end() && tries < kPodsAtOnce; ++next) {
    last_ = next->first;
    const PodProcess& pod = *next->second;
    const bool ready = pod.state() == PodState::kReady;
    if ((!ready && pod.state() != PodState::kLoading) || pod.forks()) continue;
    ++tries;
    const TimePoint now = executor_.now();
    const auto usage = pod.usage();
    if (!usage) continue;
    message.pods.push_back(
        {.pod = pod.id(),
         .revision = pod.revision(),
         .ready = ready ? uint8_t{1} : uint8_t{0},
         .age_ms = milliseconds(now - pod.assigned_at()),
         .state_age_ms = milliseconds(now - (ready ? pod.ready_at() : pod.assigned_at())),
         .at_ns = static_cast<uint64_t>(now.time_since_epoch().count()),
         .cpu_ns = usage->cpu_ns,
         .memory_bytes = usage->memory_bytes});
  }
  if (next != pods_.end()) executor_.arm(more_, executor_.now() + kPause);
  if (!message.pods.empty()) report_(message);
}

}  // namespace ebb::node
