// When the last pod of a revision may go.
//
// Knative waits up to 30 s more (the scale-to-zero grace period) until its
// activator has come into the path, and probes that it has. Ebb's activator is
// always in the path, so a request that arrives late is held, never lost, and no
// such wait is needed: the stable window must be empty and the user's retention
// must have passed.
#pragma once

#include "base/clock.h"

namespace ebb::scaling {

struct Idleness {
  TimePoint last_active;  // when a request was last in the system, held ones included
  Duration stable_window{};
  Duration retention{};   // "scale-to-zero-pod-retention-period", counted after the window
  bool reachable = true;  // without a route, nobody waits for the retained pod
};

// The first moment at which an amount of 0 may be acted on; until then the last pod
// stays. Arm a timer with it: nothing has to be asked again before.
[[nodiscard]] constexpr TimePoint zero_allowed_at(const Idleness& idle) {
  return idle.last_active + idle.stable_window + (idle.reachable ? idle.retention : Duration(0));
}

[[nodiscard]] constexpr bool may_go_to_zero(int desired, const Idleness& idle, TimePoint now) {
  return desired == 0 && now >= zero_allowed_at(idle);
}

}  // namespace ebb::scaling
