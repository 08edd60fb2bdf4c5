#include "control/route_publisher.h"

#include <algorithm>

namespace ebb::control {

using serving::RoutingTable;

RoutePublisher::RoutePublisher(net::Executor& executor, const RevisionHost& host,
                               AutoScaler& autoscaler, serving::RoutingPublisher& publisher,
                               std::string domain)
    : executor_(executor),
      host_(host),
      autoscaler_(autoscaler),
      publisher_(publisher),
      domain_(std::move(domain)) {
  timer_.fire = [this] {
    if (dirty_) publish();
  };
}

void RoutePublisher::set(const resources::ObjectKey& route, Assignment assignment) {
  const auto found = assignments_.find(route);
  if (found != assignments_.end() && found->second == assignment) return;
  assignments_.insert_or_assign(route, std::move(assignment));
  changed();
}

void RoutePublisher::remove(const resources::ObjectKey& route) {
  if (assignments_.erase(route) != 0) changed();
}

void RoutePublisher::revision_hosted(const std::string& uid, bool there) {
  if (there) {
    hosted_.emplace(uid, true);  // what the AutoScaler takes it for
  } else {
    hosted_.erase(uid);
  }
  changed();
}

void RoutePublisher::changed() {
  dirty_ = true;
  if (!timer_.armed()) executor_.arm(timer_, std::max(executor_.now(), not_before_));
}

net::Task<void> RoutePublisher::published() {
  while (dirty_) {
    if (executor_.now() >= not_before_) {
      publish();
      co_return;
    }
    auto nap = executor_.sleep_until(not_before_);
    co_await nap;
  }
}

void RoutePublisher::publish() {
  const TimePoint start = executor_.now();
  dirty_ = false;
  timer_.disarm();
  RoutingTable::Routes routes;
  for (const auto& [key, assignment] : assignments_) add_hosts(key, assignment, routes);
  publisher_.publish(std::move(routes));
  set_reachable();
  const TimePoint end = executor_.now();
  not_before_ = end + (end - start) * (kShare - 1);
}

void RoutePublisher::add_hosts(const resources::ObjectKey& key, const Assignment& assignment,
                               RoutingTable::Routes& routes) const {
  const serving::Route empty{
      .ns = key.ns,
      .name = key.name,
      .targets = {},
      .not_ready = assignment.not_ready.empty() ? "it is being deployed" : assignment.not_ready};
  serving::Route main = empty;
  int missing = 0;
  for (const auto& part : assignment.parts) {
    auto backend = hosted_.contains(part.revision) ? host_.backend(part.revision) : std::nullopt;
    if (!part.tag.empty()) {
      serving::Route& tagged = routes.insert_or_assign(host_of(key, part.tag), empty).first->second;
      if (backend) tagged.targets.push_back({.percent = 100, .backend = *backend});
    }
    if (backend && part.percent > 0) {
      main.targets.push_back({.percent = part.percent, .backend = std::move(*backend)});
    } else {
      missing += part.percent;
    }
  }
  // A revision that is not in service yet (after a restart) leaves its share to the
  // largest one.
  if (!main.targets.empty()) {
    std::max_element(main.targets.begin(), main.targets.end(), [](const auto& a, const auto& b) {
      return a.percent < b.percent;
    })->percent += missing;
  }
  routes.insert_or_assign(host_of(key, ""), std::move(main));
}

void RoutePublisher::set_reachable() {
  std::set<std::string> routed;
  for (const auto& [key, assignment] : assignments_) {
    for (const auto& part : assignment.parts) routed.insert(part.revision);
  }
  for (auto& [uid, reachable] : hosted_) {
    const bool now = routed.contains(uid);
    if (now == reachable) continue;
    reachable = now;
    autoscaler_.set_reachable(uid, now);
  }
}

std::string RoutePublisher::host_of(const resources::ObjectKey& route,
                                    const std::string& tag) const {
  return fmt::format("{}{}{}.{}.{}", tag, tag.empty() ? "" : "-", route.name, route.ns, domain_);
}

}  // namespace ebb::control
