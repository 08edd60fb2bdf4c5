// How long pods take from the wish for them until they are ready, as policies are told it
// (Situation::start_time). Not thread-safe.
//
//   PendingStarts pending;                    // of one revision
//   pending.wished(now, 0, 2);
//   if (auto took = pending.ended(later)) mean = smoothed_start(mean, *took);
#pragma once

#include <optional>
#include <vector>

#include "base/clock.h"

namespace ebb::scaling {

// The pods that were wished for and are not ready yet.
class PendingStarts final {
 public:
  // So many pods were wanted, and now it is so many. What is taken back is the newest.
  void wished(TimePoint at, int before, int after);
  // One has ended its start: since when it was wished for. nullopt: nobody wished for it, it
  // takes the place of another.
  [[nodiscard]] std::optional<Duration> ended(TimePoint at);
  void clear() { wishes_.clear(); }  // none is on the way

 private:
  struct Wish {
    TimePoint at;
    int pods = 0;
  };
  std::vector<Wish> wishes_;  // oldest first
};

// `mean` (0: none yet) with one more start in it, of which the newest count most.
[[nodiscard]] Duration smoothed_start(Duration mean, Duration took);

}  // namespace ebb::scaling
