#include "control/route_publisher.h"

#include <algorithm>

namespace ebb::control {

using resources::ObjectKey;
using serving::RoutingTable;

RoutePublisher::RoutePublisher(const RevisionHost& host, AutoScaler& autoscaler,
                               serving::RoutingPublisher& publisher, std::string domain)
    : host_(host), autoscaler_(autoscaler), publisher_(publisher), domain_(std::move(domain)) {}

void RoutePublisher::set(const ObjectKey& route, Assignment assignment) {
  auto [found, is_new] = routes_.try_emplace(route);
  Published& published = found->second;
  if (is_new) {
    published.splitter = std::make_shared<serving::Splitter>();
  } else if (published.assignment == assignment) {
    return;
  }
  use_revisions(route, assignment, +1);  // first, so that none is unreachable in between
  use_revisions(route, published.assignment, -1);
  published.assignment = std::move(assignment);
  refresh(route);
}

void RoutePublisher::remove(const ObjectKey& route) {
  const auto found = routes_.find(route);
  if (found == routes_.end()) return;
  std::vector<RoutingTable::Change> changes;
  for (const auto& host : found->second.hosts) {
    auto& claims = claims_[host];
    std::erase_if(claims, [&](const auto& claim) { return claim.first.route == route; });
    changes.emplace_back(host, claims.empty() ? nullptr : claims.begin()->second);
    if (claims.empty()) claims_.erase(host);
  }
  publisher_.apply(changes);
  use_revisions(route, found->second.assignment, -1);
  routes_.erase(found);
}

void RoutePublisher::revision_hosted(const std::string& uid, bool there) {
  if (there) {
    hosted_.emplace(uid, true);  // what the AutoScaler takes it for
  } else {
    hosted_.erase(uid);
  }
  update_reachable(uid);
  const auto users = used_by_.find(uid);
  if (users == used_by_.end()) return;
  for (const auto& [route, parts] : users->second) refresh(route);
}

void RoutePublisher::refresh(const ObjectKey& key) {
  Published& published = routes_.at(key);
  auto fresh = hosts_for(key, published);
  const std::string main_host = host_of(key, "");
  std::set<std::string> touched = std::move(published.hosts);
  published.hosts.clear();
  for (const auto& host : touched) {
    std::erase_if(claims_[host], [&](const auto& claim) { return claim.first.route == key; });
  }
  for (auto& [host, route] : fresh) {
    claims_[host][{.is_tag = host != main_host, .route = key}] = std::move(route);
    published.hosts.insert(host);
    touched.insert(host);
  }
  std::vector<RoutingTable::Change> changes;
  for (const auto& host : touched) {
    const auto claims = claims_.find(host);
    const bool wanted = !claims->second.empty();
    changes.emplace_back(host, wanted ? claims->second.begin()->second : nullptr);
    if (!wanted) claims_.erase(claims);
  }
  publisher_.apply(changes);
}

std::map<std::string, RoutePublisher::RoutePtr> RoutePublisher::hosts_for(
    const ObjectKey& key, const Published& published) const {
  const Assignment& assignment = published.assignment;
  const serving::Route empty{
      .ns = key.ns,
      .name = key.name,
      .targets = {},
      .not_ready = assignment.not_ready.empty() ? "it is being deployed" : assignment.not_ready,
      .only_inside = assignment.only_inside,
      .tags = {},
      .splitter = published.splitter};
  std::map<std::string, RoutePtr> out;
  serving::Route main = empty;
  int missing = 0;
  for (const auto& part : assignment.parts) {
    auto backend = hosted_.contains(part.revision) ? host_.backend(part.revision) : std::nullopt;
    if (!part.tag.empty()) {
      serving::Route tagged = empty;
      if (backend) {
        tagged.targets.push_back({.percent = 100, .backend = *backend});
        main.tags.emplace_back(part.tag, *backend);
      }
      out[host_of(key, part.tag)] = std::make_shared<const serving::Route>(std::move(tagged));
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
  std::sort(main.tags.begin(), main.tags.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  out[host_of(key, "")] = std::make_shared<const serving::Route>(std::move(main));
  return out;
}

void RoutePublisher::use_revisions(const ObjectKey& key, const Assignment& assignment, int change) {
  for (const auto& part : assignment.parts) {
    auto& users = used_by_[part.revision];
    int& uses = users[key];
    uses += change;
    if (uses == 0) users.erase(key);
    if (users.empty()) used_by_.erase(part.revision);
    update_reachable(part.revision);
  }
}

void RoutePublisher::update_reachable(const std::string& uid) {
  const auto found = hosted_.find(uid);
  const bool now = used_by_.contains(uid);
  if (found == hosted_.end() || found->second == now) return;
  found->second = now;
  autoscaler_.set_reachable(uid, now);
}

std::string RoutePublisher::host_of(const ObjectKey& route, const std::string& tag) const {
  return fmt::format("{}{}{}.{}.{}", tag, tag.empty() ? "" : "-", route.name, route.ns, domain_);
}

}  // namespace ebb::control
