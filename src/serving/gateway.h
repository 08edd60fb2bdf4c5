// The public door: takes a request by its host to a revision of a function, holds it
// while there is no pod, and passes it on.
//
// One per executor; used on its thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <string>

#include "http/server.h"
#include "serving/activator.h"
#include "serving/pod_connections.h"
#include "serving/routing_table.h"

namespace ebb::serving {

class Gateway final : public http::Handler {
 public:
  Gateway(net::Executor& executor, const RoutingPublisher& routes, Waker& waker);

  [[nodiscard]] net::Task<void> serve(http::Exchange& exchange) override;

 private:
  [[nodiscard]] const RoutingTable& table();
  [[nodiscard]] const Target& choose(const Route& route);
  [[nodiscard]] net::Task<void> serve_route(http::Exchange& exchange, std::string function,
                                            Backend backend);

  PodConnections connections_;
  const RoutingPublisher& routes_;
  Waker& waker_;
  uint64_t version_ = 0;
  std::shared_ptr<const RoutingTable> table_;  // shared: see RoutingPublisher
  std::minstd_rand random_;
};

}  // namespace ebb::serving
