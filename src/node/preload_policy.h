// Which revisions are worth a pod that has loaded their code once and forks their other pods
// from there: those that ask for it, and those that load slowly and start often. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "base/clock.h"
#include "node/messages.h"

namespace ebb::node {

class PreloadPolicy {
 public:
  // A start by a fork takes about 5 ms: ten times as long is slow.
  static constexpr auto kSlow = std::chrono::milliseconds(50);
  static constexpr uint32_t kOften = 3;  // slow loads ...
  static constexpr auto kWhile = std::chrono::minutes(10);
  static constexpr size_t kMostRevisions = 1000;  // remembered, those seen last

  // A pod has loaded the code of `order` itself, in `took`. True: such a pod is worth it.
  [[nodiscard]] bool loaded(const Assign& order, Duration took, TimePoint now);
  // Its code cannot be forked: never again, as far as remembered.
  void refuse(const std::string& revision, TimePoint now);
  // Something was in the way: not for a while.
  void pause(const std::string& revision, TimePoint now);
  // By one of the two.
  [[nodiscard]] bool barred(const std::string& revision, TimePoint now) const;

 private:
  struct Seen {
    TimePoint since{};  // the first of `slow`
    TimePoint last{};
    uint32_t slow = 0;
    TimePoint not_before{};
  };
  Seen& see(const std::string& revision, TimePoint now);

  std::map<std::string, Seen> seen_;
};

}  // namespace ebb::node
