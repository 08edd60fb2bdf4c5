// From a revision's annotations to its policy. plan_scaling and check_scaling are pure.
//
//   std::vector<api::FieldError> errors;
//   plan_scaling(annotations, pod, plan, errors);
//   plan.policy = share.get(annotations, pod, plan.policy, &policies);
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "api/object.h"
#include "control/policy_folder.h"
#include "control/scale_plan.h"

namespace ebb::control {

// What a HorizontalPodAutoscaler wants of the revisions that it scales.
struct HpaWish {
  scaling::HpaSpec spec;
  std::map<std::string, std::string> outside;  // its own metrics: declarations by name
};

// An outside metric that a plan needs, before it is asked for.
struct OutsideNeed {
  std::string name;
  std::string declaration;
};

using Annotations = std::map<std::string, std::string>;

// The annotations that scale a revision: its own ones, and those with the operator's defaults.
struct ScaleAnnotations {
  ScaleAnnotations(Annotations annotations) : own(annotations), all(std::move(annotations)) {}
  ScaleAnnotations(Annotations own, const Annotations& defaults);
  friend bool operator==(const ScaleAnnotations&, const ScaleAnnotations&) = default;

  Annotations own;
  // A default does not hold where it would contradict what the revision says, or is for
  // another class than the revision has; one for kpa alone chooses no class.
  Annotations all;
};

// Sets all of the plan but its pod. `hpa` decides in place of the class that the
// annotations name; of its minimum, which is 1 at least in Kubernetes, 1 does not keep the
// last pod. What the policy needs from outside is added to `needs`. A class that nobody here knows
// is scaled as kpa. Of class ebb.dev/lua the file is still missing: PolicyShare puts it in.
void plan_scaling(const ScaleAnnotations& annotations, const scheduling::PodTemplate& pod,
                  ScalePlan& plan, std::vector<api::FieldError>& errors,
                  const HpaWish* hpa = nullptr, std::vector<OutsideNeed>* needs = nullptr);

// Whether declarations of outside metrics, by name, can be read.
void check_outside(const std::map<std::string, std::string>& declared, const std::string& path,
                   std::vector<api::FieldError>& errors);

// What api/, which validates annotations, cannot tell: whether the schedule and the
// declarations of outside metrics can be read.
void check_scaling(const std::map<std::string, std::string>& annotations, const std::string& path,
                   std::vector<api::FieldError>& errors);

// The policies of all revisions, so that those that are scaled alike share one.
// Control executor only.
class PolicyShare final {
 public:
  // The one that others with these annotations and this pod's limits have, else `made`;
  // with its Lua file, if it names one. `policies` may be null.
  [[nodiscard]] std::shared_ptr<const scaling::PolicySpec> get(
      const ScaleAnnotations& annotations, const scheduling::PodTemplate& pod,
      std::shared_ptr<const scaling::PolicySpec> made, PolicyFolder* policies);

 private:
  // By what they were made from. Those that no revision has any more are swept when the
  // number has doubled.
  std::unordered_map<std::string, std::weak_ptr<const scaling::PolicySpec>> known_;
  size_t sweep_at_ = 64;
};

}  // namespace ebb::control
