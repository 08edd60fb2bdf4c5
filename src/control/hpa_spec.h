// From a HorizontalPodAutoscaler as an object to its algorithm, and back to its status.
// Pure.
//
//   auto spec = to_hpa_spec(hpa);                      // of a validated object
//   scaling::HpaPolicy policy({.spec = *spec, ...}, now);
#pragma once

#include <vector>

#include "api/hpa.h"
#include "base/clock.h"
#include "base/result.h"
#include "scaling/hpa.h"
#include "scheduling/scale_target.h"

namespace ebb::control {

// kInvalid for what the algorithm refuses (scaling::validate), which validation of the
// object finds first. Of `behavior` a direction that is given has Kubernetes' values for
// what it leaves out; its policies count as a whole.
[[nodiscard]] Result<scaling::HpaSpec> to_hpa_spec(const api::HorizontalPodAutoscaler& hpa);

// What api/, which validates the object, cannot tell: whether its declarations of outside
// metrics (annotations ebb.dev/metric-NAME) can be read.
void check_hpa(const api::HorizontalPodAutoscaler& hpa, std::vector<api::FieldError>& errors);

// True if it scales that revision: the one it names, or one of the Service or
// Configuration that it names, in its namespace.
[[nodiscard]] bool scales(const api::HorizontalPodAutoscaler& hpa,
                          const scheduling::PodTemplate& revision);

// The object's status with what was decided over `input`: what each metric read, and the
// three conditions, whose times move only when they change.
[[nodiscard]] api::HorizontalPodAutoscaler::Status to_status(
    const api::HorizontalPodAutoscaler& hpa, const scaling::HpaInput& input,
    const scaling::HpaResult& decided, WallTime now);

}  // namespace ebb::control
