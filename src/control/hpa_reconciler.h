// HorizontalPodAutoscaler -> how the revisions that it names are scaled; and what was
// decided for them, back into its status.
//
// While one exists, it takes the place of the annotations of every revision that it names
// (control/hpa_spec.h). A revision that two name is scaled by its annotations, and both say
// AmbiguousSelector. Of an object that scales several revisions, as one for a Service does,
// the status counts the pods of all and tells what was read of the largest.
//
// Control executor only.
//
//   HpaReconciler hpas({...}, [&](const ObjectKey& key) { queue.add(key); });
//   hpas.revision_hosted(uid, true);    // and reconcile() for every change of an object
//   hpas.look();                        // now and then: whose status is behind?
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "api/hpa.h"
#include "base/clock.h"
#include "control/autoscaler.h"
#include "control/event_recorder.h"
#include "control/policy_plan.h"
#include "control/revision_host.h"
#include "net/task.h"
#include "resources/informer.h"
#include "resources/resource_client.h"

namespace ebb::control {

class HpaReconciler final {
 public:
  using Key = resources::ObjectKey;
  struct Uses {
    resources::ResourceClient& client;
    const Clock& clock;
    const resources::Informer<api::HorizontalPodAutoscaler>& hpas;
    RevisionHost& host;
    AutoScaler& autoscaler;
    EventRecorder* events = nullptr;
  };
  // `again`: look at this object soon.
  HpaReconciler(Uses uses, std::function<void(const Key&)> again)
      : uses_(uses), again_(std::move(again)) {}

  // Status writes that one look() asks for at most.
  static constexpr size_t kLookWrites = 64;

  [[nodiscard]] net::Task<Result<void>> reconcile(Key key);
  // A revision can be scaled from now on, or no longer.
  void revision_hosted(const std::string& uid, bool there);
  // Asks for those whose revisions are not as their status was last made from.
  void look();

 private:
  // What a status is made from besides the object.
  struct Seen {
    int desired = 0;
    int replicas = 0;                                    // ready, and on the way
    std::shared_ptr<const scaling::HpaSeen> decision{};  // of the largest revision
    friend bool operator==(const Seen&, const Seen&) = default;
  };
  struct Known {
    std::string uid;
    int64_t generation = 0;
    std::map<std::string, std::string> outside;  // as declared
    std::shared_ptr<const HpaWish> wish;         // null: `error` says why
    std::string error;
    std::set<std::string> revisions{};  // that it names, by uid
    Seen told{};
  };

  void learn(const Key& key, const api::HorizontalPodAutoscaler& hpa);
  void forget(const Key& key);
  // The two know each other from now on, or no longer; then the revision is scaled by who
  // remains. Others that name it have something else to say.
  void bind(const Key& key, Known& known, const std::string& uid);
  void unbind(const Key& key, const std::string& uid);
  void assign(const std::string& uid);
  [[nodiscard]] Seen seen_of(const Known& known) const;
  // The text of the condition AmbiguousSelector; "": every revision is its own.
  [[nodiscard]] std::string rivals_of(const Known& known) const;
  [[nodiscard]] api::HorizontalPodAutoscaler::Status status_of(
      const api::HorizontalPodAutoscaler& hpa, const Known& known) const;
  void record(const api::HorizontalPodAutoscaler& before,
              const api::HorizontalPodAutoscaler::Status& now) const;

  Uses uses_;
  std::function<void(const Key&)> again_;
  std::map<Key, Known> known_;
  std::map<std::string, std::set<Key>> by_revision_;  // uid: who names it
  Key looked_at_;                                     // the last one that look() asked for
};

}  // namespace ebb::control
