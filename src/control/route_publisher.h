// Makes one routing table of all routes and publishes it when something changed, and
// tells the AutoScaler which revisions some route sends requests to.
//
// A table is made of everything, so changes are put together: publishing takes at most
// a small part of the executor's time. Control executor only; end it when the executor
// has stopped.
//
//   publisher.set(key, {...});
//   co_await publisher.published();     // requests are routed so from now on
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "control/autoscaler.h"
#include "control/revision_host.h"
#include "net/executor.h"
#include "net/task.h"
#include "resources/resource_client.h"
#include "serving/routing_table.h"

namespace ebb::control {

// Where the requests of one route go.
struct Assignment {
  struct Part {
    std::string revision;  // uid
    std::string tag;
    int percent = 0;
    friend bool operator==(const Part&, const Part&) = default;
  };
  std::vector<Part> parts;  // percents sum to 100, unless empty
  std::string not_ready;    // why there are no parts
  friend bool operator==(const Assignment&, const Assignment&) = default;
};

class RoutePublisher final {
 public:
  RoutePublisher(net::Executor& executor, const RevisionHost& host, AutoScaler& autoscaler,
                 serving::RoutingPublisher& publisher, std::string domain);

  void set(const resources::ObjectKey& route, Assignment assignment);
  void remove(const resources::ObjectKey& route);
  // A revision came to the host or is about to go; `there`: it came.
  void revision_hosted(const std::string& uid, bool there);

  // Returns when all that was set before is published. A reconciler of a route
  // waits for it, so that "ready" means that requests arrive.
  [[nodiscard]] net::Task<void> published();

  // "hello.default.example.com", "v2-hello.default.example.com"
  [[nodiscard]] std::string host_of(const resources::ObjectKey& route,
                                    const std::string& tag) const;

 private:
  // Of the time that has passed, the part that publishing may have taken is 1/this.
  static constexpr int kShare = 5;

  void changed();
  void publish();
  void add_hosts(const resources::ObjectKey& key, const Assignment& assignment,
                 serving::RoutingTable::Routes& routes) const;
  void set_reachable();

  net::Executor& executor_;
  const RevisionHost& host_;
  AutoScaler& autoscaler_;
  serving::RoutingPublisher& publisher_;
  const std::string domain_;
  std::map<resources::ObjectKey, Assignment> assignments_;
  std::map<std::string, bool> hosted_;  // uid -> reachable, as the AutoScaler knows it
  net::Timer timer_;
  TimePoint not_before_{};
  bool dirty_ = false;
};

}  // namespace ebb::control
