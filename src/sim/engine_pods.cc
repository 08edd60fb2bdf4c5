// How pods of a function come and go: as production's Scheduler and Throttler do it.
#include <algorithm>
#include <utility>

#include "sim/engine_impl.h"

namespace ebb::sim {

void Engine::scale(Live& live, int want) {
  const int before = std::exchange(live.want, want);
  if (!on_demand()) live.starting.wished(time(now_), before, want);  // who asks is a policy
  const int have = static_cast<int>(live.pods.size());
  if (have > want) drain(live, have - want);
  fill(live);
}

void Engine::fill(Live& live) {
  int given = 0;
  while (static_cast<int>(live.pods.size()) < live.want && give(live)) ++given;
  if (cluster_) {
    const int missing = std::max(0, live.want - static_cast<int>(live.pods.size()));
    note_asked(given + missing - live.missing);
  }
  note_shortage(live);
  if (given > 0) grant_waiting(live);
}

bool Engine::give(Live& live) {
  uint32_t cluster_pod = kNone;
  if (cluster_) {
    const auto given = cluster_->assign(now_);
    if (!given) return false;
    cluster_pod = *given;
  }
  uint32_t pod = 0;
  if (free_pods_.empty()) {
    pod = static_cast<uint32_t>(pods_.size());
    pods_.emplace_back();
    if (eviction_) worth_.emplace_back();
  } else {
    pod = free_pods_.back();
    free_pods_.pop_back();
  }
  PodState& state = pods_[pod];
  const uint32_t life = state.life + 1;
  state = {};
  state.life = life;
  if (eviction_) worth_[pod] = {};
  state.phase = PodState::Phase::kStarting;
  state.live = index_of(live);
  state.cluster_pod = cluster_pod;
  state.position = static_cast<uint32_t>(live.pods.size());
  state.given_at = now_;
  state.busy_since = -1;
  live.pods.push_back(pod);

  // By the function's own count: what others do changes nothing of it.
  const uint64_t nth = report_.by_function[live.function].pods;
  Random random(Random::mix(options_.arrivals.seed, nth, live.function));
  const int64_t start = options_.start.draw(random).count();
  events_.push(now_ + start, {EventKind::kPodReady, pod, life});

  ++report_.pods_started;
  ++report_.by_function[live.function].pods;
  count_pods(+1);
  const int64_t second = now_ / 1'000'000'000;
  if (second != starts_second_) starts_in_second_ = 0;
  starts_second_ = second;
  report_.peak_starts_per_s =
      std::max(report_.peak_starts_per_s, static_cast<double>(++starts_in_second_));
  return true;
}

// Those that come and go at the same moment were never there together.
void Engine::count_pods(int change) {
  if (now_ != pods_changed_at_) report_.peak_pods = std::max(report_.peak_pods, pods_now_);
  pods_changed_at_ = now_;
  pods_now_ += change;
  timeline_.pods(now_, change);
}

void Engine::pod_ready(uint32_t pod, uint32_t life) {
  PodState& state = pods_[pod];
  if (state.life != life) return;  // it was ended before it was ready
  Live& live = lives_[state.live];
  if (state.phase == PodState::Phase::kStarting) {
    state.phase = PodState::Phase::kReady;
    ++live.ready;
    Starts& starts = starts_[live.function];
    starts.last = Duration(now_ - state.given_at);
    if (const auto took = live.starting.ended(time(now_))) {
      starts.mean = scaling::smoothed_start(starts.mean, *took);
    }
  } else if (state.phase != PodState::Phase::kDraining) {
    return;
  }
  pass(live);
  for (; !state.bound.empty(); --live.loading) begin(live, pod, take(pods_[pod].bound), true);
  if (state.phase == PodState::Phase::kReady) grant_waiting(live);
  if (on_demand() && state.in_flight == 0 && state.phase == PodState::Phase::kReady)
    idle(live, pod);
}

void Engine::take_out(Live& live, uint32_t pod) {
  PodState& state = pods_[pod];
  if (state.phase == PodState::Phase::kReady) --live.ready;
  live.pods.erase(live.pods.begin() + state.position);
  for (size_t i = state.position; i < live.pods.size(); ++i) {
    pods_[live.pods[i]].position = static_cast<uint32_t>(i);
  }
  live.first_free = std::min<size_t>(live.first_free, state.position);
}

// Newest of the least busy first, as production's Throttler.
void Engine::drain(Live& live, int count) {
  if (live.pods.size() > 1) {
    std::stable_sort(live.pods.begin(), live.pods.end(), [this](uint32_t a, uint32_t b) {
      return pods_[a].in_flight > pods_[b].in_flight;
    });
    for (size_t i = 0; i < live.pods.size(); ++i) {
      pods_[live.pods[i]].position = static_cast<uint32_t>(i);
    }
    live.first_free = 0;
  }
  for (; count > 0 && !live.pods.empty(); --count) {
    const uint32_t pod = live.pods.back();
    take_out(live, pod);
    if (pods_[pod].in_flight == 0) {
      remove(pod);
    } else {
      pods_[pod].phase = PodState::Phase::kDraining;
      ++live.draining;
    }
  }
}

void Engine::remove(uint32_t pod) {
  if (eviction_) withdraw(pod);
  PodState& state = pods_[pod];
  if (state.busy_since >= 0) state.busy_ns += now_ - state.busy_since;
  const FunctionId f = lives_[state.live].function;
  const double held = static_cast<double>(now_ - state.given_at) / 1e9;
  const double busy = static_cast<double>(state.busy_ns) / 1e9;
  FunctionReport& function = report_.by_function[f];
  function.held_s += static_cast<float>(held);
  function.busy_s += static_cast<float>(busy);
  report_.held_mb_s += held * trace_.functions[f].memory_mb;
  report_.busy_mb_s += busy * trace_.functions[f].memory_mb;
  state.phase = PodState::Phase::kGone;
  ++state.life;
  count_pods(-1);
  free_pods_.push_back(pod);
  if (cluster_) cluster_->release(state.cluster_pod, now_);
}

// --- Who wants a cold pod, see scheduling/wait_line.h ---

void Engine::note_asked(int pods) {
  if (pods <= 0) return;
  cluster_->asked(pods);
  ensure_ticks();
}

void Engine::note_shortage(Live& live) {
  if (!cluster_) return;
  const int missing = std::max(0, live.want - static_cast<int>(live.pods.size()));
  if (missing == live.missing) return;
  const bool more = missing > live.missing;
  missing_ += missing - live.missing;
  live.missing = missing;
  keep_place(live);
  cluster_->set_missing(missing_, now_);
  ensure_ticks();
  if (more && eviction_) make_room();
}

void Engine::keep_place(const Live& live) {
  if (live.missing > 0) {
    line_.set(index_of(live), live.queue.empty()
                                  ? std::nullopt
                                  : std::optional(time(requests_[live.queue.head].arrived)));
  } else {
    line_.remove(index_of(live));
  }
}

void Engine::serve_line() {
  while (const auto index = line_.next()) {
    Live& live = lives_[*index];
    if (on_demand()) forget_missing(live);
    if (live.missing > 0) {
      if (!give(live)) return;
      line_.turn_taken(*index);
      --live.missing;
      --missing_;
      grant_waiting(live);
    }
    keep_place(live);
    cluster_->set_missing(missing_, now_);
  }
}

}  // namespace ebb::sim
