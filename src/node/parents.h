// The pods of a node that have loaded a revision's code once and fork the revision's other
// pods: a second tier of zygotes, each in the isolation of a pod since it has run the
// function's code. Pure: it knows who they are, which of them may be asked, and until when;
// its owner starts and ends them.
//
// One loads, then serves, then is retired: it forks no more, and ends with the last pod that
// it has forked. After kLife another is started, and retires it once it has loaded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "node/messages.h"

namespace ebb::node {

class Parents {
 public:
  static constexpr size_t kMost = 8;  // that load or serve: each holds a function's code in memory
  static constexpr Duration kIdle = std::chrono::minutes(5);  // with no fork for so long, it goes
  // What code read as it was loaded, from the network perhaps, is not much older in new pods.
  // One whose successors come to nothing goes after twice that.
  static constexpr Duration kLife = std::chrono::minutes(15);
  static constexpr Duration kLook = std::chrono::minutes(1);  // how often to call look()

  enum class State : uint8_t { kLoading, kServing, kRetired };
  struct Parent {
    Assign order;  // what it has loaded, as itself
    State state = State::kLoading;
    TimePoint since{};
    TimePoint used{};
  };

  [[nodiscard]] bool empty() const { return parents_.empty(); }
  [[nodiscard]] bool contains(const std::string& pod) const { return parents_.contains(pod); }
  // Null if `pod` is none.
  [[nodiscard]] const Parent* find(const std::string& pod) const;
  // Whether one of the revision's loads or serves.
  [[nodiscard]] bool any_of(const std::string& revision) const;
  // Those that load or serve it.
  [[nodiscard]] std::vector<std::string> of(const std::string& revision) const;
  // The pod to be asked for a fork.
  [[nodiscard]] std::optional<std::string> serving(const std::string& revision) const;

  // Whether there is room for one more of the revision, if need be after the one used longest
  // ago has retired: not if that was within kLook. A successor takes the place of another, if
  // but one is beyond kMost until then.
  struct Room {
    bool is_there = false;
    std::optional<std::string> retires;
  };
  [[nodiscard]] Room room(const std::string& revision, TimePoint now) const;

  void add(const std::string& pod, const Assign& order, TimePoint now);
  void used(const std::string& pod, TimePoint now);
  // It serves. Those that it succeeds, to be retired.
  [[nodiscard]] std::vector<std::string> loaded(const std::string& pod);
  // The state that it was in, if it was not retired before.
  std::optional<State> retire(const std::string& pod);
  void erase(const std::string& pod) { parents_.erase(pod); }

  // Whose time is over, and who needs a successor. One whose forks live is in use.
  struct Due {
    std::vector<std::string> retire;
    std::vector<std::string> succeed;
  };
  [[nodiscard]] Due look(TimePoint now,
                         const std::function<bool(const std::string& pod)>& has_children);

 private:
  std::map<std::string, Parent> parents_;  // by pod
};

}  // namespace ebb::node
