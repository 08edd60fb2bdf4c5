#include "control/hpa_reconciler.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "api/policy_annotations.h"
#include "control/hpa_spec.h"

namespace ebb::control {
namespace {

using api::Condition;
using api::HorizontalPodAutoscaler;
using Status = HorizontalPodAutoscaler::Status;

constexpr const char* kAbleToScale = "AbleToScale";
constexpr const char* kScalingActive = "ScalingActive";
constexpr const char* kScalingLimited = "ScalingLimited";
constexpr const char* kAmbiguous = "AmbiguousSelector";

std::map<std::string, std::string> declared_by(const HorizontalPodAutoscaler& hpa) {
  std::vector<api::FieldError> seen_by_validation;
  return api::parse_outside_metrics(hpa.meta.annotations, "", seen_by_validation);
}

void set(Status& status, const char* type, bool yes, const char* reason, std::string message,
         WallTime now) {
  api::set_condition(status.conditions,
                     {.type = type,
                      .status = yes ? Condition::Status::kTrue : Condition::Status::kFalse,
                      .reason = reason,
                      .message = std::move(message),
                      .last_transition_time = {}},
                     now);
}

void drop(Status& status, const char* type) {
  std::erase_if(status.conditions, [type](const Condition& one) { return one.type == type; });
}

// The pods are known, and nobody decides how many there should be.
void undecided(Status& status, const char* reason, std::string message, WallTime now) {
  status.current_metrics.clear();
  set(status, kAbleToScale, true, "SucceededGetScale", "the number of pods is known", now);
  set(status, kScalingActive, false, reason, std::move(message), now);
  drop(status, kScalingLimited);
}

bool fails(const Status& status, const char* type, std::string_view reason) {
  const auto* found = api::find_condition(status.conditions, type);
  return found != nullptr && found->status == Condition::Status::kFalse && found->reason == reason;
}

}  // namespace

net::Task<Result<void>> HpaReconciler::reconcile(Key key) {
  const auto* hpa = uses_.hpas.find(key);
  const auto known = known_.find(key);
  if (known != known_.end() && (hpa == nullptr || hpa->meta.uid != known->second.uid)) forget(key);
  if (hpa == nullptr) co_return Result<void>();
  learn(key, *hpa);
  HorizontalPodAutoscaler changed = *hpa;
  changed.status = status_of(*hpa, known_.at(key));
  known_.at(key).told = seen_of(known_.at(key));
  if (changed.status == hpa->status) co_return Result<void>();
  const HorizontalPodAutoscaler before = *hpa;
  const Status now = changed.status;
  auto updating =
      resources::update_status<HorizontalPodAutoscaler>(uses_.client, std::move(changed));
  const auto updated = co_await updating;
  if (!updated && updated.error().code != Errc::kNotFound) co_return fail(updated.error());
  if (updated) record(before, now);
  co_return Result<void>();
}

void HpaReconciler::learn(const Key& key, const HorizontalPodAutoscaler& hpa) {
  const auto outside = declared_by(hpa);
  const auto found = known_.find(key);
  if (found != known_.end() && found->second.generation == hpa.meta.generation &&
      found->second.outside == outside) {
    return;  // only its status has changed
  }
  Known& known = known_[key];
  known.uid = hpa.meta.uid;
  known.generation = hpa.meta.generation;
  known.outside = outside;
  known.wish.reset();
  known.error.clear();
  if (auto spec = to_hpa_spec(hpa)) {
    known.wish =
        std::make_shared<const HpaWish>(HpaWish{.spec = std::move(*spec), .outside = outside});
  } else {
    known.error = spec.error().message;
  }
  const auto before = known.revisions;
  uses_.host.for_each([&](const scheduling::PodTemplate& revision) {
    if (scales(hpa, revision)) bind(key, known, revision.revision);
  });
  for (const auto& uid : before) {
    const auto* revision = uses_.host.find(uid);
    if (revision != nullptr && scales(hpa, *revision)) continue;
    known.revisions.erase(uid);
    unbind(key, uid);
  }
}

void HpaReconciler::forget(const Key& key) {
  const auto revisions = std::move(known_.at(key).revisions);
  known_.erase(key);
  for (const auto& uid : revisions) unbind(key, uid);
}

void HpaReconciler::bind(const Key& key, Known& known, const std::string& uid) {
  known.revisions.insert(uid);
  auto& all = by_revision_[uid];
  if (all.insert(key).second) {
    for (const auto& other : all) {
      if (other != key) again_(other);
    }
  }
  assign(uid);
}

void HpaReconciler::unbind(const Key& key, const std::string& uid) {
  const auto found = by_revision_.find(uid);
  if (found == by_revision_.end()) return;
  found->second.erase(key);
  for (const auto& other : found->second) again_(other);
  if (found->second.empty()) by_revision_.erase(found);
  assign(uid);
}

void HpaReconciler::assign(const std::string& uid) {
  const auto found = by_revision_.find(uid);
  const bool one = found != by_revision_.end() && found->second.size() == 1;
  uses_.host.set_hpa(uid, one ? known_.at(*found->second.begin()).wish : nullptr);
}

void HpaReconciler::revision_hosted(const std::string& uid, bool there) {
  if (!there) {
    const auto found = by_revision_.find(uid);
    if (found == by_revision_.end()) return;
    for (const auto& key : found->second) {
      known_.at(key).revisions.erase(uid);
      again_(key);
    }
    by_revision_.erase(found);
    return;
  }
  const auto* revision = uses_.host.find(uid);
  if (revision == nullptr) return;
  for (auto at = known_.lower_bound(Key{revision->ns, ""});
       at != known_.end() && at->first.ns == revision->ns; ++at) {
    const auto* hpa = uses_.hpas.find(at->first);
    if (hpa == nullptr || !scales(*hpa, *revision)) continue;
    bind(at->first, at->second, uid);
    again_(at->first);
  }
}

HpaReconciler::Seen HpaReconciler::seen_of(const Known& known) const {
  Seen seen;
  int most = -1;
  for (const auto& uid : known.revisions) {
    const auto status = uses_.autoscaler.status(uid);
    seen.desired += status.desired;
    seen.replicas += status.ready + status.starting;
    const int size = status.desired + status.ready + status.starting;
    if (size <= most) continue;
    auto decision = uses_.autoscaler.hpa_seen(uid);
    if (!decision) continue;  // another policy decides for it, or it is at zero
    most = size;
    seen.decision = std::move(decision);
  }
  return seen;
}

std::string HpaReconciler::rivals_of(const Known& known) const {
  for (const auto& uid : known.revisions) {
    const auto& all = by_revision_.at(uid);
    if (all.size() < 2) continue;
    std::string names;
    for (const auto& key : all) names += (names.empty() ? "" : ", ") + key.name;
    const auto* revision = uses_.host.find(uid);
    return fmt::format(
        "{} is named by several HorizontalPodAutoscalers ({}): its annotations scale "
        "it until one remains",
        revision == nullptr ? uid : revision->name, names);
  }
  return {};
}

Status HpaReconciler::status_of(const HorizontalPodAutoscaler& hpa, const Known& known) const {
  const WallTime now = uses_.clock.wall();
  const Seen seen = seen_of(known);
  const std::string rivals = rivals_of(known);
  Status status = hpa.status;
  status.observed_generation = hpa.meta.generation;
  if (known.revisions.empty()) {
    const auto& target = hpa.spec.scale_target;
    status.current_metrics.clear();
    set(status, kAbleToScale, false, "FailedGetScale",
        fmt::format("there is no revision of {} {} that can be scaled", target.kind, target.name),
        now);
    drop(status, kScalingActive);
    drop(status, kScalingLimited);
  } else if (!rivals.empty() || !known.wish) {
    undecided(status, rivals.empty() ? "InvalidSpec" : kAmbiguous,
              rivals.empty() ? known.error : rivals, now);
  } else if (seen.decision) {
    status = to_status(hpa, seen.decision->input, seen.decision->result, now);
  } else if (seen.desired == 0) {
    undecided(status, "ScalingDisabled",
              "there are no pods, and nothing to decide until a request comes", now);
  }
  // As the AutoScaler has it, which also looks at bounds and at who waits.
  status.last_scale_time = hpa.status.last_scale_time;
  if (seen.desired != hpa.status.desired_replicas) status.last_scale_time = api::to_rfc3339(now);
  status.current_replicas = seen.replicas;
  status.desired_replicas = seen.desired;
  return status;
}

void HpaReconciler::record(const HorizontalPodAutoscaler& before, const Status& now) const {
  if (uses_.events == nullptr) return;
  const auto tell = [&](EventRecorder::Type type, std::string_view reason,
                        const std::string& message) {
    uses_.events->record(HorizontalPodAutoscaler::kind(), before.meta, type, reason, message);
  };
  const auto* active = api::find_condition(now.conditions, kScalingActive);
  if (now.desired_replicas != before.status.desired_replicas) {
    // From zero and to it nothing was measured.
    const char* requests = now.desired_replicas > 0
                               ? "a request waits"
                               : "no request for as long as it takes to go to zero";
    const bool told = active != nullptr && active->status == api::Condition::Status::kTrue &&
                      !active->message.empty() && now.desired_replicas > 0;
    tell(EventRecorder::Type::kNormal, "SuccessfulRescale",
         fmt::format("New size: {}; reason: {}", now.desired_replicas,
                     told ? active->message : requests));
  }
  // A pod has no sample in its first seconds: that is no event.
  for (const char* reason : {kAmbiguous, "InvalidSpec", "FailedGetExternalMetric",
                             "FailedGetObjectMetric", "FailedGetPodsMetric"}) {
    if (fails(now, kScalingActive, reason) && !fails(before.status, kScalingActive, reason)) {
      tell(EventRecorder::Type::kWarning, reason, active->message);
    }
  }
  if (fails(now, kAbleToScale, "FailedGetScale") &&
      !fails(before.status, kAbleToScale, "FailedGetScale")) {
    tell(EventRecorder::Type::kWarning, "FailedGetScale",
         api::find_condition(now.conditions, kAbleToScale)->message);
  }
}

void HpaReconciler::look() {
  // Goes on where it stopped, so that nobody is left out when many change.
  size_t left = kLookWrites;
  auto at = known_.upper_bound(looked_at_);
  for (size_t i = 0; i < known_.size() && left > 0; ++i, ++at) {
    if (at == known_.end()) at = known_.begin();
    if (seen_of(at->second) == at->second.told) continue;
    again_(at->first);
    looked_at_ = at->first;
    --left;
  }
}

}  // namespace ebb::control
