// How many pods a function gets by its policy: as production's AutoScaler does it.
#include <algorithm>
#include <cmath>

#include "scaling/kpa.h"
#include "scaling/next_amount.h"
#include "sim/cluster.h"
#include "sim/engine_impl.h"

namespace ebb::sim {
namespace {

constexpr int64_t kSamplePeriod = 1'000'000'000;
constexpr int64_t kCrowdPeriod = 20'000'000;
// A decision at every second tick, from the first on.
constexpr int64_t kDecisionTicks = scaling::kDecisionPeriod.count() / kSamplePeriod;

bool decides_at(int64_t tick) { return (tick / kSamplePeriod) % kDecisionTicks == 1; }

int64_t next_tick_after(int64_t now) { return (now / kSamplePeriod + 1) * kSamplePeriod; }

}  // namespace

TimePoint Engine::time(int64_t ns) { return kSimStart + Duration(ns); }

Live& Engine::activate(FunctionId function) {
  if (const uint32_t known = live_of_[function]; known != kNone) return lives_[known];
  uint32_t index = 0;
  if (free_lives_.empty()) {
    index = static_cast<uint32_t>(lives_.size());
    lives_.emplace_back();
  } else {
    index = free_lives_.back();
    free_lives_.pop_back();
  }
  live_of_[function] = index;
  Live& live = lives_[index];
  live.function = function;
  live.changed_at = now_;
  live.sampled_at = now_;
  live.last_active = now_;
  return live;
}

void Engine::release_if_at_rest(Live& live) {
  if (live.want > 0 || !live.pods.empty() || live.draining > 0 || live.in_system > 0) return;
  if (live.ticking || live.resting || live.missing > 0) return;
  const uint32_t index = index_of(live);
  live_of_[live.function] = kNone;
  const uint32_t generation = live.generation + 1;
  std::vector<uint32_t> pods = std::move(live.pods);
  live = {};
  live.pods = std::move(pods);  // empty; its memory is used again
  live.generation = generation;
  free_lives_.push_back(index);
}

void Engine::start_ticking(Live& live) {
  live.ticking = true;
  if (const auto rested = rested_.find(live.function); rested != rested_.end()) {
    live.policy = std::move(rested->second);
    rested_.erase(rested);
  } else {
    live.policy = options_.policy.make(live.ready, time(now_));
  }
  if (const auto& hybrid = options_.policy.hybrid_keep_alive) {
    live.idle = std::make_unique<control::IdleTimes>(*hybrid);
  }
  ticking_.push_back(index_of(live));
  ensure_ticks();
}

void Engine::stop_ticking(Live& live) {
  live.ticking = false;
  if (options_.policy.learns) rested_[live.function] = std::move(live.policy);
  live.policy.reset();
}

void Engine::ensure_ticks() {
  const bool needed = !ticking_.empty() || (cluster_ && !cluster_->settled());
  if (needed && next_tick_ == INT64_MAX) next_tick_ = next_tick_after(now_);
}

// --- Metric -> decision -> amount ---

void Engine::tick() {
  const bool decides = decides_at(now_);
  // What one function does here changes no other's sample, so each is looked at once:
  // their states do not all fit into a core's cache.
  constexpr size_t kAhead = 4;
  size_t kept = 0;
  for (size_t i = 0; i < ticking_.size(); ++i) {
    if (i + 2 * kAhead < ticking_.size()) __builtin_prefetch(&lives_[ticking_[i + 2 * kAhead]]);
    if (i + kAhead < ticking_.size()) {
      __builtin_prefetch(lives_[ticking_[i + kAhead]].policy.get());
    }
    const uint32_t index = ticking_[i];
    Live& live = lives_[index];
    sample(live);
    if (decides) decide(live);
    const bool at_rest = decides && live.want == 0 && live.pods.empty() && live.in_system == 0 &&
                         now_ - live.last_active > options_.policy.stable_window.count() &&
                         options_.policy.bounds.min == 0 && !options_.policy.never_rests;
    if (at_rest) {
      stop_ticking(live);
      release_if_at_rest(live);
    } else if (!decides || !rest(live)) {
      ticking_[kept++] = index;
    }
  }
  ticking_.resize(kept);
  if (cluster_) cluster_->tick(now_);
  const bool more = !ticking_.empty() || (cluster_ && !cluster_->settled());
  next_tick_ = more ? now_ + kSamplePeriod : INT64_MAX;
}

void Engine::sample(Live& live) {
  pass(live);
  const double period = std::max(1.0, static_cast<double>(now_ - live.sampled_at));
  const double period_s = period / 1e9;
  scaling::Metric& metric = metric_;
  metric.at = time(now_);
  metric.period = Duration(now_ - live.sampled_at);
  metric.concurrency = live.area / period;
  metric.requests = live.arrivals / period_s;
  metric.queued = live.queued_area / period;
  metric.ended = live.ended / period_s;
  metric.service_seconds = live.service / period_s;
  if (live.area > 0 || live.arrivals > 0 || live.ended > 0) live.last_load_at = now_;
  live.area = 0;
  live.queued_area = 0;
  live.service = 0;
  live.arrivals = 0;
  live.ended = 0;
  live.sampled_at = now_;
  live.policy->observe(metric);
  ++report_.samples;
  if (live.idle) live.idle->observe(time(now_), live.in_system > 0, last_active(live));
}

TimePoint Engine::last_active(const Live& live) const {
  if (live.last_active < 0) return {};  // nobody ever called
  return time(live.in_system > 0 ? now_ : live.last_active);
}

scaling::Situation Engine::situation(const Live& live) const {
  scaling::Situation out;
  out.now = time(now_);
  out.ready = live.ready;
  out.starting = static_cast<int>(live.pods.size()) - live.ready;
  out.in_flight = live.in_system - live.waiting - live.loading;
  out.waiting = live.waiting + live.loading;
  out.pod_concurrency = options_.concurrency;
  out.start_time = starts_[live.function].mean;
  out.wall = options_.begin + Duration(now_);
  out.explain = false;
  return out;
}

int Engine::needed_pods(const Live& live) const {
  if (options_.concurrency == 0) return 0;
  int requests = live.in_system;
  if (live.draining > 0) {  // those in draining pods apart
    requests = live.waiting;
    for (const uint32_t pod : live.pods) requests += pods_[pod].in_flight;
  }
  return (requests + options_.concurrency - 1) / options_.concurrency;
}

void Engine::note_error(const scaling::Decision& decision) {
  if (decision.error.empty()) return;
  if (report_.policy_errors++ == 0) report_.first_policy_error = decision.error;
}

void Engine::decide(Live& live) {
  const int ready = live.ready;
  if (ready >= live.want) live.starting.clear();
  const auto decision = live.policy->decide(situation(live));
  ++report_.decisions;
  note_error(decision);
  scaling::AmountInput in;
  in.want = live.want;
  in.needed_pods = needed_pods(live);
  in.waiting = live.waiting;
  in.bounds = options_.policy.bounds;
  in.floor = in.bounds.min;
  in.idle.last_active = last_active(live);
  in.idle.stable_window = options_.policy.stable_window;
  in.idle.retention = options_.policy.retention;
  in.loaded = live.idle && live.idle->loaded_at(time(now_));
  const int pods = scaling::next_amount(decision, in, time(now_)).pods;
  live.calm = decision.valid && decision.desired <= 1 && !decision.panic;
  live.panic = decision.panic;
  if (options_.policy.idle) {
    const IdlePromise& promise = *options_.policy.idle;
    const double wanted = std::ceil(decision.panic_value / promise.target);
    if (decision.panic) {
      live.panic_ends = wanted / std::max(1, ready) < promise.panic_threshold;
      if (!live.panic_ends) live.panic_since = now_;
    } else if (promise.panic_threshold > 0 &&
               wanted / std::max(1, pods) >= promise.panic_threshold) {
      live.calm = false;  // the pods that stay make it a panic yet
    }
  }
  scale(live, pods);
}

// --- At once ---

void Engine::wake(Live& live) {
  int want = std::max({live.want, 1, options_.policy.activation_scale});
  if (const int most = options_.policy.bounds.max; most > 0) want = std::min(want, most);
  scale(live, want);
}

void Engine::crowd(Live& live) {
  if (options_.policy.burst == BurstRule::kNone) return;
  live.crowd_told = true;
  crowds_.emplace_back(index_of(live), live.generation);
  if (relief_coming_) return;
  relief_coming_ = true;
  events_.push(std::max(now_, next_relief_), {EventKind::kRelief, 0, 0});
}

void Engine::relieve_crowds() {
  relief_coming_ = false;
  next_relief_ = now_ + kCrowdPeriod;
  std::vector<std::pair<uint32_t, uint32_t>> crowds;
  crowds.swap(crowds_);
  for (const auto& [index, generation] : crowds) {
    Live& live = lives_[index];
    if (live.generation != generation || !live.ticking) continue;
    live.crowd_told = false;
    decide_now(live);
  }
}

void Engine::decide_now(Live& live) {
  int want = 0;
  if (options_.policy.burst == BurstRule::kLoadOverTarget) {
    const double most = std::ceil(options_.policy.max_scale_up_rate * std::max(1, live.ready));
    double pods = std::max(1, options_.policy.activation_scale);
    pods = std::max(pods, std::ceil(live.in_system / options_.policy.burst_target));
    want = static_cast<int>(std::min(pods, most));
  } else {
    const auto decision = live.policy->decide(situation(live));
    ++report_.decisions;
    note_error(decision);
    if (decision.valid) want = decision.desired;
  }
  if (const int most = options_.policy.bounds.max; most > 0) want = std::min(want, most);
  if (want > live.want) scale(live, want);
}

// --- Resting: see IdlePromise ---

// Until when decisions stay the same if no request comes; 0: not known.
int64_t Engine::same_until(const Live& live) const {
  if (!options_.skip_idle || !options_.policy.idle || live.in_system > 0) return 0;
  const int have = static_cast<int>(live.pods.size());
  if (live.want != have || live.ready != have || live.draining > 0 || live.missing > 0) return 0;
  const IdlePromise& promise = *options_.policy.idle;
  if (live.panic) {
    // Over with the first decision after that.
    return live.panic_ends ? live.panic_since + promise.window.count() + 1 : 0;
  }
  const Duration window = promise.idle_time ? promise.idle_time(*live.policy) : promise.window;
  const int64_t wished_until = live.last_load_at + window.count();
  if (live.want > 1 && promise.held_until) {
    return std::min(wished_until, (promise.held_until(*live.policy) - kSimStart).count());
  }
  if (!live.calm || live.want != 1 || options_.policy.bounds.min > 0) return 0;
  const int64_t kept_until =
      live.last_active + options_.policy.stable_window.count() + options_.policy.retention.count();
  return std::max(kept_until, wished_until);
}

bool Engine::rest(Live& live) {
  const int64_t until = same_until(live);
  int64_t at = (until + kSamplePeriod - 1) / kSamplePeriod * kSamplePeriod;
  if (!decides_at(at)) at += kSamplePeriod;
  if (at <= now_ + scaling::kDecisionPeriod.count()) return false;  // nothing to be saved
  live.ticking = false;
  live.resting = true;
  rest_ends_[at].emplace_back(index_of(live), live.generation);
  return true;
}

// Tells the policy of the silence up to the last tick that there was, and goes on as if nothing had
// been left out.
void Engine::wake_up(Live& live, int64_t last_tick) {
  live.resting = false;
  ++live.generation;  // the timer is out of date
  const int64_t last = last_tick / kSamplePeriod * kSamplePeriod;
  if (live.sampled_at < last) {
    live.policy->observe({.at = time(last), .period = Duration(last - live.sampled_at)});
    ++report_.samples;
  }
  live.sampled_at = std::max(live.sampled_at, last);
  live.changed_at = live.sampled_at;
  live.ticking = true;
  ticking_.push_back(index_of(live));
  if (next_tick_ == INT64_MAX) next_tick_ = last + kSamplePeriod;
}

void Engine::end_rests() {
  const auto ended = rest_ends_.extract(rest_ends_.begin());
  now_ = ended.key();
  report_.events += ended.mapped().size();
  for (const auto& [index, generation] : ended.mapped()) rest_ended(index, generation);
}

void Engine::rest_ended(uint32_t index, uint32_t generation) {
  Live& live = lives_[index];
  if (live.generation != generation || !live.resting) return;
  // What a policy remembers of its idle times changes with the decision that ends them.
  if (!live.panic && !options_.policy.idle->idle_time &&
      now_ - live.last_active > options_.policy.stable_window.count()) {
    live.resting = false;
    live.policy.reset();
    scale(live, 0);
    release_if_at_rest(live);
    return;
  }
  wake_up(live, now_ - 1);  // the tick of this moment comes after this
}

}  // namespace ebb::sim
