#include "control/reconcilers.h"

#include "base/log.h"

namespace ebb::control {
namespace {

constexpr const char* kLog = "control";
// At the start only: how often it is looked whether everything has been listed.
constexpr Duration kStartPoll = std::chrono::milliseconds(5);

// The name of the object of kind T that controls `meta`, or "".
template <class T>
std::string controller_name(const api::ObjectMeta& meta) {
  const auto* owner = controller_of(meta);
  return owner != nullptr && owner->kind == T::kind().kind ? owner->name : "";
}

// Owned by a T that is not `owner` (nullptr: gone).
template <class T>
bool is_orphan(const api::ObjectMeta& meta, const T* owner) {
  const auto* reference = controller_of(meta);
  if (reference == nullptr || reference->kind != T::kind().kind) return false;
  return owner == nullptr || owner->meta.uid != reference->uid;
}

}  // namespace

Reconcilers::Reconcilers(net::Executor& executor, Uses uses)
    : executor_(executor),
      code_(uses.code),
      services_(executor, uses.client, [this](const Key& key) { service_changed(key); }),
      configurations_(executor, uses.client,
                      [this](const Key& key) { configuration_changed(key); }),
      revisions_(executor, uses.client, [this](const Key& key) { revision_changed(key); }),
      routes_(executor, uses.client, [this](const Key& key) { route_changed(key); }),
      collector_(uses.client, services_, configurations_),
      publisher_(uses.host, uses.autoscaler, uses.publisher, uses.domain),
      service_reconciler_(uses.client, uses.clock, services_, configurations_, routes_),
      configuration_reconciler_(uses.client, uses.clock, collector_, configurations_, revisions_),
      revision_reconciler_(
          {.client = uses.client,
           .clock = uses.clock,
           .collector = collector_,
           .revisions = revisions_,
           .host = uses.host,
           .autoscaler = uses.autoscaler,
           .code = uses.code},
          [this](const Key& key) { revision_queue_.add(key); },
          [this](const std::string& uid, bool there) { publisher_.revision_hosted(uid, there); }),
      route_reconciler_({.client = uses.client,
                         .clock = uses.clock,
                         .collector = collector_,
                         .routes = routes_,
                         .configurations = configurations_,
                         .revisions = revisions_,
                         .publisher = publisher_},
                        uses.gateway_port),
      service_queue_(
          executor, "services",
          [this](Key key) { return service_reconciler_.reconcile(std::move(key)); }, uses.retries),
      configuration_queue_(
          executor, "configurations",
          [this](Key key) { return configuration_reconciler_.reconcile(std::move(key)); },
          uses.retries),
      revision_queue_(
          executor, "revisions",
          [this](Key key) { return revision_reconciler_.reconcile(std::move(key)); }, uses.retries),
      route_queue_(
          executor, "routes",
          [this](Key key) { return route_reconciler_.reconcile(std::move(key)); }, uses.retries) {}

void Reconcilers::start() {
  services_.start();
  configurations_.start();
  revisions_.start();
  routes_.start();
  executor_.spawn(run());
}

bool Reconcilers::informed() const {
  return services_.synced() && configurations_.synced() && revisions_.synced() && routes_.synced();
}

bool Reconcilers::idle() const {
  return service_queue_.idle() && configuration_queue_.idle() && revision_queue_.idle() &&
         route_queue_.idle();
}

net::Task<void> Reconcilers::run() {
  auto sweeping = code_.sweep();
  const auto swept = co_await sweeping;
  if (!swept) log::warn(kLog, "{}", swept.error().message);
  // Who is asked about an object before it has been listed would take it for missing.
  while (!informed()) {
    auto nap = executor_.sleep_until(executor_.now() + kStartPoll);
    co_await nap;
  }
  for (auto* queue : {&service_queue_, &configuration_queue_, &revision_queue_, &route_queue_}) {
    queue->start();
  }
  while (!idle()) {
    auto nap = executor_.sleep_until(executor_.now() + kStartPoll);
    co_await nap;
  }
  synced_ = true;
}

void Reconcilers::service_changed(const Key& key) {
  service_queue_.add(key);
  const auto* service = services_.find(key);
  const auto* configuration = configurations_.find(key);
  if (configuration && is_orphan(configuration->meta, service)) configuration_queue_.add(key);
  const auto* route = routes_.find(key);
  if (route && is_orphan(route->meta, service)) route_queue_.add(key);
}

void Reconcilers::configuration_changed(const Key& key) {
  configuration_queue_.add(key);
  const auto* configuration = configurations_.find(key);
  for_each_named_after(revisions_, key, [&](const api::Revision& revision) {
    if (controller_name<api::Configuration>(revision.meta) != key.name) return;
    if (is_orphan(revision.meta, configuration)) {
      revision_queue_.add({revision.meta.ns, revision.meta.name});
    }
  });
  for (const auto& route : route_reconciler_.routes_of_configuration(key)) route_queue_.add(route);
  // Its Service has the same name, whether it still exists or not.
  if (services_.find(key) != nullptr) service_queue_.add(key);
}

void Reconcilers::revision_changed(const Key& key) {
  revision_queue_.add(key);
  for (const auto& route : route_reconciler_.routes_of_revision(key)) route_queue_.add(route);
  const auto* revision = revisions_.find(key);
  if (revision == nullptr) {
    // Whose it was is not known any more: by its name, NAME-...
    for (size_t dash = key.name.find('-'); dash != std::string::npos;
         dash = key.name.find('-', dash + 1)) {
      const Key owner{key.ns, key.name.substr(0, dash)};
      if (configurations_.find(owner) != nullptr) configuration_queue_.add(owner);
    }
    return;
  }
  const std::string owner = controller_name<api::Configuration>(revision->meta);
  if (!owner.empty()) configuration_queue_.add({key.ns, owner});
}

void Reconcilers::route_changed(const Key& key) {
  route_queue_.add(key);
  if (services_.find(key) != nullptr) service_queue_.add(key);
}

}  // namespace ebb::control
