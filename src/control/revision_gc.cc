#include "control/revision_gc.h"

#include <algorithm>

#include "base/log.h"
#include "control/configuration_reconciler.h"
#include "control/garbage_collector.h"
#include "control/routing_labels.h"

namespace ebb::control {
namespace {

// A time that cannot be read is taken for now: nothing is deleted for it.
WallTime time_of(std::string_view text, WallTime now) {
  const auto time = api::from_rfc3339(text);
  return time ? *time : now;
}

bool is_kept(const api::Revision& revision, const api::Configuration& configuration) {
  const std::string& name = revision.meta.name;
  if (name == configuration.status.latest_ready_revision) return true;
  if (name == configuration.status.latest_created_revision) return true;
  if (revision.meta.annotation(kNoGc) == "true") return true;
  const auto state = revision.meta.labels.find(std::string(kRoutingState));
  return state == revision.meta.labels.end() || state->second != kReserve;
}

// A revision that no route uses, and when.
struct Unused {
  const api::Revision* revision;
  WallTime created;
  WallTime last_active;
};

Unused unused(const api::Revision& revision, WallTime now) {
  const WallTime created = time_of(revision.meta.creation_timestamp, now);
  const std::string_view modified = revision.meta.annotation(kRoutingStateModified);
  return {&revision, created, modified.empty() ? created : time_of(modified, now)};
}

// When it is older than both limits; nullopt: never.
std::optional<WallTime> stale_at(const Unused& one, const RevisionGcSettings& settings) {
  std::optional<WallTime> at;
  const auto until = [&](WallTime since, const std::optional<Duration>& limit) {
    if (!limit) return;
    const WallTime end = since + std::chrono::duration_cast<WallTime::duration>(*limit);
    at = at ? std::max(*at, end) : end;
  };
  until(one.created, settings.retain_since_create_time);
  until(one.last_active, settings.retain_since_last_active_time);
  return at;
}

}  // namespace

RevisionGcPlan plan_revision_gc(const api::Configuration& configuration,
                                const std::vector<const api::Revision*>& revisions,
                                const RevisionGcSettings& settings, WallTime now) {
  std::vector<Unused> old;
  for (const auto* revision : revisions) {
    if (!is_kept(*revision, configuration)) old.push_back(unused(*revision, now));
  }
  std::stable_sort(old.begin(), old.end(),
                   [](const Unused& a, const Unused& b) { return a.last_active < b.last_active; });
  RevisionGcPlan plan;
  size_t left = old.size();
  const auto least = static_cast<size_t>(std::max(0, settings.min_non_active_revisions));
  std::vector<Unused> young;
  for (const auto& one : old) {
    const auto stale = stale_at(one, settings);
    if (left > least && stale && *stale <= now) {
      plan.remove.push_back(one.revision);
      --left;
      continue;
    }
    young.push_back(one);
    if (!stale || *stale <= now) continue;
    const Duration wait = *stale - now;
    plan.again = plan.again ? std::min(*plan.again, wait) : wait;
  }
  if (left <= least) plan.again.reset();
  if (!settings.max_non_active_revisions) return plan;
  const auto most = static_cast<size_t>(std::max(0, *settings.max_non_active_revisions));
  for (size_t i = 0; left > most; ++i, --left) plan.remove.push_back(young[i].revision);
  return plan;
}

net::Task<Result<void>> RevisionGc::reconcile(resources::ObjectKey key) {
  const auto* configuration = uses_.configurations.find(key);
  if (configuration == nullptr) co_return Result<void>();
  std::vector<const api::Revision*> revisions;
  for_each_named_after(uses_.revisions, key, [&](const api::Revision& revision) {
    const auto* owner = controller_of(revision.meta);
    if (owner != nullptr && owner->uid == configuration->meta.uid) revisions.push_back(&revision);
  });
  const auto plan = plan_revision_gc(*configuration, revisions, settings_, uses_.clock.wall());
  if (plan.again) later_(key, *plan.again);
  // Copies: what the informers hold may change from here on.
  const api::ObjectMeta owner = configuration->meta;
  std::vector<api::ObjectMeta> remove;
  remove.reserve(plan.remove.size());
  for (const auto* revision : plan.remove) remove.push_back(revision->meta);
  for (const auto& meta : remove) {
    resources::ObjectKey victim{meta.ns, meta.name};
    // Only as it was when the rules said so: a route may take it up at this moment.
    auto removing =
        uses_.client.remove(api::Revision::kind(), std::move(victim), meta.resource_version);
    const auto removed = co_await removing;
    if (!removed && removed.error().code == Errc::kNotFound) continue;
    if (!removed) co_return fail(removed.error());
    log::info("gc", "deleted revision {}/{}: no route has used it for long", meta.ns, meta.name);
    if (uses_.events == nullptr) continue;
    uses_.events->record(api::Configuration::kind(), owner, EventRecorder::Type::kNormal,
                         "RevisionDeleted",
                         fmt::format("deleted the old revision {}: no route uses it", meta.name));
  }
  co_return Result<void>();
}

}  // namespace ebb::control
