// The part of the AutoScaler that ends idle pods when memory is short (scaling/greedy_dual.h):
// those of functions that are called seldom, start fast and are large go first. A request
// gets its pod whatever the memory; what it takes is then freed elsewhere.
#include <algorithm>

#include "base/log.h"
#include "control/autoscaler.h"
#include "node/memory_limit.h"

namespace ebb::control {
namespace {

constexpr double kMebibyte = 1 << 20;
// For so long who gave pods for want of memory has no more of them without a request that
// waits: its policy, which still counts the requests of before, wants them back at once.
constexpr Duration kStaysEnded = std::chrono::seconds(60);
// A pod that nobody has measured yet.
constexpr uint64_t kUnmeasured = 16 << 20;
// A start that nobody has measured yet, in seconds.
constexpr double kUnmeasuredStart = 1e-3;

std::string cause_of(const PodMetrics::MemoryLack& lack, uint64_t budget) {
  return lack.of_budget ? fmt::format("the pods use more memory than the {} that they may",
                                      node::describe_memory(budget))
                        : fmt::format("less than {:.0f} % of the machine's memory is available",
                                      PodMetrics::kSpareMemory * 100);
}

}  // namespace

void AutoScaler::note_use(Entry& entry, const scaling::Metric& metric) const {
  Live& live = *entry.live;
  if (entry.want == 0) live.calls = 0;
  if (const double calls = scaling::sane(metric.requests); calls > 0) {
    live.calls += calls;
    live.clock = eviction_.clock();
  }
}

int AutoScaler::within_memory(Entry& entry, const serving::Throttler::Counts& counts, int want,
                              TimePoint now, std::string& why) const {
  auto& ended = entry.live->ended;
  if (!ended) return want;
  if (counts.waiting > 0 || now >= *ended + kStaysEnded) {
    ended.reset();
    return want;
  }
  const int most = std::max(entry.want, floor_of(entry));
  if (want <= most) return want;
  why += fmt::format(", held at {} until a request waits: memory was short", most);
  return most;
}

void AutoScaler::relieve_memory(TimePoint now) {
  if (settings_.pods == nullptr) return;
  const auto lack = settings_.pods->memory_lack(limits_.memory_bytes);
  // What has ended since a sample is not in it: one sample, one choice.
  if (lack.sample == memory_seen_) return;
  memory_seen_ = lack.sample;
  if (lack.bytes == 0) {
    memory_short_ = false;
    return;
  }
  struct Candidate {
    Entry* entry = nullptr;
    double priority = 0;
    uint64_t bytes = 0;  // of one pod
  };
  std::vector<Candidate> candidates;
  for (Entry* entry : active_) {
    if (spare_of(*entry, Minimum::kKept) == 0) continue;
    const uint64_t measured = settings_.pods->memory_of_pod(entry->plan.pod->revision);
    const uint64_t bytes = measured > 0 ? measured : kUnmeasured;
    const double start = std::chrono::duration<double>(entry->start_time).count();
    const scaling::InstanceUse use{.frequency = std::max(1.0, entry->live->calls),
                                   .start_seconds = start > 0 ? start : kUnmeasuredStart,
                                   .memory_mb = static_cast<double>(bytes) / kMebibyte};
    candidates.push_back({entry, eviction_.priority(use, entry->live->clock), bytes});
  }
  std::ranges::stable_sort(candidates, {}, &Candidate::priority);
  const std::string cause = cause_of(lack, limits_.memory_bytes);
  uint64_t missing = lack.bytes;
  for (const auto& [entry, priority, bytes] : candidates) {
    const int spare = spare_of(*entry, Minimum::kKept);
    const auto enough = static_cast<int>(
        std::min<uint64_t>(static_cast<uint64_t>(spare), (missing + bytes - 1) / bytes));
    if (enough == 0) continue;
    entry->live->ended = now;
    eviction_.evicted(priority);
    evicted_ += static_cast<uint64_t>(enough);
    apply(*entry, entry->want - enough, "idle pods end: " + cause);
    note(*entry, entry->throttler->counts().ready);
    const uint64_t freed = static_cast<uint64_t>(enough) * bytes;
    missing -= std::min(missing, freed);
    if (missing == 0) break;
  }
  if (missing == 0) {
    memory_short_ = false;
  } else if (!std::exchange(memory_short_, true)) {
    log::warn("autoscaler", "{}, and no idle pod is left that could end", cause);
  }
}

uint64_t AutoScaler::evicted() const {
  const std::lock_guard lock(mutex_);
  return evicted_;
}

}  // namespace ebb::control
