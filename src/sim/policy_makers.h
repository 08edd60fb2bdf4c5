// The makers of the policies of a PolicyTable that are more than Knative's rule and
// keep-alive. Internal to sim/policy_*.cc.
#pragma once

#include "sim/policy_choice.h"

namespace ebb::sim {

// window, wait, share, target, min-scale, max-scale.
[[nodiscard]] Result<PolicyChoice> make_adaptive_choice(const PolicySettings& settings);
// metric, target, window, min-scale, max-scale.
[[nodiscard]] Result<PolicyChoice> make_average_choice(const PolicySettings& settings);
// metric (concurrency or rps: no CPU is simulated), target, zero-after, min-scale, max-scale.
[[nodiscard]] Result<PolicyChoice> make_hpa_choice(const PolicySettings& settings);
// file; window: how long the last pod stays; min-scale, max-scale.
[[nodiscard]] Result<PolicyChoice> make_lua_choice(const PolicySettings& settings);

}  // namespace ebb::sim
