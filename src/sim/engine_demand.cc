// Pods on demand: one for every request that finds none free; each is unloaded, and
// loaded ahead, by the plan of its function's KeepAlive. With an eviction rule idle ones also
// go for requests that find no room.
#include <algorithm>
#include <utility>

#include "sim/engine_impl.h"

namespace ebb::sim {

void Engine::called(const Arrival& arrival) {
  Kept& kept = kept_[arrival.function];
  if (!kept.policy) kept.policy = options_.policy.keep_alive(trace_.functions[arrival.function]);
  if (kept.calls++ == 0) return;
  const uint32_t live = live_of_[arrival.function];
  const bool overlaps = live != kNone && lives_[live].in_system > 0;
  kept.policy->idle_ended(Duration(overlaps ? 0 : now_ - kept.last_end));
}

void Engine::demand(Live& live) {
  // Those on the way are full, or the request had found room in one. Pods that are
  // missing will take their share of the queue.
  const int slots = std::max(1, options_.concurrency);
  const int wanted = (live.waiting + slots - 1) / slots;
  scale(live, static_cast<int>(live.pods.size()) + wanted);
}

void Engine::idle(Live& live, uint32_t pod) {
  const Kept& kept = kept_[live.function];
  PodState& state = pods_[pod];
  const auto plan = kept.policy->plan();
  // A pod that was loaded ahead lives until the plan's end, counted from the last
  // execution.
  const bool fresh = state.expires_at >= 0;
  if (!fresh && plan.has_gap()) {
    events_.push(now_ + plan.prewarm_at.count(), {EventKind::kPrewarm, live.function, kept.calls});
  }
  const Duration stay = plan.has_gap() ? plan.unload_after : plan.keep_until;
  // A nanosecond later: a request that comes at the very end of the time still finds it.
  state.unload_at = std::max(now_, fresh ? state.expires_at : now_ + stay.count() + 1);
  state.expires_at = -1;
  if (state.timer_at > state.unload_at) {  // else it comes, and looks again
    state.timer_at = state.unload_at;
    events_.push(state.unload_at, {EventKind::kUnload, pod, state.life});
  }
  if (!eviction_) return;
  offer(live, pod);
  make_room();  // may end this very pod
}

void Engine::unload(uint32_t pod) {
  PodState& state = pods_[pod];
  if (state.timer_at <= now_) state.timer_at = INT64_MAX;
  if (state.phase != PodState::Phase::kReady || state.in_flight > 0) return;
  if (now_ < state.unload_at) {  // it was used since
    if (state.timer_at <= state.unload_at) return;
    state.timer_at = state.unload_at;
    events_.push(state.unload_at, {EventKind::kUnload, pod, state.life});
    return;
  }
  end_idle(pod);
}

void Engine::end_idle(uint32_t pod) {
  Live& live = lives_[pods_[pod].live];
  take_out(live, pod);
  if (live.pods.empty()) kept_[live.function].uses = 0;
  live.want = static_cast<int>(live.pods.size()) + live.missing;
  remove(pod);
  release_if_at_rest(live);
}

// Others than the pods that are missing may have taken who waited.
void Engine::forget_missing(Live& live) {
  const int slots = std::max(1, options_.concurrency);
  const int less = std::max(0, live.missing - (live.waiting + slots - 1) / slots);
  live.missing -= less;
  live.want -= less;
  missing_ -= less;
}

void Engine::prewarm(FunctionId function, uint32_t calls) {
  Kept& kept = kept_[function];
  if (kept.calls != calls || live_of_[function] != kNone) return;  // it was called meanwhile
  const auto plan = kept.policy->plan();
  Live& live = activate(function);
  live.want = 1;
  if (cluster_) note_asked(1);
  if (!give(live)) {  // no room for what nobody asked for yet
    live.want = 0;
    release_if_at_rest(live);
    return;
  }
  pods_[live.pods.back()].expires_at = kept.last_end + plan.keep_until.count() + 1;
}

// --- Eviction: the slots of nodes are their memory ---

void Engine::used(const Live& live, uint32_t pod) {
  ++kept_[live.function].uses;
  withdraw(pod);
  worth_[pod].use_clock = eviction_->clock();
}

void Engine::offer(const Live& live, uint32_t pod) {
  Worth& worth = worth_[pod];
  worth.rank = eviction_->priority({.at_seconds = to_seconds(Duration(now_)),
                                    .frequency = static_cast<double>(kept_[live.function].uses),
                                    .start_seconds = to_seconds(starts_[live.function].last),
                                    .memory_mb = trace_.functions[live.function].memory_mb},
                                   worth.use_clock);
  offered_.emplace(*worth.rank, pod);
}

void Engine::withdraw(uint32_t pod) {
  if (const auto rank = std::exchange(worth_[pod].rank, std::nullopt)) offered_.erase({*rank, pod});
}

void Engine::make_room() {
  while (missing_ > cluster_->cold() && !offered_.empty()) {
    const auto [rank, pod] = *offered_.begin();
    eviction_->evicted(rank);
    end_idle(pod);
  }
}

}  // namespace ebb::sim
