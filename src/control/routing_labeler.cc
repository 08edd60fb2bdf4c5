#include "control/routing_labeler.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "control/configuration_reconciler.h"
#include "control/garbage_collector.h"
#include "control/routing_labels.h"

namespace ebb::control {
namespace {

std::string label_of(const api::Revision& revision, std::string_view key) {
  const auto found = revision.meta.labels.find(std::string(key));
  return found == revision.meta.labels.end() ? "" : found->second;
}

int64_t unix_seconds(WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

}  // namespace

std::set<resources::ObjectKey> RoutingLabeler::route_changed(const resources::ObjectKey& route) {
  std::set<std::string> now;
  if (const auto* found = uses_.routes.find(route)) {
    for (const auto* traffic : {&found->spec.traffic, &found->status.traffic}) {
      for (const auto& target : *traffic) {
        if (!target.revision_name.empty()) now.insert(target.revision_name);
      }
    }
  }
  std::set<std::string>& before = named_[route];
  std::set<resources::ObjectKey> concerned;
  for (const auto& name : before) {
    if (now.contains(name)) continue;
    const resources::ObjectKey revision{route.ns, name};
    concerned.insert(revision);
    const auto users = used_by_.find(revision);
    users->second.erase(route.name);
    if (users->second.empty()) used_by_.erase(users);
  }
  for (const auto& name : now) {
    if (before.contains(name)) continue;
    const resources::ObjectKey revision{route.ns, name};
    concerned.insert(revision);
    used_by_[revision].insert(route.name);
  }
  if (now.empty()) {
    named_.erase(route);
  } else {
    before = std::move(now);
  }
  return concerned;
}

std::string_view RoutingLabeler::state_of(const api::Revision& revision) const {
  if (used_by_.contains({revision.meta.ns, revision.meta.name})) return kActive;
  const std::string before = label_of(revision, kRoutingState);
  if (!before.empty() && before != kPending) return kReserve;
  // Not used yet. A newer one has taken its place, or it may still come.
  const auto* owner = controller_of(revision.meta);
  if (owner == nullptr) return kPending;
  const auto* configuration = uses_.configurations.find({revision.meta.ns, owner->name});
  if (configuration == nullptr) return kPending;
  const auto* latest =
      uses_.revisions.find({revision.meta.ns, configuration->status.latest_created_revision});
  const bool passed = latest != nullptr && generation_of(*latest) > generation_of(revision);
  return passed ? kReserve : kPending;
}

net::Task<Result<void>> RoutingLabeler::reconcile(resources::ObjectKey key) {
  const auto* found = uses_.revisions.find(key);
  if (found == nullptr) co_return Result<void>();
  api::Revision revision = *found;
  const std::string state(state_of(revision));
  std::string routes;
  if (const auto users = used_by_.find(key); users != used_by_.end()) {
    routes = fmt::format("{}", fmt::join(users->second, ","));
  }
  auto& annotations = revision.meta.annotations;
  const auto named = annotations.find(std::string(kRoutes));
  const std::string named_before = named == annotations.end() ? "" : named->second;
  const bool moved = label_of(revision, kRoutingState) != state;
  if (!moved && named_before == routes) co_return Result<void>();

  const WallTime now = uses_.clock.wall();
  if (moved) {
    revision.meta.labels[std::string(kRoutingState)] = state;
    annotations[std::string(kRoutingStateModified)] = api::to_rfc3339(now);
    if (state == kActive) annotations[std::string(kLastPinned)] = std::to_string(unix_seconds(now));
  }
  annotations.erase(std::string(kRoutes));
  if (!routes.empty()) annotations[std::string(kRoutes)] = routes;
  auto updating = resources::update<api::Revision>(uses_.client, std::move(revision));
  const auto updated = co_await updating;
  if (!updated && updated.error().code != Errc::kNotFound) co_return fail(updated.error());
  co_return Result<void>();
}

}  // namespace ebb::control
