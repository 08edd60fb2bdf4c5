// Route -> which revisions its traffic goes to, in its status and in the routing table.
//
// If a target cannot be resolved (not there, not ready, failed), all traffic stays where
// it was last assigned, as in Knative: status.traffic says where. Control executor only.
#pragma once

#include <map>
#include <set>
#include <string>

#include "api/types.h"
#include "base/clock.h"
#include "control/event_recorder.h"
#include "control/garbage_collector.h"
#include "control/route_publisher.h"
#include "net/task.h"
#include "resources/informer.h"
#include "resources/resource_client.h"

namespace ebb::control {

// What a Route says in its conditions of a Configuration whose newest revision failed and
// that never had a ready one.
[[nodiscard]] std::string without_ready_revision(const std::string& configuration);

// Where requests arrive.
struct GatewayPorts {
  uint16_t http = 80;
  // Where all from outside are sent on to, by TLS.
  std::optional<uint16_t> https = std::nullopt;
};

class RouteReconciler final {
 public:
  struct Uses {
    resources::ResourceClient& client;
    const Clock& clock;
    GarbageCollector& collector;
    const resources::Informer<api::Route>& routes;
    const resources::Informer<api::Configuration>& configurations;
    const resources::Informer<api::Revision>& revisions;
    RoutePublisher& publisher;
    EventRecorder* events = nullptr;  // nullptr: nobody asks
  };
  // The port is part of a URL unless it is its scheme's own.
  RouteReconciler(Uses uses, GatewayPorts ports) : uses_(uses), ports_(ports) {}

  [[nodiscard]] net::Task<Result<void>> reconcile(resources::ObjectKey key);

  // The routes that name it in their spec, or send requests to it.
  using Keys = std::set<resources::ObjectKey>;
  [[nodiscard]] Keys routes_of_configuration(const resources::ObjectKey& key) const;
  [[nodiscard]] Keys routes_of_revision(const resources::ObjectKey& key) const;

 private:
  // Where a route's targets lead.
  struct Resolution {
    std::vector<api::TrafficTarget> traffic;  // as in a status
    Assignment assignment;
    // Why not all could be resolved; `failed`: waiting does not help; `blocks`: nothing of
    // it counts, and what was before stays.
    bool blocks = false;
    bool failed = false;
    std::string reason;
    std::string message;
    std::string for_callers;
  };
  // Which names a route uses, to be told when they change.
  struct Names {
    std::set<std::string> configurations;
    std::set<std::string> revisions;
  };

  [[nodiscard]] net::Task<Result<Resolution>> resolve(api::Route route);
  [[nodiscard]] net::Task<Result<void>> resolve_latest(api::TrafficTarget target, std::string ns,
                                                       Resolution* out);
  [[nodiscard]] net::Task<Result<void>> resolve_revision(api::TrafficTarget target, std::string ns,
                                                         Resolution* out);
  static void add(Resolution one, const api::TrafficTarget& target, const std::string& route,
                  Resolution& all);
  // And the same as in a status, into `traffic`.
  [[nodiscard]] Assignment last_assignment(const api::Route& route,
                                           std::vector<api::TrafficTarget>& traffic) const;
  void set_status(api::Route& route, Resolution& resolution) const;
  void record(const api::Route& route, const api::Route::Status& before) const;
  void remember(const resources::ObjectKey& route, Names names);
  // For who calls from outside, unless the route is for other functions only.
  [[nodiscard]] std::string url_of(const api::Route& route, const std::string& tag) const;
  [[nodiscard]] std::string inner_url_of(const api::Route& route, const std::string& tag) const;

  Uses uses_;
  const GatewayPorts ports_;
  std::map<resources::ObjectKey, Names> names_;
  std::map<resources::ObjectKey, Keys> by_configuration_;
  std::map<resources::ObjectKey, Keys> by_revision_;
};

}  // namespace ebb::control
