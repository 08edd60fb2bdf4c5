#include "control/autoscaler.h"

#include <algorithm>

#include "base/log.h"
#include "scaling/scale_to_zero.h"

namespace ebb::control {
namespace {

constexpr Duration kSamplePeriod = std::chrono::seconds(1);
constexpr const char* kLog = "autoscaler";

}  // namespace

AutoScaler::AutoScaler(net::Executor& control, serving::Traffic& traffic,
                       scheduling::ScaleTarget& target, const Clock& clock)
    : control_(control), traffic_(traffic), target_(target), clock_(clock) {
  timer_.fire = [this] {
    control_.arm(timer_, control_.now() + kSamplePeriod);
    tick();
  };
  crowd_timer_.fire = [this] { relieve_crowds(); };
}

void AutoScaler::start() { control_.arm(timer_, control_.now() + kSamplePeriod); }

void AutoScaler::add(ScalePlan plan) {
  const std::lock_guard lock(mutex_);
  const std::string uid = plan.pod->revision;
  const auto throttler = traffic_.find(uid);
  const int ready = throttler ? throttler->counts().ready : 0;
  Entry entry{.plan = std::move(plan), .policy = nullptr, .want = ready, .proving = {}, .last = {}};
  entry.policy = scaling::make_kpa(entry.plan.policy, ready, clock_.now());
  entries_.insert_or_assign(uid, std::move(entry));
}

void AutoScaler::remove(const std::string& revision) {
  const std::lock_guard lock(mutex_);
  entries_.erase(revision);
}

void AutoScaler::set_reachable(const std::string& revision, bool reachable) {
  const std::lock_guard lock(mutex_);
  if (const auto found = entries_.find(revision); found != entries_.end()) {
    found->second.reachable = reachable;
  }
}

void AutoScaler::tick() {
  const TimePoint now = clock_.now();
  const auto metrics = traffic_.collect(now);
  const std::lock_guard lock(mutex_);
  for (const auto& [revision, metric] : metrics) {
    if (const auto found = entries_.find(revision); found != entries_.end()) {
      found->second.policy->observe(metric);
    }
  }
  if (now < next_decision_) return;
  next_decision_ = now + scaling::kDecisionPeriod;
  for (auto& [revision, entry] : entries_) decide(entry, now);
}

int AutoScaler::floor_of(const Entry& entry) const {
  const int proof = entry.proving ? std::max(1, entry.plan.initial_scale) : 0;
  return std::max(proof, entry.reachable ? entry.plan.bounds.min : 0);
}

void AutoScaler::decide(Entry& entry, TimePoint now) {
  const auto throttler = traffic_.find(entry.plan.pod->revision);
  if (!throttler) return;
  if (entry.proving && now >= entry.proof_deadline) {
    start_ended(entry.plan.pod->revision, "no pod could be started in time: no node has room");
  }
  const auto counts = throttler->counts();
  entry.last = entry.policy->decide({.now = now,
                                     .ready = counts.ready,
                                     .starting = counts.starting,
                                     .reachable = entry.reachable});
  int want = entry.last.valid ? scaling::amount(entry.last, entry.plan.bounds, entry.reachable)
                              : entry.want;
  const scaling::Idleness idle{.last_active = counts.last_active,
                               .stable_window = entry.plan.policy.stable_window,
                               .retention = entry.plan.retention,
                               .reachable = entry.reachable};
  // The last pod stays until its time has come; one that nobody ever called, or
  // whose start failed, is not started for that.
  if (want == 0 && entry.want > 0 && !scaling::may_go_to_zero(want, idle, now)) want = 1;
  // Nobody can call it any more: what it still holds is drained.
  if (!entry.reachable) want = 0;
  // What is busy this very moment is not taken away, whatever the average says.
  if (entry.reachable) want = std::max(want, std::min(entry.want, throttler->needed_pods()));
  want = std::max(want, floor_of(entry));
  // After failed starts nothing new is tried before its time.
  if (now < counts.retry_at) want = std::min(want, counts.ready + counts.starting);
  apply(entry, want, entry.last.reason);
}

void AutoScaler::apply(Entry& entry, int want, std::string_view why) {
  if (want != entry.want) {
    const auto& pod = *entry.plan.pod;
    log::info(kLog, "{}/{}: {} -> {} pods ({})", pod.ns, pod.name, entry.want, want, why);
  }
  entry.want = want;
  target_.scale(entry.plan.pod->revision, want);
}

void AutoScaler::wake(const std::string& revision) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(revision);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  int want = std::max({entry.want, 1, entry.plan.policy.activation_scale});
  if (entry.plan.bounds.max > 0) want = std::min(want, entry.plan.bounds.max);
  // Not logged: this is the request path.
  entry.want = want;
  target_.scale(revision, want);
}

void AutoScaler::crowded(const std::string& revision) {
  const std::lock_guard lock(mutex_);
  crowds_.push_back(revision);
  if (crowds_.size() > 1) return;
  control_.post([this] {
    if (control_.now() >= next_relief_) {
      relieve_crowds();
    } else {
      control_.arm(crowd_timer_, next_relief_);
    }
  });
}

void AutoScaler::relieve_crowds() {
  next_relief_ = control_.now() + kCrowdPeriod;
  const std::lock_guard lock(mutex_);
  for (const auto& revision : std::exchange(crowds_, {})) {
    const auto found = entries_.find(revision);
    const auto throttler = traffic_.find(revision);
    if (found == entries_.end() || !throttler) continue;
    throttler->crowd_seen();
    Entry& entry = found->second;
    if (clock_.now() < throttler->counts().retry_at) continue;
    int want = throttler->needed_pods();
    if (entry.plan.bounds.max > 0) want = std::min(want, entry.plan.bounds.max);
    if (want > entry.want) apply(entry, want, "requests wait, and all pods are full");
  }
}

void AutoScaler::prove(const std::string& revision, Proven proven) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(revision);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  entry.proving = std::move(proven);
  entry.proof_deadline = clock_.now() + entry.plan.pod->start_deadline + kPlaceTimeout;
  apply(entry, std::max(entry.want, floor_of(entry)), "to prove that it starts");
  const auto throttler = traffic_.find(revision);
  if (throttler && throttler->counts().ready >= std::max(1, entry.plan.initial_scale)) {
    control_.post([this, revision] { finish_proof(revision, ""); });  // adopted pods
  }
}

void AutoScaler::start_ended(const std::string& revision, const std::string& error) {
  // Posted: the caller holds the Scheduler's lock.
  control_.post([this, revision, error] { finish_proof(revision, error); });
}

void AutoScaler::finish_proof(const std::string& revision, const std::string& error) {
  Proven proven;
  {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(revision);
    if (found == entries_.end() || !found->second.proving) return;
    Entry& entry = found->second;
    const auto throttler = traffic_.find(revision);
    if (!throttler) return;
    const auto counts = throttler->counts();
    if (error.empty() && counts.ready < std::max(1, entry.plan.initial_scale)) return;
    proven = std::exchange(entry.proving, nullptr);
    // Given back at once where nothing keeps it: a start is cheap.
    const bool in_use = counts.in_flight + counts.waiting > 0 || counts.last_active != TimePoint{};
    if (!in_use) {
      apply(entry, error.empty() ? floor_of(entry) : 0,
            error.empty() ? "proven, and nobody calls" : "it failed to start");
    }
  }
  proven(error);
}

ScaleStatus AutoScaler::status(const std::string& revision) const {
  const std::lock_guard lock(mutex_);
  ScaleStatus status;
  const auto found = entries_.find(revision);
  if (found == entries_.end()) return status;
  status.desired = found->second.want;
  status.reason = found->second.last.reason;
  status.panic = found->second.last.panic;
  if (const auto throttler = traffic_.find(revision)) {
    const auto counts = throttler->counts();
    status.ready = counts.ready;
    status.starting = counts.starting;
  }
  return status;
}

}  // namespace ebb::control
