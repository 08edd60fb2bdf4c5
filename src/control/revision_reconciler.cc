#include "control/revision_reconciler.h"

#include "base/log.h"
#include "base/quote.h"

namespace ebb::control {
namespace {

constexpr std::string_view kResourcesAvailable = "ResourcesAvailable";
constexpr std::string_view kContainerHealthy = "ContainerHealthy";
constexpr std::string_view kActiveCondition = "Active";
constexpr const char* kDeploying = "Deploying";

// The annotation's 64 hex digits; kInvalid if there are none.
Result<std::string> code_of(const api::Revision& revision) {
  constexpr std::string_view kAlgorithm = "sha256:";
  const std::string_view code = revision.meta.annotation(api::kCodeAnnotation);
  if (code.empty()) {
    return fail(Errc::kInvalid, "the annotation {} is missing: it names the code",
                api::kCodeAnnotation);
  }
  if (!code.starts_with(kAlgorithm)) {
    return fail(Errc::kInvalid, "the annotation {} is {}, not the SHA-256 of a code package",
                api::kCodeAnnotation, in_quotes(code));
  }
  return std::string(code.substr(kAlgorithm.size()));
}

}  // namespace

RevisionReconciler::RevisionReconciler(Uses uses, Again again, Hosted hosted)
    : uses_(uses),
      again_(std::move(again)),
      hosted_(std::move(hosted)),
      link_(std::make_shared<Link>(Link{this})) {}

RevisionReconciler::~RevisionReconciler() { link_->reconciler = nullptr; }

net::Task<Result<void>> RevisionReconciler::reconcile(resources::ObjectKey key) {
  const auto* found = uses_.revisions.find(key);
  const auto known = known_.find(key);
  const bool stale =
      known != known_.end() && (found == nullptr || found->meta.uid != known->second.uid);
  if (stale) forget(key);
  if (found == nullptr) co_return Result<void>();
  api::Revision revision = *found;
  const std::string uid = revision.meta.uid;

  auto collecting = uses_.collector.collect(api::Revision::kind(), revision.meta);
  const auto collected = co_await collecting;
  if (!collected) co_return fail(collected.error());
  if (*collected) co_return Result<void>();

  const auto before = revision.status;
  revision.status.observed_generation = revision.meta.generation;
  known_[key].uid = uid;
  if (!known_[key].hosted) {
    uses_.host.announce(revision);
    auto fetching = fetch_code(revision);
    auto ready = co_await fetching;
    // It may have been deleted, or made anew, in the meantime: that is a change.
    found = uses_.revisions.find(key);
    if (found == nullptr || found->meta.uid != uid) co_return Result<void>();
    if (ready) ready = uses_.host.add(revision);
    if (!ready) {
      const Error& error = ready.error();
      const bool at_fault = error.code == Errc::kInvalid || error.code == Errc::kNotFound;
      // What fails for want of room or time passes, and unsays no earlier proof.
      if (at_fault || !is_true(before.conditions, kReady)) {
        Conditions conditions(revision.status.conditions, uses_.clock.wall());
        conditions.mark_false(kResourcesAvailable,
                              error.code == Errc::kNotFound ? "CodeMissing"
                              : at_fault                    ? "Invalid"
                                                            : "CodeUnavailable",
                              error.message);
        conditions.mark_unknown(kContainerHealthy, kDeploying, "");
        conditions.summarize({kResourcesAvailable, kContainerHealthy});
        if (at_fault) {
          record(revision, EventRecorder::Type::kWarning, "RevisionFailed", error.message);
        }
        auto writing = write_status(std::move(revision), before);
        const auto written = co_await writing;
        if (!written) co_return fail(written.error());
      }
      if (error.code == Errc::kInvalid) co_return Result<void>();
      co_return fail(error);
    }
    known_[key].hosted = true;
    hosted_(uid, true);
  } else {
    uses_.host.set_annotations(uid, revision.meta.annotations);
  }

  Known& hosted = known_.at(key);
  if (!is_true(before.conditions, kReady) && !hosted.proving && !hosted.proof) prove(key, hosted);
  set_conditions(revision, hosted);
  if (std::exchange(hosted.rescaled, false)) set_scale(revision);
  auto writing = write_status(std::move(revision), before);
  co_return co_await writing;
}

net::Task<Result<void>> RevisionReconciler::fetch_code(api::Revision revision) {
  auto hash = code_of(revision);
  if (!hash) co_return fail(hash.error());
  auto ensuring = uses_.code.ensure(*hash);
  auto ensured = co_await ensuring;
  if (!ensured && ensured.error().code == Errc::kNotFound) {
    co_return fail(Errc::kNotFound, "the code package sha256:{} has not been uploaded", *hash);
  }
  co_return ensured;
}

net::Task<Result<void>> RevisionReconciler::write_status(api::Revision revision,
                                                         api::Revision::Status before) {
  if (revision.status == before) co_return Result<void>();
  auto updating = resources::update_status<api::Revision>(uses_.client, std::move(revision));
  const auto updated = co_await updating;
  if (!updated && updated.error().code != Errc::kNotFound) co_return fail(updated.error());
  co_return Result<void>();
}

void RevisionReconciler::forget(const resources::ObjectKey& key) {
  const Known known = known_.at(key);
  known_.erase(key);
  if (known.hosted) hosted_(known.uid, false);  // first out of the routing table
  uses_.host.remove(known.uid);
}

void RevisionReconciler::prove(const resources::ObjectKey& key, Known& known) {
  known.proving = true;
  uses_.autoscaler.prove(known.uid, [link = link_, key, uid = known.uid](std::string error) {
    if (link->reconciler) link->reconciler->proven(key, uid, std::move(error));
  });
}

void RevisionReconciler::proven(const resources::ObjectKey& key, const std::string& uid,
                                std::string error) {
  const auto found = known_.find(key);
  if (found == known_.end() || found->second.uid != uid) return;
  if (error.empty()) {
    log::info("revisions", "{}/{} is ready", key.ns, key.name);
  } else {
    log::warn("revisions", "{}/{} cannot start: {}", key.ns, key.name, error);
  }
  if (const auto* revision = uses_.revisions.find(key)) {
    record(*revision, error.empty() ? EventRecorder::Type::kNormal : EventRecorder::Type::kWarning,
           error.empty() ? "RevisionReady" : "RevisionFailed",
           error.empty() ? "a pod of it started well" : "it cannot start: " + error);
  }
  found->second.proving = false;
  found->second.proof = std::move(error);
  again_(key);
}

void RevisionReconciler::record(const api::Revision& revision, EventRecorder::Type type,
                                std::string_view reason, std::string_view message) const {
  if (uses_.events != nullptr) uses_.events->record(revision, type, reason, message);
}

void RevisionReconciler::rescaled(const resources::ObjectKey& key) {
  const auto found = known_.find(key);
  if (found == known_.end()) return;
  found->second.rescaled = true;
  again_(key);
}

// As in Knative, Active informs and is no part of Ready.
void RevisionReconciler::set_scale(api::Revision& revision) const {
  const ScaleStatus scale = uses_.autoscaler.status(revision.meta.uid);
  revision.status.desired_replicas = scale.desired;
  revision.status.actual_replicas = scale.ready;
  Conditions conditions(revision.status.conditions, uses_.clock.wall());
  if (scale.desired == 0) {
    conditions.mark_false(kActiveCondition, "NoTraffic", "The target is not receiving traffic.");
  } else if (scale.ready == 0) {
    conditions.mark_unknown(
        kActiveCondition, "Queued",
        "Requests to the target are being buffered as resources are provisioned.");
  } else {
    conditions.mark_true(kActiveCondition);
  }
}

void RevisionReconciler::set_conditions(api::Revision& revision, const Known& known) const {
  auto& status = revision.status;
  Conditions conditions(status.conditions, uses_.clock.wall());
  const bool ready = is_true(status.conditions, kReady) || known.proof == "";
  if (ready) {
    conditions.mark_true(kResourcesAvailable);
    conditions.mark_true(kContainerHealthy);
  } else if (known.proof) {
    conditions.mark_true(kResourcesAvailable);
    conditions.mark_false(kContainerHealthy, "StartFailed", *known.proof);
  } else {
    conditions.mark_unknown(kResourcesAvailable, kDeploying, "");
    conditions.mark_unknown(kContainerHealthy, kDeploying, "");
  }
  conditions.summarize({kResourcesAvailable, kContainerHealthy});
}

}  // namespace ebb::control
