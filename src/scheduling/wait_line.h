// Who gets the next cold pod while there are too few: one at a time, to the revision whose
// oldest request has waited longest. Revisions for which nobody waits (a policy wants pods
// ahead of need) come after those, in turn: one that wants a hundred does not hold up one
// that wants its first.
//
// One pod at a time matters: a revision that were given all it wants at once would keep
// what it does not need for a window, while others wait with a request each.
//
// Pure. Not thread-safe. Every call takes a time logarithmic in the length of the line.
//
//   WaitLine<std::string> line;
//   line.set("f", oldest_arrival);      // again whenever that changes
//   while (auto next = line.next()) {
//     if (!give_pod(*next)) break;
//     line.turn_taken(*next);
//     if (!wants_more(*next)) line.remove(*next); else line.set(*next, oldest_of(*next));
//   }
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_map>

#include "base/clock.h"

namespace ebb::scheduling {

template <class Id>
class WaitLine final {
 public:
  // Joins, or keeps its turn with another oldest request. nullopt: nobody waits for it.
  void set(const Id& id, std::optional<TimePoint> oldest) {
    const TimePoint since = oldest.value_or(TimePoint::max());
    const auto [at, fresh] = places_.try_emplace(id, Place{since, joined_});
    if (fresh) {
      ++joined_;
    } else if (at->second.since == since) {
      return;
    } else {
      order_.erase({at->second.since, at->second.joined, id});
      at->second.since = since;
    }
    order_.emplace(since, at->second.joined, id);
  }

  // It got a pod: if nobody waits for it, the others of its kind come first now.
  void turn_taken(const Id& id) {
    const auto found = places_.find(id);
    if (found == places_.end() || found->second.since != TimePoint::max()) return;
    order_.erase({found->second.since, found->second.joined, id});
    found->second.joined = joined_++;
    order_.emplace(found->second.since, found->second.joined, id);
  }

  void remove(const Id& id) {
    const auto found = places_.find(id);
    if (found == places_.end()) return;
    order_.erase({found->second.since, found->second.joined, id});
    places_.erase(found);
  }

  // Whose turn it is; stays in the line.
  [[nodiscard]] std::optional<Id> next() const {
    if (order_.empty()) return std::nullopt;
    return std::get<2>(*order_.begin());
  }
  [[nodiscard]] bool contains(const Id& id) const { return places_.contains(id); }
  [[nodiscard]] size_t size() const { return places_.size(); }

 private:
  struct Place {
    TimePoint since;
    uint64_t joined = 0;
  };
  std::unordered_map<Id, Place> places_;
  std::set<std::tuple<TimePoint, uint64_t, Id>> order_;
  uint64_t joined_ = 0;
};

}  // namespace ebb::scheduling
