#include "control/reconcilers.h"

#include "base/log.h"
#include "control/routing_labels.h"

namespace ebb::control {
namespace {

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
      autoscaler_(uses.autoscaler),
      host_(uses.host),
      services_(executor, uses.client, [this](const Key& key) { service_changed(key); }),
      configurations_(executor, uses.client,
                      [this](const Key& key) { configuration_changed(key); }),
      revisions_(executor, uses.client, [this](const Key& key) { revision_changed(key); }),
      routes_(executor, uses.client, [this](const Key& key) { route_changed(key); }),
      hpas_(executor, uses.client, [this](const Key& key) { hpa_queue_.add(key); }),
      collector_(uses.client, services_, configurations_, uses.events),
      publisher_(uses.host, uses.autoscaler, uses.publisher, uses.domain),
      service_reconciler_(uses.client, uses.clock, services_, configurations_, routes_),
      configuration_reconciler_(uses.client, uses.clock, collector_, configurations_, revisions_,
                                uses.events),
      revision_reconciler_(
          {.client = uses.client,
           .clock = uses.clock,
           .collector = collector_,
           .revisions = revisions_,
           .host = uses.host,
           .autoscaler = uses.autoscaler,
           .code = uses.code,
           .events = uses.events},
          [this](const Key& key) { revision_queue_.add(key); },
          [this](const std::string& uid, bool there) {
            publisher_.revision_hosted(uid, there);
            hpa_reconciler_.revision_hosted(uid, there);
          }),
      route_reconciler_({.client = uses.client,
                         .clock = uses.clock,
                         .collector = collector_,
                         .routes = routes_,
                         .configurations = configurations_,
                         .revisions = revisions_,
                         .publisher = publisher_,
                         .events = uses.events},
                        uses.ports),
      labeler_({.client = uses.client,
                .clock = uses.clock,
                .configurations = configurations_,
                .revisions = revisions_,
                .routes = routes_}),
      hpa_reconciler_({.client = uses.client,
                       .clock = uses.clock,
                       .hpas = hpas_,
                       .host = uses.host,
                       .autoscaler = uses.autoscaler,
                       .events = uses.events},
                      [this](const Key& key) { hpa_queue_.add(key); }),
      revision_gc_({.client = uses.client,
                    .clock = uses.clock,
                    .configurations = configurations_,
                    .revisions = revisions_,
                    .events = uses.events},
                   uses.gc,
                   [this](const Key& key, Duration wait) { gc_queue_.add_after(key, wait); }),
      leftovers_(executor,
                 {.clock = uses.clock,
                  .code = uses.code,
                  .services = services_,
                  .configurations = configurations_,
                  .revisions = revisions_},
                 uses.disk, uses.leftovers),
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
          [this](Key key) { return route_reconciler_.reconcile(std::move(key)); }, uses.retries),
      hpa_queue_(
          executor, "horizontalpodautoscalers",
          [this](Key key) { return hpa_reconciler_.reconcile(std::move(key)); }, uses.retries),
      label_queue_(
          executor, "labels", [this](Key key) { return labeler_.reconcile(std::move(key)); },
          uses.retries),
      gc_queue_(
          executor, "gc", [this](Key key) { return revision_gc_.reconcile(std::move(key)); },
          uses.retries) {
  scale_timer_.fire = [this] {
    executor_.arm(scale_timer_, executor_.now() + kScaleStatusPeriod);
    write_scales();
  };
}

void Reconcilers::start(std::function<void()> on_synced) {
  on_synced_ = std::move(on_synced);
  for (auto* queue :
       {&service_queue_, &configuration_queue_, &revision_queue_, &route_queue_, &hpa_queue_}) {
    queue->on_idle([this] { proceed(); });
  }
  for (resources::InformerBase* informer : std::initializer_list<resources::InformerBase*>{
           &services_, &configurations_, &revisions_, &routes_, &hpas_}) {
    informer->start([this] { proceed(); });
  }
  executor_.spawn(sweep());
}

bool Reconcilers::informed() const {
  return services_.synced() && configurations_.synced() && revisions_.synced() &&
         routes_.synced() && hpas_.synced();
}

bool Reconcilers::settled() const {
  return service_queue_.idle() && configuration_queue_.idle() && revision_queue_.idle() &&
         route_queue_.idle() && hpa_queue_.idle();
}

void Reconcilers::set_gc(const RevisionGcSettings& settings) {
  revision_gc_.set_settings(settings);
  for (const auto& [key, configuration] : configurations_.all()) gc_queue_.add(key);
}

bool Reconcilers::idle() const { return settled() && label_queue_.idle() && gc_queue_.idle(); }

net::Task<void> Reconcilers::sweep() {
  auto sweeping = code_.sweep();
  const auto swept = co_await sweeping;
  if (!swept) log::warn("control", "{}", swept.error().message);
  swept_ = true;
  proceed();
}

void Reconcilers::proceed() {
  // Who is asked about an object before it has been listed would take it for missing.
  if (phase_ == Phase::kListing && swept_ && informed()) {
    phase_ = Phase::kReconciling;
    for (auto* queue :
         {&service_queue_, &configuration_queue_, &revision_queue_, &route_queue_, &hpa_queue_}) {
      queue->start();
    }
  }
  if (phase_ == Phase::kReconciling && settled()) {
    open();
  }
}

void Reconcilers::open() {
  phase_ = Phase::kSynced;
  host_.all_added();
  label_queue_.start();
  gc_queue_.start();
  leftovers_.start();
  executor_.arm(scale_timer_, executor_.now() + kScaleStatusPeriod);
  if (on_synced_) on_synced_();
}

void Reconcilers::write_scales() {
  for (auto& key : autoscaler_.take_rescaled()) rescaled_.insert(std::move(key));
  for (size_t i = 0; i < kScaleStatusWrites && !rescaled_.empty(); ++i) {
    revision_reconciler_.rescaled(*rescaled_.begin());
    rescaled_.erase(rescaled_.begin());
  }
  hpa_reconciler_.look();
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
  gc_queue_.add(key);
  const auto* configuration = configurations_.find(key);
  for_each_named_after(revisions_, key, [&](const api::Revision& revision) {
    if (controller_name<api::Configuration>(revision.meta) != key.name) return;
    const auto state = revision.meta.labels.find(std::string(kRoutingState));
    const bool pending = state == revision.meta.labels.end() || state->second == kPending;
    if (pending) label_queue_.add({revision.meta.ns, revision.meta.name});
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
  label_queue_.add(key);
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
  if (owner.empty()) return;
  configuration_queue_.add({key.ns, owner});
  gc_queue_.add({key.ns, owner});
}

void Reconcilers::route_changed(const Key& key) {
  route_queue_.add(key);
  for (const auto& revision : labeler_.route_changed(key)) label_queue_.add(revision);
  if (services_.find(key) != nullptr) service_queue_.add(key);
}

}  // namespace ebb::control
