// From a policy's decision to the number of pods, by the rules of production's
// AutoScaler (control/autoscaler.cc): bounds, the last pod's time, what is busy this
// moment, who waits. Pure.
#pragma once

#include <algorithm>

#include "scaling/policy.h"
#include "scaling/scale_to_zero.h"

namespace ebb::sim {

struct AmountInput {
  int want = 0;         // so far
  int needed_pods = 0;  // that the requests in the system would just fill; 0: no limit per pod
  int waiting = 0;
  scaling::Bounds bounds;
  scaling::Idleness idle;
};

[[nodiscard]] inline int next_amount(const scaling::Decision& decision, const AmountInput& in,
                                     TimePoint now) {
  int want = in.want;
  if (decision.valid) want = scaling::amount(decision, in.bounds, true);
  if (want == 0 && in.want > 0 && !scaling::may_go_to_zero(want, in.idle, now)) want = 1;
  want = std::max(want, std::min(in.want, in.needed_pods));
  want = std::max(want, in.bounds.min);
  if (want == 0 && in.waiting > 0) want = 1;
  return want;
}

}  // namespace ebb::sim
