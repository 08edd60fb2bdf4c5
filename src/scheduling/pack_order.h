// Which node gives the next pod: occupied nodes first and the fullest of them, then by
// name. So idle nodes stay idle and can be given back. Knows the nodes that have a cold
// pod of one runtime and take work. Pure, not thread-safe; calls cost O(log n).
//
//   PackOrder<std::string> order;
//   order.put({.busy = 3, .slots = 16, .name = "node-1"});
//   const std::string& next = order.front();
//   order.take_out({.busy = 3, .slots = 16, .name = "node-1"});  // before its numbers change
#pragma once

#include <compare>
#include <cstddef>
#include <set>
#include <utility>

namespace ebb::scheduling {

template <class Name>
class PackOrder final {
 public:
  struct Node {
    int busy = 0;  // pods that are not cold
    int slots = 0;
    Name name{};
  };

  void put(const Node& node) { ranks_.insert(rank(node)); }
  void take_out(const Node& node) { ranks_.erase(rank(node)); }
  // The same node with other numbers; cheaper than out and in. `from` must be there.
  void move(const Node& from, const Node& to) {
    auto held = ranks_.extract(rank(from));
    held.value() = rank(to);
    ranks_.insert(std::move(held));
  }
  [[nodiscard]] bool empty() const { return ranks_.empty(); }
  [[nodiscard]] size_t size() const { return ranks_.size(); }
  // Of the node whose turn it is; there must be one.
  [[nodiscard]] const Name& front() const { return ranks_.begin()->name; }

  template <class Use>
  void for_each(const Use& use) const {
    for (const Rank& rank : ranks_) use(rank.name);
  }

 private:
  struct Rank {
    bool idle = true;
    int free = 0;  // slots without a busy pod
    Name name{};
    friend auto operator<=>(const Rank&, const Rank&) = default;
  };
  [[nodiscard]] static Rank rank(const Node& node) {
    return {node.busy == 0, node.slots - node.busy, node.name};
  }

  std::set<Rank> ranks_;
};

}  // namespace ebb::scheduling
