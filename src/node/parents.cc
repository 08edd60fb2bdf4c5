#include "node/parents.h"

#include <algorithm>
#include <utility>

namespace ebb::node {

const Parents::Parent* Parents::find(const std::string& pod) const {
  const auto found = parents_.find(pod);
  return found == parents_.end() ? nullptr : &found->second;
}

std::vector<std::string> Parents::of(const std::string& revision) const {
  std::vector<std::string> out;
  for (const auto& [pod, parent] : parents_) {
    if (parent.state != State::kRetired && parent.order.revision == revision) out.push_back(pod);
  }
  return out;
}

bool Parents::any_of(const std::string& revision) const { return !of(revision).empty(); }

std::optional<std::string> Parents::serving(const std::string& revision) const {
  for (const auto& [pod, parent] : parents_) {
    if (parent.state == State::kServing && parent.order.revision == revision) return pod;
  }
  return std::nullopt;
}

Parents::Room Parents::room(const std::string& revision, TimePoint now) const {
  size_t in_use = 0;
  const std::string* oldest = nullptr;
  TimePoint oldest_used = TimePoint::max();
  for (const auto& [pod, parent] : parents_) {
    if (parent.state == State::kRetired) continue;
    ++in_use;
    if (parent.used >= oldest_used) continue;
    oldest = &pod;
    oldest_used = parent.used;
  }
  if (any_of(revision)) return {.is_there = in_use <= kMost, .retires = std::nullopt};
  if (in_use < kMost) return {.is_there = true, .retires = std::nullopt};
  if (now - oldest_used < kLook) return {};
  return {.is_there = true, .retires = *oldest};
}

void Parents::add(const std::string& pod, const Assign& order, TimePoint now) {
  Parent& parent = parents_[pod];
  parent = {.order = order, .state = State::kLoading, .since = now, .used = now};
  parent.order.pod = pod;
}

void Parents::used(const std::string& pod, TimePoint now) {
  if (const auto found = parents_.find(pod); found != parents_.end()) found->second.used = now;
}

std::vector<std::string> Parents::loaded(const std::string& pod) {
  const auto found = parents_.find(pod);
  if (found == parents_.end() || found->second.state != State::kLoading) return {};
  auto earlier = of(found->second.order.revision);
  std::erase(earlier, pod);
  found->second.state = State::kServing;
  return earlier;
}

std::optional<Parents::State> Parents::retire(const std::string& pod) {
  const auto found = parents_.find(pod);
  if (found == parents_.end() || found->second.state == State::kRetired) return std::nullopt;
  return std::exchange(found->second.state, State::kRetired);
}

Parents::Due Parents::look(TimePoint now,
                           const std::function<bool(const std::string& pod)>& has_children) {
  Due due;
  for (auto& [pod, parent] : parents_) {
    if (parent.state == State::kRetired) continue;
    if (has_children(pod)) parent.used = now;
    const Duration age = now - parent.since;
    if (now - parent.used >= kIdle || age >= 2 * kLife) {
      due.retire.push_back(pod);
    } else if (age >= kLife && of(parent.order.revision).size() == 1) {
      due.succeed.push_back(pod);
    }
  }
  return due;
}

}  // namespace ebb::node
