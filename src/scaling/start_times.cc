#include "scaling/start_times.h"

#include <algorithm>

namespace ebb::scaling {

void PendingStarts::wished(TimePoint at, int before, int after) {
  if (after > before) wishes_.push_back({.at = at, .pods = after - before});
  for (int less = before - after; less > 0 && !wishes_.empty();) {
    const int taken = std::min(less, wishes_.back().pods);
    less -= taken;
    wishes_.back().pods -= taken;
    if (wishes_.back().pods == 0) wishes_.pop_back();
  }
}

std::optional<Duration> PendingStarts::ended(TimePoint at) {
  if (wishes_.empty()) return std::nullopt;
  Wish& oldest = wishes_.front();
  const Duration took = std::max(Duration(1), at - oldest.at);
  if (--oldest.pods == 0) wishes_.erase(wishes_.begin());
  return took;
}

Duration smoothed_start(Duration mean, Duration took) {
  constexpr double kNewest = 0.3;
  if (mean == Duration(0)) return took;
  return std::chrono::duration_cast<Duration>(mean * (1 - kNewest) + took * kNewest);
}

}  // namespace ebb::scaling
