// Which revision answers for a host: an immutable snapshot that every gateway reads
// and the route reconciler replaces.
//
//   RoutingTable::Routes routes;
//   routes["hello.default.localhost"] = {...};
//   publisher.publish(std::move(routes));
//   const RoutingTable::Route* route = table->find("hello.default.localhost");
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "serving/throttler.h"

namespace ebb::serving {

// How requests to one revision are treated.
struct Backend {
  std::shared_ptr<Throttler> throttler;                 // shared: with requests in flight
  std::string name;                                     // of the revision
  Duration timeout = std::chrono::seconds(300);         // the whole request
  Duration response_start = std::chrono::seconds(300);  // until the first byte
  Duration idle{};                                      // between bytes; 0: none
};

struct Target {
  int percent = 100;
  Backend backend;
};

struct Route {
  std::string ns;
  std::string name;
  std::vector<Target> targets;  // percents sum to 100; empty: not ready
  std::string not_ready;        // why, if there is no target
};

class RoutingTable final {
 public:
  using Routes = std::map<std::string, Route, std::less<>>;  // by host, lower case, no port
  explicit RoutingTable(Routes routes) : routes_(std::move(routes)) {}

  [[nodiscard]] const Route* find(std::string_view host) const {
    const auto found = routes_.find(host);
    return found == routes_.end() ? nullptr : &found->second;
  }

 private:
  Routes routes_;
};

// Where the current table is. Thread-safe.
class RoutingPublisher final {
 public:
  void publish(RoutingTable::Routes routes);
  // Grows with every publish(); a cheap look whether a reader's copy is old.
  [[nodiscard]] uint64_t version() const { return version_.load(std::memory_order_acquire); }
  [[nodiscard]] std::shared_ptr<const RoutingTable> table() const;

 private:
  mutable std::mutex mutex_;
  // Shared: each gateway keeps the table it looked a request up in.
  std::shared_ptr<const RoutingTable> table_ =
      std::make_shared<RoutingTable>(RoutingTable::Routes{});
  std::atomic<uint64_t> version_{1};
};

}  // namespace ebb::serving
