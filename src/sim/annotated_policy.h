// Policies of production's classes for the simulator, from the settings that a revision's
// annotations have: read, checked and made by the code that reads a revision's
// (control/policy_plan.h), so that what is tried is what will run. Pure but for Lua files.
//
//   auto choice = annotated_choice(api::kKpaClass, {{"window", "30s"}}, 1);
//   if (!choice) return fail(choice.error());   // "autoscaling.knative.dev/window: ..."
#pragma once

#include <string_view>

#include "control/scale_plan.h"
#include "sim/policy_choice.h"

namespace ebb::sim {

// `settings`: annotations, of Knative and of Ebb, without what their names begin with
// ("window", "wait", "schedule") or whole. `concurrency`: requests in a pod at a time; 0: no
// limit. kInvalid names the annotation and what it must be.
[[nodiscard]] Result<PolicyChoice> annotated_choice(std::string_view policy_class,
                                                    const PolicySettings& settings,
                                                    int concurrency);

// A policy in Lua: `file` besides, the path of its text.
[[nodiscard]] Result<PolicyChoice> lua_choice(const PolicySettings& settings, int concurrency);

[[nodiscard]] PolicyChoice choice_of(const control::ScalePlan& plan);

}  // namespace ebb::sim
