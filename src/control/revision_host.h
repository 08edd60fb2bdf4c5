// Puts a revision into service: builds its request path (throttler), makes it known
// to Scheduler and AutoScaler, and takes it out again.
//
// Control executor only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/types.h"
#include "base/result.h"
#include "control/autoscaler.h"
#include "control/policy_folder.h"
#include "control/policy_plan.h"
#include "scheduling/scale_target.h"
#include "serving/routing_table.h"
#include "serving/traffic.h"

namespace ebb::control {

class RevisionHost final {
 public:
  // `policies`: where those of class ebb.dev/lua are; `outside`: who asks for metrics from
  // outside; nullptr: there are none. `preload`: of revisions that do not say.
  RevisionHost(serving::Traffic& traffic, scheduling::PodSource& pods, AutoScaler& autoscaler,
               const Clock& clock, Annotations defaults = {}, PolicyFolder* policies = nullptr,
               OutsideMetrics* outside = nullptr,
               scheduling::Preload preload = scheduling::Preload::kNever);

  // From now on the revision can be called and scaled. Its code must be on the nodes
  // (CodeCache). Idempotent: a revision is immutable. kInvalid if its spec cannot be
  // run (which validation has refused before).
  [[nodiscard]] Result<void> add(const api::Revision& revision);
  // It will be added when its code is there: pods for it may be made ready.
  void announce(const api::Revision& revision);
  // Refuses who waits, drains its pods, forgets it.
  void remove(const std::string& uid);

  // Other defaults, for the revisions that there are and those to come: plans are made
  // anew where they change.
  void set_defaults(Annotations defaults);

  // It has other annotations now. Those that are impossible are logged, and its plan stays.
  void set_annotations(const std::string& uid, const Annotations& annotations);

  // Scales it by that in place of its annotations; null: by those again. Nothing changes
  // if it is the wish that it has.
  void set_hpa(const std::string& uid, std::shared_ptr<const HpaWish> wish);
  // The revisions that have been added.
  void for_each(const std::function<void(const scheduling::PodTemplate& revision)>& look) const;
  [[nodiscard]] const scheduling::PodTemplate* find(const std::string& uid) const;

  // All revisions that there are have been added: pods of others are ended.
  void all_added() { pods_.end_unclaimed(); }

  // What the routing table needs to send requests to it; nullopt if it was not added.
  [[nodiscard]] std::optional<serving::Backend> backend(const std::string& uid) const;

 private:
  serving::Traffic& traffic_;
  scheduling::PodSource& pods_;
  AutoScaler& autoscaler_;
  const Clock& clock_;
  Annotations defaults_;
  PolicyFolder* policies_;
  OutsideMetrics* outside_;
  const scheduling::Preload preload_;
  PolicyShare shared_;
  struct Hosted {
    serving::Backend backend;
    Annotations own;                                     // what scales it
    std::shared_ptr<const scheduling::PodTemplate> pod;  // shared: with Scheduler, AutoScaler
    std::shared_ptr<const HpaWish> hpa;                  // shared: by all that it scales
  };
  void replan(const std::string& uid, const Hosted& hosted);
  [[nodiscard]] std::vector<OutsideSource> sources(const std::vector<OutsideNeed>& needs) const;

  std::map<std::string, Hosted> hosted_;  // by uid
};

// Pure: how a revision's spec becomes what runs it. `defaults`: autoscaling annotations
// for a revision that does not have them itself, as is `preload`.
[[nodiscard]] Result<ScalePlan> plan_for(const api::Revision& revision,
                                         const Annotations& defaults = {},
                                         std::vector<OutsideNeed>* needs = nullptr,
                                         scheduling::Preload preload = scheduling::Preload::kNever);

}  // namespace ebb::control
