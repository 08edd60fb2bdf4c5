// Routes -> the labels of the revisions that they use: routingState, when it changed,
// and which routes.
//
// Control executor only.
//
//   for (const auto& revision : labeler.route_changed(route)) queue.add(revision);
#pragma once

#include <map>
#include <set>
#include <string>

#include "api/types.h"
#include "base/clock.h"
#include "net/task.h"
#include "resources/informer.h"
#include "resources/resource_client.h"

namespace ebb::control {

class RoutingLabeler final {
 public:
  struct Uses {
    resources::ResourceClient& client;
    const Clock& clock;
    const resources::Informer<api::Configuration>& configurations;
    const resources::Informer<api::Revision>& revisions;
    const resources::Informer<api::Route>& routes;
  };
  explicit RoutingLabeler(Uses uses) : uses_(uses) {}

  // The route appeared, changed or went. Returns the revisions to be looked at.
  [[nodiscard]] std::set<resources::ObjectKey> route_changed(const resources::ObjectKey& route);
  // Sets the labels of one revision.
  [[nodiscard]] net::Task<Result<void>> reconcile(resources::ObjectKey revision);

 private:
  [[nodiscard]] std::string_view state_of(const api::Revision& revision) const;

  Uses uses_;
  std::map<resources::ObjectKey, std::set<std::string>> named_;    // by route: revisions
  std::map<resources::ObjectKey, std::set<std::string>> used_by_;  // by revision: routes
};

}  // namespace ebb::control
