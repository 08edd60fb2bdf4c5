// All reconcilers with what drives them: one informer and one work queue for each kind,
// and which change concerns whom.
//
//   service --> configuration --> revision
//      |             |               |         (and status the other way)
//      +--------> route <------------+
//
//   horizontalpodautoscaler --> how its revisions are scaled (and its status)
//
// Control executor only. What it is given must outlive the executor's run; end it when
// the executor has stopped.
//
//   control::Reconcilers reconcilers(executor, {...});
//   reconcilers.start();
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>

#include "api/types.h"
#include "control/configuration_reconciler.h"
#include "control/controller.h"
#include "control/event_recorder.h"
#include "control/garbage_collector.h"
#include "control/hpa_reconciler.h"
#include "control/leftovers.h"
#include "control/revision_gc.h"
#include "control/revision_reconciler.h"
#include "control/route_publisher.h"
#include "control/route_reconciler.h"
#include "control/routing_labeler.h"
#include "control/service_reconciler.h"
#include "resources/informer.h"

namespace ebb::control {

class Reconcilers final {
 public:
  struct Uses {
    resources::ResourceClient& client;
    RevisionHost& host;
    AutoScaler& autoscaler;
    node::CodeCache& code;
    serving::RoutingPublisher& publisher;
    const Clock& clock;
    std::string domain;               // hosts are NAME.NAMESPACE.DOMAIN
    GatewayPorts ports{};             // for URLs
    ControllerOptions retries{};      // of all work queues
    RevisionGcSettings gc{};          // at the start; see set_gc()
    EventRecorder* events = nullptr;  // nullptr: nobody asks
    Leftovers::Disk disk{};           // empty: nothing is removed from it
    LeftoversSettings leftovers{};
  };
  Reconcilers(net::Executor& executor, Uses uses);
  Reconcilers(const Reconcilers&) = delete;
  Reconcilers& operator=(const Reconcilers&) = delete;

  // Revisions' numbers of pods are written behind: so often, and so many each time.
  static constexpr Duration kScaleStatusPeriod = std::chrono::seconds(2);
  static constexpr size_t kScaleStatusWrites = 64;

  // Once. `on_synced` is called when synced() has become true.
  void start(std::function<void()> on_synced = {});
  // Everything that was declared at the start has been looked at, so what was ready
  // before can be called again.
  [[nodiscard]] bool synced() const { return phase_ == Phase::kSynced; }
  // Other rules for old revisions, which are looked at anew.
  void set_gc(const RevisionGcSettings& settings);
  // Nothing is under way at the moment (retries and proofs apart).
  [[nodiscard]] bool idle() const;

 private:
  using Key = resources::ObjectKey;

  // From listing what is declared to having looked at all of it.
  enum class Phase { kListing, kReconciling, kSynced };

  [[nodiscard]] net::Task<void> sweep();
  void proceed();
  void open();
  [[nodiscard]] bool informed() const;
  [[nodiscard]] bool settled() const;
  void write_scales();
  void service_changed(const Key& key);
  void configuration_changed(const Key& key);
  void revision_changed(const Key& key);
  void route_changed(const Key& key);

  net::Executor& executor_;
  node::CodeCache& code_;
  AutoScaler& autoscaler_;
  RevisionHost& host_;
  Phase phase_ = Phase::kListing;
  bool swept_ = false;
  std::function<void()> on_synced_;
  net::Timer scale_timer_;
  std::set<Key> rescaled_;  // revisions whose status is behind

  resources::Informer<api::Service> services_;
  resources::Informer<api::Configuration> configurations_;
  resources::Informer<api::Revision> revisions_;
  resources::Informer<api::Route> routes_;
  resources::Informer<api::HorizontalPodAutoscaler> hpas_;

  GarbageCollector collector_;
  RoutePublisher publisher_;
  ServiceReconciler service_reconciler_;
  ConfigurationReconciler configuration_reconciler_;
  RevisionReconciler revision_reconciler_;
  RouteReconciler route_reconciler_;
  RoutingLabeler labeler_;
  HpaReconciler hpa_reconciler_;
  RevisionGc revision_gc_;
  Leftovers leftovers_;

  Controller service_queue_;
  Controller configuration_queue_;
  Controller revision_queue_;
  Controller route_queue_;
  Controller hpa_queue_;
  Controller label_queue_;  // revisions
  Controller gc_queue_;     // configurations
};

}  // namespace ebb::control
