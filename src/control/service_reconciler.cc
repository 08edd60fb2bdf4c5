#include "control/service_reconciler.h"

#include "api/defaults.h"
#include "control/conditions.h"
#include "control/garbage_collector.h"
#include "control/route_reconciler.h"

namespace ebb::control {
namespace {

constexpr std::string_view kConfigurationsReady = "ConfigurationsReady";
constexpr std::string_view kRoutesReady = "RoutesReady";
// kubectl's own record of the Service would be wrong on its children.
constexpr const char* kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";

api::ObjectMeta child_meta(const api::Service& service) {
  api::ObjectMeta meta;
  meta.name = service.meta.name;
  meta.ns = service.meta.ns;
  meta.labels = service.meta.labels;
  meta.labels[std::string(api::kServiceLabel)] = service.meta.name;
  meta.annotations = service.meta.annotations;
  meta.annotations.erase(kLastApplied);
  meta.owners.push_back(owned_by(api::Service::kind(), service.meta));
  return meta;
}

// A child that has not seen the newest spec says nothing about it.
template <class T>
void carry_up(Conditions& conditions, std::string_view type, const T& child,
              bool outdated = false) {
  if (outdated || child.status.observed_generation != child.meta.generation) {
    conditions.mark_unknown(type, "OutOfDate",
                            fmt::format("The {} is still working to reflect the latest desired "
                                        "specification.",
                                        T::kind().kind));
    return;
  }
  conditions.mirror(type, api::find_condition(child.status.conditions, kReady));
}

// The Route tells of a Configuration without a ready revision, and that has gone on since:
// its next revision is on the way, or ready.
bool outdated(const api::Route& route, const api::Configuration& configuration) {
  const auto& status = configuration.status;
  const bool failed = status.observed_generation == configuration.meta.generation &&
                      is_false(status.conditions, kReady);
  const auto* ready = api::find_condition(route.status.conditions, kReady);
  return !failed && ready != nullptr && ready->status == api::Condition::Status::kFalse &&
         ready->message == without_ready_revision(configuration.meta.name);
}

// All that follows the latest revision has arrived at it.
bool migrated(const std::vector<api::TrafficTarget>& traffic, const std::string& latest_ready) {
  for (const auto& target : traffic) {
    if (target.latest_revision.value_or(false) && target.revision_name != latest_ready) {
      return false;
    }
  }
  return true;
}

}  // namespace

api::Configuration configuration_of(const api::Service& service) {
  api::Configuration configuration;
  configuration.meta = child_meta(service);
  configuration.spec.revision_template = service.spec.revision_template;
  api::apply_defaults(configuration);
  return configuration;
}

api::Route route_of(const api::Service& service) {
  api::Service complete = service;
  api::apply_defaults(complete);
  api::Route route;
  route.meta = child_meta(service);
  route.spec.traffic = complete.spec.traffic;
  for (auto& target : route.spec.traffic) {
    if (target.revision_name.empty()) target.configuration_name = service.meta.name;
  }
  api::apply_defaults(route);
  return route;
}

template <class T>
net::Task<Result<ServiceReconciler::Child<T>>> ServiceReconciler::keep_equal(
    T wanted, const resources::Informer<T>& informer) {
  const resources::ObjectKey key{wanted.meta.ns, wanted.meta.name};
  const T* found = informer.find(key);
  if (found == nullptr) {
    auto creating = resources::create<T>(client_, wanted);
    auto created = co_await creating;
    if (created) co_return Child<T>{std::move(*created), ""};
    if (created.error().code != Errc::kAlreadyExists) co_return fail(created.error());
    // The news of it has not come yet.
    co_return fail(Errc::kConflict, "{}", created.error().message);
  }
  T object = *found;
  const auto* owner = controller_of(object.meta);
  const auto& wanted_owner = wanted.meta.owners.front();
  if (owner != nullptr && owner->uid != wanted_owner.uid && owner->kind == wanted_owner.kind &&
      owner->name == wanted_owner.name) {
    co_return fail(Errc::kUnavailable, "the {} of an earlier Service is still being deleted",
                   T::kind().kind);
  }
  if (owner == nullptr || owner->uid != wanted_owner.uid) {
    co_return Child<T>{std::move(object),
                       fmt::format("There is an existing {} \"{}\" that we do not own.",
                                   T::kind().kind, key.name)};
  }
  const bool equal = object.spec == wanted.spec && object.meta.labels == wanted.meta.labels &&
                     object.meta.annotations == wanted.meta.annotations;
  if (equal) co_return Child<T>{std::move(object), ""};
  object.spec = std::move(wanted.spec);
  object.meta.labels = std::move(wanted.meta.labels);
  object.meta.annotations = std::move(wanted.meta.annotations);
  auto updating = resources::update<T>(client_, std::move(object));
  auto updated = co_await updating;
  if (!updated) co_return fail(updated.error());
  co_return Child<T>{std::move(*updated), ""};
}

net::Task<Result<void>> ServiceReconciler::reconcile(resources::ObjectKey key) {
  const auto* found = services_.find(key);
  if (found == nullptr) co_return Result<void>();
  api::Service service = *found;
  const api::Service before = service;

  auto keeping_configuration = keep_equal(configuration_of(service), configurations_);
  const auto configuration = co_await keeping_configuration;
  if (!configuration) co_return fail(configuration.error());
  auto keeping_route = keep_equal(route_of(service), routes_);
  const auto route = co_await keeping_route;
  if (!route) co_return fail(route.error());

  set_status(service, *configuration, *route);
  if (service.status == before.status) co_return Result<void>();
  auto updating = resources::update_status<api::Service>(client_, std::move(service));
  const auto updated = co_await updating;
  if (!updated && updated.error().code != Errc::kNotFound) co_return fail(updated.error());
  co_return Result<void>();
}

void ServiceReconciler::set_status(api::Service& service,
                                   const Child<api::Configuration>& configuration,
                                   const Child<api::Route>& route) const {
  auto& status = service.status;
  status.observed_generation = service.meta.generation;
  Conditions conditions(status.conditions, clock_.wall());

  if (!configuration.not_owned.empty()) {
    conditions.mark_false(kConfigurationsReady, "NotOwned", configuration.not_owned);
  } else {
    status.latest_created_revision = configuration.object.status.latest_created_revision;
    status.latest_ready_revision = configuration.object.status.latest_ready_revision;
    carry_up(conditions, kConfigurationsReady, configuration.object);
  }
  if (!route.not_owned.empty()) {
    conditions.mark_false(kRoutesReady, "NotOwned", route.not_owned);
  } else {
    status.url = route.object.status.url;
    status.address_url = route.object.status.address_url;
    status.traffic = route.object.status.traffic;
    carry_up(conditions, kRoutesReady, route.object, outdated(route.object, configuration.object));
    if (is_true(status.conditions, kRoutesReady) &&
        !migrated(status.traffic, status.latest_ready_revision)) {
      conditions.mark_unknown(kRoutesReady, "TrafficNotMigrated",
                              "Traffic is not yet migrated to the latest revision.");
    }
  }
  conditions.summarize({kConfigurationsReady, kRoutesReady});
}

}  // namespace ebb::control
