#include "control/autoscaler.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/log.h"
#include "scaling/next_amount.h"
#include "scaling/scale_to_zero.h"

namespace ebb::control {
namespace {

// A policy's errors become a line in the log and an event no more often.
constexpr Duration kTellErrorPeriod = std::chrono::seconds(5);
constexpr Duration kSamplePeriod = std::chrono::seconds(1);

// What the panic window will say of the load that is there now.
int load_over_target(const scaling::KpaSettings& kpa, const serving::Throttler::Counts& counts,
                     std::string& why) {
  const int requests = counts.in_flight + counts.waiting;
  const double most = std::ceil(kpa.max_scale_up_rate * std::max(1, counts.ready));
  double pods = std::max(1, kpa.activation_scale);
  if (kpa.metric == scaling::MetricKind::kConcurrency) {
    pods = std::max(pods, std::ceil(requests / kpa.target));
  }
  why = fmt::format("{} requests at once / target {:.1f}", requests, kpa.target);
  return static_cast<int>(std::min(pods, most));
}

}  // namespace

const std::shared_ptr<const scaling::PolicySpec>& ScalePlan::knative_defaults() {
  static const auto kDefaults = std::make_shared<const scaling::PolicySpec>();
  return kDefaults;
}

AutoScaler::AutoScaler(net::Executor& control, serving::Traffic& traffic,
                       scheduling::ScaleTarget& target, const Clock& clock,
                       AutoScalerSettings settings)
    : control_(control),
      traffic_(traffic),
      target_(target),
      clock_(clock),
      settings_(settings),
      version_(clock.wall().time_since_epoch() / std::chrono::milliseconds(1)),
      forgotten_(version_) {
  timer_.fire = [this] {
    control_.arm(timer_, control_.now() + kSamplePeriod);
    tick();
  };
  crowd_timer_.fire = [this] { relieve_crowds(); };
}

void AutoScaler::start() { control_.arm(timer_, control_.now() + kSamplePeriod); }

void AutoScaler::stop() {
  timer_.disarm();
  crowd_timer_.disarm();
}

AutoScaler::Entry* AutoScaler::entry_of(const std::string& revision) {
  const auto found = entries_.find(revision);
  return found == entries_.end() ? nullptr : &found->second;
}

// --- Which revisions there are ---

void AutoScaler::add(ScalePlan plan) {
  const std::lock_guard lock(mutex_);
  const std::string& uid = plan.pod->revision;
  const auto [at, fresh] = entries_.try_emplace(uid);
  if (!fresh) return;
  Entry& entry = at->second;
  entry.plan = std::move(plan);
  entry.throttler = traffic_.find(uid);
  join_shares(entry);
  entry.added_at = clock_.wall();
  entry.place = by_change_.insert(by_change_.end(), &entry);
  touch(entry);
  entry.made = entry.changed;
  entry.reason = "nothing was to be decided yet";
  const Key key{entry.plan.pod->ns, entry.plan.pod->name};
  keys_.erase(key);  // one of the same name that was deleted: its text goes with it
  keys_.emplace(key, &entry);
  if (!entry.throttler) return;
  // Pods of an earlier front, perhaps.
  const auto counts = entry.throttler->counts();
  set_want(entry, counts.ready + counts.starting);
  note(entry, counts.ready);
  if (std::max(entry.want, floor_of(entry)) > 0 || entry.plan.policy->never_rests()) {
    activate(entry, clock_.now());
  }
}

void AutoScaler::remove(const std::string& revision) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(revision);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  std::erase(active_, &entry);
  touch(entry);
  by_change_.erase(entry.place);
  leave_shares(entry);
  gone_.push_back(status_of(entry));
  gone_.back().gone = true;
  if (gone_.size() > kMaxGone) {
    forgotten_ = gone_.front().changed;
    gone_.pop_front();
  }
  const auto key = keys_.find(Key(entry.plan.pod->ns, entry.plan.pod->name));
  if (key != keys_.end() && key->second == &entry) keys_.erase(key);
  const auto pod = entry.plan.pod;  // whose uid is the entry's key
  entries_.erase(found);
}

void AutoScaler::set_reachable(const std::string& revision, bool reachable) {
  const std::lock_guard lock(mutex_);
  Entry* entry = entry_of(revision);
  if (entry == nullptr || entry->reachable == reachable) return;
  entry->reachable = reachable;
  if (floor_of(*entry) <= entry->want) return;
  activate(*entry, clock_.now());
  raise(*entry, "traffic goes there, and a minimum is set");
}

void AutoScaler::replan(const std::string& revision, ScalePlan plan) {
  const std::lock_guard lock(mutex_);
  Entry* entry = entry_of(revision);
  if (entry == nullptr) return;
  plan.pod = entry->plan.pod;
  plan.generation = entry->plan.generation;
  entry->plan = std::move(plan);
  set_service_max(*entry);
  touch(*entry);
  const TimePoint now = clock_.now();
  entry->rested.reset();
  if (entry->live) *entry->live = live_for(*entry, now);
  if (entry->plan.policy->never_rests()) activate(*entry, now);
  if (floor_of(*entry) <= entry->want) return;
  activate(*entry, now);
  raise(*entry, "the settings raised the minimum");
}

AutoScaler::Live AutoScaler::live_for(Entry& entry, TimePoint now) const {
  const auto& spec = *entry.plan.policy;
  // An hour of seconds would be kept for a window that is none.
  const Duration window = std::min<Duration>(spec.window(), std::chrono::hours(1));
  auto policy = std::move(entry.rested);
  if (!policy) {
    policy = scaling::make_policy(spec, entry.throttler->counts().ready, now);
  }
  Live live{.policy = std::move(policy),
            .concurrency = scaling::Window(window),
            .requests = scaling::Window(window)};
  if (spec.hybrid_keep_alive) live.idle = std::make_unique<IdleTimes>(*spec.hybrid_keep_alive);
  return live;
}

void AutoScaler::activate(Entry& entry, TimePoint now) {
  if (entry.live || !entry.throttler) return;
  entry.live = std::make_unique<Live>(live_for(entry, now));
  entry.throttler->begin_sampling(now);
  active_.push_back(&entry);
}

bool AutoScaler::at_rest(const Entry& entry, const serving::Throttler::Counts& counts,
                         TimePoint now) const {
  return entry.want == 0 && counts.ready + counts.starting == 0 &&
         counts.in_flight + counts.waiting == 0 && !entry.proof && floor_of(entry) == 0 &&
         !entry.plan.policy->never_rests() &&
         now - counts.last_active > entry.plan.policy->window();
}

void AutoScaler::rest(Entry& entry) {
  if (entry.plan.policy->learns()) entry.rested = std::move(entry.live->policy);
  entry.live.reset();
  entry.reason.shrink_to_fit();  // it has held longer ones
  entry.concurrency = 0;
  entry.requests = 0;
  entry.panic = false;
}

// --- Metric -> decision -> amount ---

void AutoScaler::tick() {
  const TimePoint now = clock_.now();
  if (settings_.policies != nullptr) settings_.policies->refresh(now);  // reads: without the lock
  const std::lock_guard lock(mutex_);
  for (Entry* entry : active_) observe(*entry, now);
  relieve_memory(now);
  if (now < next_decision_) {
    share_out(now);
    return;
  }
  next_decision_ = now + scaling::kDecisionPeriod;
  std::erase_if(active_, [&](Entry* entry) {
    decide(*entry, now);
    if (!at_rest(*entry, entry->throttler->counts(), now)) return false;
    rest(*entry);
    return true;
  });
  share_out(now);
}

// The same for all revisions of a tick.
const std::shared_ptr<const scaling::NodeLoad>& AutoScaler::node_load(TimePoint now) {
  if (node_load_at_ != now) node_load_ = settings_.pods->node_load();
  node_load_at_ = now;
  return node_load_;
}

void AutoScaler::observe(Entry& entry, TimePoint now) {
  auto metric = entry.throttler->sample(now);
  const auto policy = entry.plan.policy->policy;
  const bool lua = policy == scaling::PolicyClass::kLua;
  if (settings_.pods != nullptr && (lua || policy == scaling::PolicyClass::kHpa)) {
    metric.pods = settings_.pods->of_revision(entry.plan.pod->revision);
    if (lua) metric.nodes = node_load(now);
  }
  for (const auto& source : entry.plan.outside) {
    const auto value = source.read();
    metric.outside.push_back({.name = source.name,
                              .value = value ? *value : 0,
                              .error = value ? std::string() : value.error().message});
  }
  if (entry.plan.pod->freeze) entry.throttler->freeze_idle(now);
  note_use(entry, metric);
  entry.live->policy->observe(metric);
  entry.live->concurrency.record(now, metric.concurrency);
  entry.live->requests.record(now, metric.requests);
  if (entry.live->idle) {
    const auto counts = entry.throttler->counts();
    const bool active = counts.in_flight + counts.waiting > 0;
    entry.live->idle->observe(now, active, counts.last_active);
  }
}

// A request in a pod that still loads waits, as those do that have no slot.
scaling::Situation AutoScaler::situation_of(const Entry& entry,
                                            const serving::Throttler::Counts& counts,
                                            TimePoint now) {
  return {.now = now,
          .ready = counts.ready,
          .starting = counts.starting,
          .reachable = entry.reachable,
          .in_flight = counts.in_flight - counts.in_starting,
          .waiting = counts.waiting + counts.in_starting,
          .pod_concurrency = static_cast<int>(entry.plan.pod->concurrency),
          .start_time = entry.start_time,
          .wall = clock_.wall()};
}

void AutoScaler::tell_error(Entry& entry, const std::string& error) {
  Live& live = *entry.live;
  if (live.error.empty() != error.empty()) live.error_since = clock_.wall();
  live.error = error;
  // A policy may fail with another text each time, or every second time.
  if (live.told_error == error) return;
  const TimePoint now = clock_.now();
  if (live.told_error_at != TimePoint() && now < live.told_error_at + kTellErrorPeriod) return;
  live.told_error = error;
  live.told_error_at = now;
  const auto& pod = *entry.plan.pod;
  if (error.empty()) {
    log::info("autoscaler", "{}/{}: the policy works again", pod.ns, pod.name);
  } else {
    log::warn("autoscaler", "{}/{}: the policy failed: {}", pod.ns, pod.name, error);
  }
  if (settings_.events == nullptr) return;
  if (error.empty()) {
    settings_.events->record(pod, EventRecorder::Type::kNormal, "PolicyMended",
                             "the scaling policy works again");
  } else {
    settings_.events->record(pod, EventRecorder::Type::kWarning, "PolicyFailed", error);
  }
}

int AutoScaler::set_want(Entry& entry, int want) {
  const int before = std::exchange(entry.want, want);
  for_shares(entry, [&](Share& share) { share.quota.changed(want - before); });
  if (entry.live) entry.live->starts.wished(clock_.now(), before, want);
  return before;
}

void AutoScaler::measure_start(Entry& entry, TimePoint ready, bool well) {
  if (!entry.live) return;
  const auto took = entry.live->starts.ended(ready);
  if (took && well) entry.start_time = scaling::smoothed_start(entry.start_time, *took);
}

int AutoScaler::floor_of(const Entry& entry) const {
  const int proof = entry.proof ? std::max(1, entry.plan.initial_scale) : 0;
  const int last = settings_.enable_scale_to_zero ? 0 : 1;
  return std::max(proof, entry.reachable ? std::max(last, bounds_of(entry).min) : 0);
}

scaling::Bounds AutoScaler::bounds_of(const Entry& entry) const {
  scaling::Bounds bounds = entry.plan.bounds;
  if (const int most = limits_.per_revision; most > 0) {
    bounds.max = bounds.max > 0 ? std::min(bounds.max, most) : most;
    bounds.min = std::min(bounds.min, most);
  }
  return bounds;
}

void AutoScaler::raise(Entry& entry, std::string why, Silence silence) {
  const auto counts = entry.throttler ? entry.throttler->counts() : serving::Throttler::Counts();
  const int want = within_shares(entry, counts, std::max(entry.want, floor_of(entry)), why);
  apply(entry, want, why, silence);
}

int AutoScaler::within_bounds(const Entry& entry, int want) const {
  const int most = bounds_of(entry).max;
  return most > 0 ? std::min(want, most) : want;
}

void AutoScaler::decide(Entry& entry, TimePoint now) {
  if (entry.proof && now >= entry.proof->deadline) {
    const bool cut = entry.want < std::max(1, entry.plan.initial_scale);
    start_ended(entry.plan.pod->revision,
                cut ? "no pod could be started in time: the namespace or the service has all "
                      "the pods that it may have"
                    : "no pod could be started in time: no node has room");
  }
  const auto counts = entry.throttler->counts();
  const auto decision = entry.live->policy->decide(situation_of(entry, counts, now));
  tell_error(entry, decision.error);
  if (counts.ready >= entry.want) entry.live->starts.clear();  // none is on the way
  entry.panic = decision.panic;
  entry.concurrency = entry.live->concurrency.average(now);
  entry.requests = entry.live->requests.average(now);
  const scaling::AmountInput in{
      .want = entry.want,
      .bounds = bounds_of(entry),
      .reachable = entry.reachable,
      .idle = {.last_active = counts.last_active,
               .stable_window = entry.plan.policy->window(),
               .retention = entry.plan.retention,
               .reachable = entry.reachable},
      .loaded = entry.live->idle && entry.live->idle->loaded_at(now),
      .needed_pods = entry.throttler->needed_pods(),
      .floor = floor_of(entry),
      .waiting = counts.waiting,
  };
  const auto next = scaling::next_amount(decision, in, now);
  const int users = entry.plan.bounds.max;
  const bool operators = users == 0 || in.bounds.max < users;
  int want = next.pods;
  std::string why = scaling::amount_reason(
      decision, next,
      {.maximum = operators ? "max-scale-limit" : "the maximum",
       .floor = entry.proof ? "kept to prove that it starts" : "kept at the minimum"});
  want = within_shares(entry, counts, want, why);
  want = within_memory(entry, counts, want, now, why);
  // After failed starts nothing new is tried before its time.
  if (now < counts.retry_at && want > counts.ready + counts.starting) {
    want = counts.ready + counts.starting;
    why = "after a failed start the next try waits: " + counts.last_failure;
  }
  apply(entry, want, why);
  note(entry, counts.ready);
}

void AutoScaler::apply(Entry& entry, int want, std::string_view why, Silence silence) {
  const int before = set_want(entry, want);
  if (before != want && silence == Silence::kNo) {
    const auto& pod = *entry.plan.pod;
    log::info("autoscaler", "{}/{}: {} -> {} pods ({})", pod.ns, pod.name, before, want, why);
    if (settings_.events != nullptr) {
      const char* reason = before == 0     ? "ScaledFromZero"
                           : want == 0     ? "ScaledToZero"
                           : want > before ? "ScaledUp"
                                           : "ScaledDown";
      settings_.events->record(pod, EventRecorder::Type::kNormal, reason,
                               fmt::format("{} -> {} pods: {}", before, want, why));
    }
  }
  entry.reason = why;
  entry.decided_at = clock_.wall();
  touch(entry);
  target_.scale(entry.plan.pod->revision, want);
}

// Tells take_rescaled() if there is something new.
void AutoScaler::note(Entry& entry, int ready) {
  if (entry.rescaled || (entry.told_want == entry.want && entry.told_ready == ready)) return;
  entry.rescaled = true;
  rescaled_.push_back(entry.plan.pod->revision);
}

void AutoScaler::touch(Entry& entry) {
  entry.changed = ++version_;
  by_change_.splice(by_change_.end(), by_change_, entry.place);
}

void AutoScaler::wake(const std::string& revision) {
  const std::lock_guard lock(mutex_);
  Entry* entry = entry_of(revision);
  if (entry == nullptr) return;
  activate(*entry, clock_.now());
  const int wish =
      within_bounds(*entry, std::max({entry->want, 1, entry->plan.policy->activation_scale()}));
  const int want = room_for(*entry, wish);
  if (want < wish) end_crowd_soon(revision);  // who asks for a turn does so there
  const int before = set_want(*entry, want);
  // First the pod: this is the request path.
  target_.scale(revision, entry->want);
  if (before == entry->want) return;
  entry->reason = "a request waits";
  entry->decided_at = clock_.wall();
  touch(*entry);
  note(*entry, entry->told_ready);
  if (settings_.events == nullptr) return;
  settings_.events->record(*entry->plan.pod, EventRecorder::Type::kNormal,
                           before == 0 ? "ScaledFromZero" : "ScaledUp",
                           fmt::format("{} -> {} pods: a request waits", before, entry->want));
}

void AutoScaler::crowded(const std::string& revision) {
  const std::lock_guard lock(mutex_);
  end_crowd_soon(revision);
}

void AutoScaler::end_crowd_soon(const std::string& revision) {
  if (!crowds_.insert(revision).second || crowds_.size() > 1) return;
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
  std::unordered_set<std::string> crowds;
  {
    const std::lock_guard lock(mutex_);
    crowds.swap(crowds_);
  }
  for (const auto& revision : crowds) {
    // First: who waits from here on asks again.
    if (const auto throttler = traffic_.find(revision)) throttler->crowd_seen();
    decide_now(revision);
  }
  const std::lock_guard lock(mutex_);
  share_out(clock_.now());
}

void AutoScaler::decide_now(const std::string& revision) {
  const std::lock_guard lock(mutex_);
  Entry* entry = entry_of(revision);
  if (entry == nullptr || !entry->throttler) return;
  const TimePoint now = clock_.now();
  activate(*entry, now);
  const auto counts = entry->throttler->counts();
  if (now < counts.retry_at) return;
  std::string why = "a request waits";
  int pods = counts.waiting > 0 ? 1 : 0;  // where the namespace had no room at the wake
  switch (entry->plan.policy->burst()) {
    case scaling::PolicySpec::Burst::kWait:
      break;
    case scaling::PolicySpec::Burst::kLoadOverTarget:
      pods = load_over_target(entry->plan.policy->kpa, counts, why);
      break;
    case scaling::PolicySpec::Burst::kAskPolicy: {
      const auto decision = entry->live->policy->decide(situation_of(*entry, counts, now));
      tell_error(*entry, decision.error);
      if (!decision.valid) return;
      pods = std::max(pods, decision.desired);
      why = decision.reason;
      break;
    }
  }
  const int wish = within_bounds(*entry, pods);
  if (wish <= entry->want) return;
  const int want = within_shares(*entry, counts, wish, why);
  apply(*entry, want, why, Silence::kNo);
  note(*entry, counts.ready);
}

// --- Proofs ---

void AutoScaler::prove(const std::string& revision, Proven proven) {
  const std::lock_guard lock(mutex_);
  Entry* entry = entry_of(revision);
  if (entry == nullptr) return;
  entry->proof = std::make_unique<Proof>(
      Proof{.proven = std::move(proven),
            .deadline = clock_.now() + entry->plan.pod->start_deadline + kPlaceTimeout});
  const int wanted = entry->plan.initial_scale;
  if (wanted > 0) {
    activate(*entry, clock_.now());
    raise(*entry, "to prove that it starts", Silence::kYes);
  }
  const bool ready = entry->throttler && entry->throttler->counts().ready >= wanted;
  if (wanted == 0 || ready) {
    control_.post([this, revision] { finish_proof(revision, ""); });  // adopted pods
  }
}

void AutoScaler::start_ended(const std::string& revision, const std::string& error) {
  // Posted: the caller holds the Scheduler's lock.
  control_.post([this, revision, error, at = clock_.now()] { finish_start(revision, error, at); });
}

void AutoScaler::finish_start(const std::string& revision, const std::string& error, TimePoint at) {
  {
    const std::lock_guard lock(mutex_);
    if (Entry* entry = entry_of(revision)) measure_start(*entry, at, error.empty());
  }
  finish_proof(revision, error);
}

void AutoScaler::finish_proof(const std::string& revision, const std::string& error) {
  Proven proven;
  {
    const std::lock_guard lock(mutex_);
    Entry* entry = entry_of(revision);
    if (entry == nullptr || !entry->throttler) return;
    const auto counts = entry->throttler->counts();
    note(*entry, counts.ready);
    if (!entry->proof) return;
    if (error.empty() && counts.ready < entry->plan.initial_scale) return;
    proven = std::move(entry->proof->proven);
    entry->proof.reset();
    // Given back at once where nothing keeps it: a start is cheap.
    const bool in_use = counts.in_flight + counts.waiting > 0 || counts.last_active != TimePoint{};
    if (!in_use) {
      apply(*entry, error.empty() ? floor_of(*entry) : 0,
            error.empty() ? "proven, and nobody calls" : "it failed to start: " + error,
            Silence::kYes);
      note(*entry, counts.ready);
    }
  }
  proven(error);
}

// --- To be seen ---

ScaleStatus AutoScaler::status_of(const Entry& entry) const {
  ScaleStatus status;
  status.pod = entry.plan.pod;
  status.policy = entry.plan.policy;
  status.reachable = entry.reachable;
  status.desired = entry.want;
  status.concurrency = entry.concurrency;
  status.requests = entry.requests;
  status.panic = entry.panic;
  status.reason = entry.reason;
  status.error_since = entry.added_at;
  if (entry.live) {
    status.error = entry.live->error;
    status.error_since = std::max(entry.added_at, entry.live->error_since);
  }
  // At rest nobody asks it.
  if (status.error.empty()) status.error = entry.plan.policy->problem();
  status.start_time = entry.start_time;
  status.decided_at = entry.decided_at;
  status.added_at = entry.added_at;
  status.made = entry.made;
  status.changed = entry.changed;
  if (!entry.throttler) return status;
  const auto counts = entry.throttler->counts();
  status.ready = counts.ready;
  status.starting = counts.starting;
  status.in_flight = counts.in_flight;
  status.waiting = counts.waiting;
  return status;
}

ScaleStatus AutoScaler::status(const std::string& revision) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(revision);
  return found == entries_.end() ? ScaleStatus() : status_of(found->second);
}

std::shared_ptr<const scaling::HpaSeen> AutoScaler::hpa_seen(const std::string& revision) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(revision);
  if (found == entries_.end() || !found->second.live) return nullptr;
  const auto* hpa = scaling::hpa_of(*found->second.live->policy);
  return hpa == nullptr ? nullptr : hpa->seen();
}

std::optional<ScaleStatus> AutoScaler::find(const resources::ObjectKey& revision) const {
  const std::lock_guard lock(mutex_);
  const auto found = keys_.find(key_of(revision));
  if (found == keys_.end()) return std::nullopt;
  return status_of(*found->second);
}

std::vector<ScaleStatus> AutoScaler::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<ScaleStatus> out;
  out.reserve(keys_.size());
  for (const auto& [key, entry] : keys_) out.push_back(status_of(*entry));
  return out;
}

int64_t AutoScaler::version() const {
  const std::lock_guard lock(mutex_);
  return version_;
}

bool AutoScaler::changes(int64_t after, std::vector<ScaleStatus>* out) const {
  const std::lock_guard lock(mutex_);
  if (after < forgotten_ || after > version_) return false;
  if (after == version_) return true;
  for (const auto& went : gone_) {
    // What came and went since then was never seen.
    if (went.changed > after && went.made <= after) out->push_back(went);
  }
  for (auto at = by_change_.rbegin(); at != by_change_.rend() && (*at)->changed > after; ++at) {
    out->push_back(status_of(**at));
  }
  std::sort(out->begin(), out->end(),
            [](const auto& a, const auto& b) { return a.changed < b.changed; });
  return true;
}

std::vector<resources::ObjectKey> AutoScaler::take_rescaled() {
  const std::lock_guard lock(mutex_);
  std::vector<resources::ObjectKey> out;
  for (const auto& uid : std::exchange(rescaled_, {})) {
    Entry* entry = entry_of(uid);
    if (entry == nullptr) continue;
    entry->rescaled = false;
    const int ready = entry->throttler ? entry->throttler->counts().ready : 0;
    if (entry->told_want == entry->want && entry->told_ready == ready) continue;
    entry->told_want = entry->want;
    entry->told_ready = ready;
    out.push_back({entry->plan.pod->ns, entry->plan.pod->name});
  }
  return out;
}

size_t AutoScaler::active() const {
  const std::lock_guard lock(mutex_);
  return active_.size();
}

}  // namespace ebb::control
