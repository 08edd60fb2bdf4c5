// How long one revision is idle between requests, and by that whether a pod should be
// loaded at a moment: the hybrid histogram of scaling/keep_alive.h, fed by samples.
//
// Not thread-safe: the AutoScaler's.
//
//   IdleTimes idle({});
//   idle.observe(now, in_system > 0, last_active);   // once a second
//   if (idle.loaded_at(now)) ...                     // one pod, at least
#pragma once

#include <optional>

#include "base/clock.h"
#include "scaling/keep_alive.h"

namespace ebb::control {

class IdleTimes final {
 public:
  explicit IdleTimes(const scaling::HybridSettings& settings) : histogram_(settings) {}

  // `active`: a request is in the system. `last_active`: when one was last.
  void observe(TimePoint now, bool active, TimePoint last_active) {
    if (last_active == TimePoint{}) return;  // nobody ever called
    // Also one that came and went between two samples.
    if (idle_since_ && (active || last_active > *idle_since_)) {
      histogram_.idle_ended((active ? now : last_active) - *idle_since_);
      idle_since_.reset();
    }
    if (active || idle_since_) return;
    idle_since_ = last_active;
    plan_ = histogram_.plan();
  }

  // False while it serves: others see to that.
  [[nodiscard]] bool loaded_at(TimePoint now) const {
    return idle_since_ && plan_.loaded_at(now - *idle_since_);
  }

 private:
  scaling::HybridHistogram histogram_;
  std::optional<TimePoint> idle_since_;
  scaling::IdlePlan plan_;
};

}  // namespace ebb::control
