// Puts routes into the routing table as they change, and tells the AutoScaler which
// revisions some route sends requests to.
//
// A change costs what it touches, not what there is. Control executor only.
//
//   publisher.set(key, {...});     // requests are routed so from now on
#pragma once

#include <compare>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "control/autoscaler.h"
#include "control/revision_host.h"
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
  std::vector<Part> parts;   // percents sum to 100, unless empty
  std::string not_ready;     // why there are no parts
  bool only_inside = false;  // for other functions' calls only
  friend bool operator==(const Assignment&, const Assignment&) = default;
};

class RoutePublisher final {
 public:
  RoutePublisher(const RevisionHost& host, AutoScaler& autoscaler,
                 serving::RoutingPublisher& publisher, std::string domain);

  void set(const resources::ObjectKey& route, Assignment assignment);
  void remove(const resources::ObjectKey& route);
  // A revision came to the host or is about to go; `there`: it came.
  void revision_hosted(const std::string& uid, bool there);

  // "hello.default.example.com", "v2-hello.default.example.com"
  [[nodiscard]] std::string host_of(const resources::ObjectKey& route,
                                    const std::string& tag) const;

 private:
  using RoutePtr = serving::RoutingTable::RoutePtr;
  struct Published {
    Assignment assignment;
    std::shared_ptr<serving::Splitter> splitter;  // shared: with the tables
    std::set<std::string> hosts;
  };
  // Who wants a host. The tag "v2" of "hello" and a route "v2-hello" want the same one:
  // the route wins, and among tags the first in this order.
  struct Claim {
    bool is_tag = false;
    resources::ObjectKey route;
    friend auto operator<=>(const Claim&, const Claim&) = default;
  };

  // Writes the hosts of a route into the table, anew.
  void refresh(const resources::ObjectKey& key);
  [[nodiscard]] std::map<std::string, RoutePtr> hosts_for(const resources::ObjectKey& key,
                                                          const Published& published) const;
  // Counts the route in (1) or out (-1) as a user of its revisions.
  void use_revisions(const resources::ObjectKey& key, const Assignment& assignment, int change);
  void update_reachable(const std::string& uid);

  const RevisionHost& host_;
  AutoScaler& autoscaler_;
  serving::RoutingPublisher& publisher_;
  const std::string domain_;
  std::map<resources::ObjectKey, Published> routes_;
  std::map<std::string, std::map<Claim, RoutePtr>> claims_;  // by host
  // By uid: how many parts of which route name the revision.
  std::map<std::string, std::map<resources::ObjectKey, int>> used_by_;
  std::map<std::string, bool> hosted_;  // uid -> reachable, as the AutoScaler knows it
};

}  // namespace ebb::control
