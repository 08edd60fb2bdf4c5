#include "control/route_reconciler.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "control/conditions.h"

namespace ebb::control {
namespace {

using resources::ObjectKey;

constexpr std::string_view kAllTrafficAssigned = "AllTrafficAssigned";
constexpr std::string_view kIngressReady = "IngressReady";
constexpr uint16_t kHttpPort = 80;
constexpr uint16_t kHttpsPort = 443;

bool is_only_inside(const api::Route& route) {
  return route.meta.labels.contains(std::string(api::kVisibilityLabel));
}

std::string url(std::string_view scheme, const std::string& host, uint16_t port, uint16_t usual) {
  std::string out = fmt::format("{}://{}", scheme, host);
  if (port != usual) out += fmt::format(":{}", port);
  return out;
}

// The object, perhaps read past the informer, whose news may be late; nullopt if there
// is none.
template <class T>
net::Task<Result<std::optional<T>>> find(resources::ResourceClient& client,
                                         const resources::Informer<T>& informer, ObjectKey key) {
  if (const T* found = informer.find(key)) co_return std::optional<T>(*found);
  auto getting = resources::get<T>(client, std::move(key));
  auto got = co_await getting;
  if (!got && got.error().code == Errc::kNotFound) co_return std::optional<T>();
  if (!got) co_return fail(got.error());
  co_return std::optional<T>(std::move(*got));
}

std::string message_of(const std::vector<api::Condition>& conditions) {
  const auto* ready = api::find_condition(conditions, kReady);
  return ready == nullptr ? "" : ready->message;
}

void unlink(std::map<ObjectKey, RouteReconciler::Keys>& index, const ObjectKey& key,
            const ObjectKey& route) {
  const auto found = index.find(key);
  if (found == index.end()) return;
  found->second.erase(route);
  if (found->second.empty()) index.erase(found);
}

}  // namespace

net::Task<Result<void>> RouteReconciler::reconcile(ObjectKey key) {
  const auto* found = uses_.routes.find(key);
  if (found == nullptr) {
    remember(key, {});
    uses_.publisher.remove(key);
    co_return Result<void>();
  }
  api::Route route = *found;
  auto collecting = uses_.collector.collect(api::Route::kind(), route.meta);
  const auto collected = co_await collecting;
  if (!collected) co_return fail(collected.error());
  if (*collected) co_return Result<void>();

  auto resolving = resolve(route);
  auto resolution = co_await resolving;
  if (!resolution) co_return fail(resolution.error());
  if (uses_.routes.find(key) == nullptr) co_return Result<void>();  // the next run clears up

  uses_.publisher.set(key, resolution->assignment);

  const auto before = route.status;
  set_status(route, *resolution);
  if (route.status == before) co_return Result<void>();
  record(route, before);
  auto updating = resources::update_status<api::Route>(uses_.client, std::move(route));
  const auto updated = co_await updating;
  if (!updated && updated.error().code != Errc::kNotFound) co_return fail(updated.error());
  co_return Result<void>();
}

std::string without_ready_revision(const std::string& configuration) {
  return fmt::format("Configuration \"{}\" does not have any ready Revision.", configuration);
}

net::Task<Result<RouteReconciler::Resolution>> RouteReconciler::resolve(api::Route route) {
  const ObjectKey key{route.meta.ns, route.meta.name};
  // First the names, so that no change is missed from here on.
  Names names;
  for (const auto& target : route.spec.traffic) {
    if (!target.configuration_name.empty()) names.configurations.insert(target.configuration_name);
    if (!target.revision_name.empty()) names.revisions.insert(target.revision_name);
  }
  for (const auto& target : route.status.traffic) names.revisions.insert(target.revision_name);
  remember(key, names);

  Resolution resolution;
  for (const auto& target : route.spec.traffic) {
    Resolution one;
    auto resolving = target.revision_name.empty() ? resolve_latest(target, key.ns, &one)
                                                  : resolve_revision(target, key.ns, &one);
    const auto resolved = co_await resolving;
    if (!resolved) co_return fail(resolved.error());
    add(std::move(one), target, key.name, resolution);
    if (resolution.blocks) break;
  }
  if (!resolution.blocks) {
    for (auto& target : resolution.traffic) {
      if (!target.tag.empty()) target.url = url_of(route, target.tag);
      names.revisions.insert(target.revision_name);
    }
    remember(key, std::move(names));
  } else {
    resolution.assignment = last_assignment(route, resolution.traffic);
    if (resolution.assignment.parts.empty()) {
      resolution.assignment.not_ready = resolution.for_callers;
    }
  }
  resolution.assignment.only_inside = is_only_inside(route);
  co_return std::move(resolution);
}

// One target's part. A tag without traffic that cannot be had takes nothing from the others.
void RouteReconciler::add(Resolution one, const api::TrafficTarget& target,
                          const std::string& route, Resolution& all) {
  if (one.reason.empty()) {
    std::move(one.traffic.begin(), one.traffic.end(), std::back_inserter(all.traffic));
    std::move(one.assignment.parts.begin(), one.assignment.parts.end(),
              std::back_inserter(all.assignment.parts));
    return;
  }
  const bool only_tag = !target.tag.empty() && target.percent.value_or(0) == 0;
  if (!only_tag) {
    all = std::move(one);
    all.blocks = true;
    return;
  }
  if (!all.reason.empty() && (all.failed || !one.failed)) return;  // one problem at a time
  all.failed = one.failed;
  all.reason = one.reason;
  all.message = one.failed ? fmt::format(
                                 "{} Only the tag {} names it: take that off, as with `ebb "
                                 "traffic {} --untag {}`.",
                                 one.message, target.tag, route, target.tag)
                           : one.message;
}

net::Task<Result<void>> RouteReconciler::resolve_latest(api::TrafficTarget target, std::string ns,
                                                        Resolution* out) {
  const std::string name = target.configuration_name;
  auto finding = find<api::Configuration>(uses_.client, uses_.configurations, ObjectKey{ns, name});
  const auto found = co_await finding;
  if (!found) co_return fail(found.error());
  if (!*found) {
    out->failed = true;
    out->reason = "ConfigurationMissing";
    out->message = fmt::format("Configuration \"{}\" referenced in traffic not found.", name);
    out->for_callers = out->message;
    co_return Result<void>();
  }
  const auto& status = (*found)->status;
  if (status.latest_ready_revision.empty()) {
    const bool current = status.observed_generation == (*found)->meta.generation;
    out->failed = current && is_false(status.conditions, kReady);
    out->reason = "RevisionMissing";
    out->message = out->failed ? without_ready_revision(name)
                               : fmt::format(
                                     "Configuration \"{}\" is waiting for a Revision to become "
                                     "ready.",
                                     name);
    out->for_callers = out->failed ? message_of(status.conditions) : "it is being deployed";
    co_return Result<void>();
  }
  target.revision_name = status.latest_ready_revision;
  target.latest_revision = true;
  target.configuration_name.clear();
  auto resolving = resolve_revision(std::move(target), std::move(ns), out);
  co_return co_await resolving;
}

net::Task<Result<void>> RouteReconciler::resolve_revision(api::TrafficTarget target, std::string ns,
                                                          Resolution* out) {
  const std::string name = target.revision_name;
  auto finding = find<api::Revision>(uses_.client, uses_.revisions, ObjectKey{ns, name});
  const auto found = co_await finding;
  if (!found) co_return fail(found.error());
  if (!*found) {
    out->failed = true;
    out->reason = "RevisionMissing";
    out->message = fmt::format("Revision \"{}\" referenced in traffic not found.", name);
    out->for_callers = out->message;
    co_return Result<void>();
  }
  const auto& conditions = (*found)->status.conditions;
  // For the latest one its configuration vouches.
  if (!target.latest_revision.value_or(false) && !is_true(conditions, kReady)) {
    out->failed = is_false(conditions, kReady);
    out->reason = "RevisionMissing";
    out->message = fmt::format("Revision \"{}\" {}", name,
                               out->failed ? "failed to become ready." : "is not yet ready.");
    out->for_callers = out->failed ? message_of(conditions) : out->message;
    co_return Result<void>();
  }
  out->assignment.parts.push_back({.revision = (*found)->meta.uid,
                                   .tag = target.tag,
                                   .percent = static_cast<int>(target.percent.value_or(0))});
  if (!target.latest_revision) target.latest_revision = false;
  out->traffic.push_back(std::move(target));
  co_return Result<void>();
}

// What of it is there still: the largest share gets those of deleted revisions.
Assignment RouteReconciler::last_assignment(const api::Route& route,
                                            std::vector<api::TrafficTarget>& traffic) const {
  traffic.clear();
  Assignment last;
  int64_t lost = 0;
  size_t largest = 0;
  for (const auto& target : route.status.traffic) {
    const auto* revision = uses_.revisions.find({route.meta.ns, target.revision_name});
    if (revision == nullptr) {
      lost += target.percent.value_or(0);
      continue;
    }
    last.parts.push_back({.revision = revision->meta.uid,
                          .tag = target.tag,
                          .percent = static_cast<int>(target.percent.value_or(0))});
    traffic.push_back(target);
    if (last.parts.back().percent > last.parts[largest].percent) largest = last.parts.size() - 1;
  }
  if (last.parts.empty() || last.parts[largest].percent == 0) {
    traffic.clear();
    return {};
  }
  last.parts[largest].percent += static_cast<int>(lost);
  traffic[largest].percent = last.parts[largest].percent;
  return last;
}

void RouteReconciler::set_status(api::Route& route, Resolution& resolution) const {
  auto& status = route.status;
  status.observed_generation = route.meta.generation;
  status.url = url_of(route, "");
  status.address_url = inner_url_of(route, "");
  const bool routed = !resolution.assignment.parts.empty();
  status.traffic = routed ? std::move(resolution.traffic) : std::vector<api::TrafficTarget>();

  Conditions conditions(status.conditions, uses_.clock.wall());
  if (resolution.reason.empty()) {
    conditions.mark_true(kAllTrafficAssigned);
  } else if (resolution.failed) {
    conditions.mark_false(kAllTrafficAssigned, resolution.reason, resolution.message);
  } else {
    conditions.mark_unknown(kAllTrafficAssigned, resolution.reason, resolution.message);
  }
  if (routed) {
    conditions.mark_true(kIngressReady);
  } else {
    conditions.mark_unknown(kIngressReady, "IngressNotConfigured",
                            "Ingress has not yet been reconciled.");
  }
  conditions.summarize({kAllTrafficAssigned, kIngressReady});
}

// What a person should know of the change.
void RouteReconciler::record(const api::Route& route, const api::Route::Status& before) const {
  if (uses_.events == nullptr) return;
  const auto& now = route.status;
  const auto* assigned = api::find_condition(now.conditions, kAllTrafficAssigned);
  const auto* was = api::find_condition(before.conditions, kAllTrafficAssigned);
  const bool failed = assigned != nullptr && assigned->status == api::Condition::Status::kFalse;
  if (failed && (was == nullptr || was->message != assigned->message)) {
    uses_.events->record(api::Route::kind(), route.meta, EventRecorder::Type::kWarning,
                         assigned->reason, assigned->message);
  }
  const auto same = [](const api::TrafficTarget& a, const api::TrafficTarget& b) {
    return a.revision_name == b.revision_name && a.percent == b.percent && a.tag == b.tag;
  };
  if (std::ranges::equal(now.traffic, before.traffic, same) || now.traffic.empty()) return;
  std::string where;
  for (const auto& target : now.traffic) {
    where += fmt::format("{}{}% to {}", where.empty() ? "" : ", ", target.percent.value_or(0),
                         target.revision_name);
    if (!target.tag.empty()) where += fmt::format(" (tag {})", target.tag);
  }
  uses_.events->record(api::Route::kind(), route.meta, EventRecorder::Type::kNormal,
                       "TrafficSwitched", "traffic goes " + where);
}

void RouteReconciler::remember(const ObjectKey& route, Names names) {
  if (const auto before = names_.find(route); before != names_.end()) {
    for (const auto& name : before->second.configurations) {
      unlink(by_configuration_, {route.ns, name}, route);
    }
    for (const auto& name : before->second.revisions) unlink(by_revision_, {route.ns, name}, route);
    names_.erase(before);
  }
  if (names.configurations.empty() && names.revisions.empty()) return;
  for (const auto& name : names.configurations) by_configuration_[{route.ns, name}].insert(route);
  for (const auto& name : names.revisions) by_revision_[{route.ns, name}].insert(route);
  names_.emplace(route, std::move(names));
}

RouteReconciler::Keys RouteReconciler::routes_of_configuration(const ObjectKey& key) const {
  const auto found = by_configuration_.find(key);
  return found == by_configuration_.end() ? Keys() : found->second;
}

RouteReconciler::Keys RouteReconciler::routes_of_revision(const ObjectKey& key) const {
  const auto found = by_revision_.find(key);
  return found == by_revision_.end() ? Keys() : found->second;
}

std::string RouteReconciler::url_of(const api::Route& route, const std::string& tag) const {
  if (!ports_.https || is_only_inside(route)) return inner_url_of(route, tag);
  const ObjectKey key{route.meta.ns, route.meta.name};
  return url("https", uses_.publisher.host_of(key, tag), *ports_.https, kHttpsPort);
}

std::string RouteReconciler::inner_url_of(const api::Route& route, const std::string& tag) const {
  const ObjectKey key{route.meta.ns, route.meta.name};
  return url("http", uses_.publisher.host_of(key, tag), ports_.http, kHttpPort);
}

}  // namespace ebb::control
