#include "serving/routing_table.h"

#include <algorithm>
#include <functional>
#include <map>

namespace ebb::serving {

const Backend* Route::tagged(std::string_view tag) const {
  const auto found = std::lower_bound(
      tags.begin(), tags.end(), tag,
      [](const auto& entry, std::string_view wanted) { return entry.first < wanted; });
  return found == tags.end() || found->first != tag ? nullptr : &found->second;
}

const Backend& Route::choose() const {
  if (targets.size() == 1) return targets.front().backend;
  int ticket = splitter->draw();
  for (const auto& target : targets) {
    ticket -= target.percent;
    if (ticket < 0) return target.backend;
  }
  return targets.back().backend;
}

size_t RoutingTable::shard_of(std::string_view host) {
  return std::hash<std::string_view>{}(host) % kShards;
}

RoutingTable::RoutePtr RoutingTable::find(std::string_view host) const {
  const auto& shard = shards_[shard_of(host)];
  if (!shard) return nullptr;
  const auto found = std::lower_bound(
      shard->begin(), shard->end(), host,
      [](const auto& entry, std::string_view wanted) { return entry->host < wanted; });
  return found == shard->end() || (*found)->host != host ? nullptr : (*found)->route;
}

void RoutingTable::change(Shard& shard, const Change& change) {
  const auto& [host, route] = change;
  const auto at = std::lower_bound(
      shard.begin(), shard.end(), host,
      [](const auto& entry, const std::string& wanted) { return entry->host < wanted; });
  const bool there = at != shard.end() && (*at)->host == host;
  if (!route) {
    if (there) shard.erase(at);
    return;
  }
  auto entry = std::make_shared<const Entry>(Entry{host, route});
  if (there) {
    *at = std::move(entry);
  } else {
    shard.insert(at, std::move(entry));
  }
}

std::shared_ptr<const RoutingTable> RoutingTable::with(const std::vector<Change>& changes) const {
  auto next = std::make_shared<RoutingTable>(*this);
  std::map<size_t, std::shared_ptr<Shard>> fresh;
  for (const auto& each : changes) {
    const size_t index = shard_of(each.first);
    auto& shard = fresh[index];
    if (!shard) {
      shard = shards_[index] ? std::make_shared<Shard>(*shards_[index]) : std::make_shared<Shard>();
    }
    change(*shard, each);
  }
  for (auto& [index, shard] : fresh) next->shards_[index] = std::move(shard);
  return next;
}

void RoutingPublisher::apply(const std::vector<RoutingTable::Change>& changes) {
  const std::lock_guard lock(mutex_);
  table_ = table_->with(changes);
  version_.fetch_add(1, std::memory_order_release);
}

std::shared_ptr<const RoutingTable> RoutingPublisher::table() const {
  const std::lock_guard lock(mutex_);
  return table_;
}

}  // namespace ebb::serving
