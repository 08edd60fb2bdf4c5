// How one revision is scaled: its policy, its bounds, and what is fed and kept besides.
#pragma once

#include <memory>
#include <vector>

#include "base/clock.h"
#include "control/outside_metrics.h"
#include "scaling/policy_spec.h"
#include "scheduling/scale_target.h"

namespace ebb::control {

struct ScalePlan {
  std::shared_ptr<const scheduling::PodTemplate> pod;  // shared: with the Scheduler
  // Never null. Shared: by all revisions that are scaled alike.
  std::shared_ptr<const scaling::PolicySpec> policy = knative_defaults();
  scaling::Bounds bounds;
  int service_max = 0;     // of all revisions of its service together; 0: no limit
  int64_t generation = 0;  // of its configuration: the newest revision's is the highest
  int initial_scale = 1;   // pods that must start well before it is ready; 0: none
  Duration retention{};    // of the last pod, after the stable window
  std::vector<OutsideSource> outside{};  // what its policy is fed besides
  // Requests at a time that the policy wants in a pod that has no limit; where it aims at
  // another number, the default. At least 1.
  int pod_target = 100;

  [[nodiscard]] static const std::shared_ptr<const scaling::PolicySpec>& knative_defaults();
};

}  // namespace ebb::control
