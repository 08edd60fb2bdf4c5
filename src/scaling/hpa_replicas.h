// What one metric of a HorizontalPodAutoscaler proposes, before any limit. Pure
// functions; see scaling/hpa.h for types and units.
//
//   auto replicas = replicas_for(spec, spec.metrics[0], input, input.readings[0]);
#pragma once

#include <string>

#include "scaling/hpa.h"

namespace ebb::scaling {

struct HpaProposal {
  int replicas = 0;
  std::string text;  // "cpu 50 % / 30 % -> 5"
};

// kUnavailable if the metric says nothing: no samples of ready pods, no requests.
[[nodiscard]] Result<HpaProposal> replicas_for(const HpaSpec& spec, const HpaMetricSpec& metric,
                                               const HpaInput& input, const HpaReading& reading);

}  // namespace ebb::scaling
