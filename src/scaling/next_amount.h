// From a policy's decision to the number of pods that a revision is to have: bounds, the
// last pod's time, what is busy this moment, who waits. The same rules for production's
// AutoScaler, which adds its namespace and failed starts, and the simulator. Pure;
// thread-safe.
//
//   AmountInput in{.want = 3, .bounds = bounds, .idle = idle, .needed_pods = 2};
//   const NextAmount next = next_amount(decision, in, now);
//   log(amount_reason(decision, next));   // "stable 0.7 / target 0.7 -> 1, what is busy ..."
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "scaling/policy.h"
#include "scaling/scale_to_zero.h"

namespace ebb::scaling {

struct AmountInput {
  int want = 0;  // so far; stays if the decision is not valid
  Bounds bounds = {};
  bool reachable = true;
  Idleness idle = {};
  bool loaded = false;  // a pod is to be there ahead of a request
  int needed_pods = 0;  // that the requests in the system would just fill; 0: no limit per pod
  int floor = 0;        // stays whatever was decided: a minimum, a proof that a pod starts
  int waiting = 0;      // requests without a slot
};

// What changed the policy's wish, in the order in which it is applied.
enum class AmountRule : uint32_t {
  kMinimum = 1,    // raised to the bounds' minimum
  kMaximum = 2,    // held at their maximum
  kLastStays = 4,  // until nobody has called for a while
  kLoaded = 8,     // ahead of a request
  kBusy = 16,      // what is busy is not taken away
  kNoRoute = 32,   // nothing can be asked of it
  kFloor = 64,     // see AmountInput::floor
  kSomebodyWaits = 128,
};

struct NextAmount {
  int pods = 0;
  int bounded = 0;  // after the first two rules
  uint32_t rules = 0;

  [[nodiscard]] bool by(AmountRule rule) const {
    return (rules & static_cast<uint32_t>(rule)) != 0;
  }
};

[[nodiscard]] NextAmount next_amount(const Decision& decision, const AmountInput& in,
                                     TimePoint now);

struct AmountWords {
  std::string_view maximum = "the maximum";  // whose it is
  std::string_view floor = "kept at the minimum";
};
// One line for a person: the policy's reason, and what the rules made of it.
[[nodiscard]] std::string amount_reason(const Decision& decision, const NextAmount& next,
                                        const AmountWords& words = {});

}  // namespace ebb::scaling
