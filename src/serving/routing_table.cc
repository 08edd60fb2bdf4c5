#include "serving/routing_table.h"

namespace ebb::serving {

void RoutingPublisher::publish(RoutingTable::Routes routes) {
  auto table = std::make_shared<const RoutingTable>(std::move(routes));
  const std::lock_guard lock(mutex_);
  table_ = std::move(table);
  version_.fetch_add(1, std::memory_order_release);
}

std::shared_ptr<const RoutingTable> RoutingPublisher::table() const {
  const std::lock_guard lock(mutex_);
  return table_;
}

}  // namespace ebb::serving
