// From a revision's annotations to its policy. plan_scaling and check_policy are pure.
//
//   std::vector<api::FieldError> errors;
//   plan_scaling(annotations, pod, plan, errors);
//   plan.policy = share.get(annotations, pod, plan.policy, &policies);
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "api/object.h"
#include "control/autoscaler.h"
#include "control/policy_folder.h"
#include "scaling/policy_spec.h"
#include "scheduling/scale_target.h"

namespace ebb::control {

// Sets all of the plan but its pod. A class that nobody here knows is scaled as kpa. Of
// class ebb.dev/lua the file is still missing: PolicyShare puts it in.
void plan_scaling(const std::map<std::string, std::string>& annotations,
                  const scheduling::PodTemplate& pod, ScalePlan& plan,
                  std::vector<api::FieldError>& errors);

// What only the scaling model can tell of annotations that api/ has validated: whether
// the schedule can be read.
void check_schedule(const std::map<std::string, std::string>& annotations, const std::string& path,
                    std::vector<api::FieldError>& errors);

// The policies of all revisions, so that those that are scaled alike share one.
// Control executor only.
class PolicyShare final {
 public:
  // The one that others with these annotations and this pod's limits have, else `made`;
  // with its Lua file, if it names one. `policies` may be null.
  [[nodiscard]] std::shared_ptr<const scaling::PolicySpec> get(
      const std::map<std::string, std::string>& annotations, const scheduling::PodTemplate& pod,
      std::shared_ptr<const scaling::PolicySpec> made, PolicyFolder* policies);

 private:
  // By what they were made from. Those that no revision has any more are swept when the
  // number has doubled.
  std::unordered_map<std::string, std::weak_ptr<const scaling::PolicySpec>> known_;
  size_t sweep_at_ = 64;
};

}  // namespace ebb::control
