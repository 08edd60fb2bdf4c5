// The AutoScaler as a running part: metric -> decision -> amount, for every revision.
//
// It samples once a second, decides every 2 s, and wakes a revision from zero the
// moment its first request is held (an event, not a tick). A tick looks only at
// revisions where something happens; those at rest at zero cost nothing. Thread-safe:
// wake() runs on the executor that holds the request.
//
//   autoscaler.add(plan);
//   autoscaler.prove(uid, [](const std::string& error) { ... });   // one pod starts well
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "control/event_recorder.h"
#include "net/executor.h"
#include "resources/resource_client.h"
#include "scaling/kpa.h"
#include "scaling/metrics_source.h"
#include "scheduling/scale_target.h"
#include "serving/activator.h"
#include "serving/traffic.h"

namespace ebb::control {

// How one revision is scaled.
struct ScalePlan {
  std::shared_ptr<const scheduling::PodTemplate> pod;  // shared: with the Scheduler
  scaling::KpaSettings policy;
  scaling::Bounds bounds;
  int initial_scale = 1;  // pods that must start well before it is ready; 0: none
  Duration retention{};   // of the last pod, after the stable window
};

// What an operator sets for all revisions.
struct AutoScalerSettings {
  bool enable_scale_to_zero = true;  // false: one pod of each reachable revision stays
  EventRecorder* events = nullptr;   // nullptr: nobody asks
};

// What is known of one revision, and what was decided for it last.
struct ScaleStatus {
  std::shared_ptr<const scheduling::PodTemplate> pod;
  int desired = 0;
  int ready = 0;
  int starting = 0;
  int in_flight = 0;
  int waiting = 0;
  double concurrency = 0;  // average over the stable window
  double requests = 0;     // per second, likewise
  bool panic = false;
  std::string reason;
  WallTime decided_at{};  // 1970: not yet
  WallTime added_at{};
  int64_t made = 0;     // the change that made it, as of EventRecorder
  int64_t changed = 0;  // the newest one
  bool gone = false;
};

class AutoScaler final : public serving::Waker {
 public:
  AutoScaler(net::Executor& control, serving::Traffic& traffic, scheduling::ScaleTarget& target,
             const Clock& clock, AutoScalerSettings settings = {});

  // Samples and decides from now on. On the control executor.
  void start();
  // One step of it: collects, and decides if a decision is due. For tests.
  void tick();

  void add(ScalePlan plan);
  void remove(const std::string& revision);
  // Other rules for a revision that there is; `plan.pod` is not looked at. What the old
  // ones had seen is forgotten: until a stable window has passed, more than one pod stay.
  void replan(const std::string& revision, ScalePlan plan);
  // Whether some route sends traffic to it: without, its minimum does not hold.
  void set_reachable(const std::string& revision, bool reachable);

  // Starts the revision's initial pods once, and calls back on the control executor
  // with "" when all are ready, or with why the first one failed. Then they rest,
  // unless a minimum or traffic keeps them. Besides the time that loading may take,
  // it waits kPlaceTimeout for room on a node. An initial scale of 0 is proof enough.
  static constexpr Duration kPlaceTimeout = std::chrono::seconds(60);
  using Proven = std::function<void(std::string error)>;
  void prove(const std::string& revision, Proven proven);
  // A start of one of its pods ended: "" for well. Any thread.
  void start_ended(const std::string& revision, const std::string& error);

  void wake(const std::string& revision) override;
  // Requests wait although there are pods: decide_now(), at most every kCrowdPeriod.
  static constexpr Duration kCrowdPeriod = std::chrono::milliseconds(20);
  void crowded(const std::string& revision) override;
  // Decides for this revision now instead of at the next tick, by the rule of the panic
  // window, for what is in the system at this moment. Only ever raises. Any thread.
  void decide_now(const std::string& revision);

  // --- To be seen ---

  [[nodiscard]] ScaleStatus status(const std::string& revision) const;
  [[nodiscard]] std::optional<ScaleStatus> find(const resources::ObjectKey& revision) const;
  // Of all revisions, by namespace and name.
  [[nodiscard]] std::vector<ScaleStatus> list() const;
  [[nodiscard]] int64_t version() const;
  // What changed after the change number `after`, in order. False: no longer known.
  [[nodiscard]] bool changes(int64_t after, std::vector<ScaleStatus>* out) const;
  static constexpr size_t kMaxGone = 1024;  // removed revisions that changes() still tells

  // The revisions whose number of wanted or ready pods is not what the last call said.
  [[nodiscard]] std::vector<resources::ObjectKey> take_rescaled();
  // For tests: the revisions that a tick looks at.
  [[nodiscard]] size_t active() const;

 private:
  // What only a revision has where something happens.
  struct Live {
    std::unique_ptr<scaling::Policy> policy;
    scaling::Window concurrency;
    scaling::Window requests;
  };
  struct Entry {
    ScalePlan plan;
    std::shared_ptr<serving::Throttler> throttler;  // shared: with the request path
    std::unique_ptr<Live> live;                     // null: at rest
    int want = 0;
    bool reachable = true;
    Proven proving;  // empty: not
    TimePoint proof_deadline{};
    bool panic = false;
    std::string reason;
    double concurrency = 0;
    double requests = 0;
    WallTime decided_at{};
    WallTime added_at{};
    int64_t made = 0;
    int64_t changed = 0;
    // As take_rescaled() has told it.
    int told_want = 0;
    int told_ready = 0;
    bool rescaled = false;  // in rescaled_
  };
  enum class Silence { kNo, kYes };

  // Looks at it in every tick from now on.
  void activate(Entry& entry, TimePoint now);
  [[nodiscard]] static Live live_for(const Entry& entry, TimePoint now);
  [[nodiscard]] bool at_rest(const Entry& entry, const serving::Throttler::Counts& counts,
                             TimePoint now) const;
  void observe(Entry& entry, TimePoint now);
  void decide(Entry& entry, TimePoint now);
  void relieve_crowds();
  // `why` must not change the amount again. Silence: no event, no log.
  void apply(Entry& entry, int want, std::string_view why, Silence silence = Silence::kNo);
  void note(Entry& entry, int ready);
  [[nodiscard]] int floor_of(const Entry& entry) const;
  [[nodiscard]] int within_bounds(const Entry& entry, int want) const;
  void finish_proof(const std::string& revision, const std::string& error);
  [[nodiscard]] ScaleStatus status_of(const Entry& entry) const;
  [[nodiscard]] Entry* entry_of(const std::string& revision);

  net::Executor& control_;
  serving::Traffic& traffic_;
  scheduling::ScaleTarget& target_;
  const Clock& clock_;
  const AutoScalerSettings settings_;
  net::Timer timer_;

  mutable std::mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;  // by uid; entries stay where they are
  std::map<resources::ObjectKey, std::string> uids_;
  std::vector<Entry*> active_;
  std::vector<std::string> rescaled_;  // uids
  std::deque<ScaleStatus> gone_;
  int64_t version_;
  int64_t forgotten_;
  TimePoint next_decision_{};
  std::vector<std::string> crowds_;  // revisions to be relieved
  // Control executor only:
  net::Timer crowd_timer_;
  TimePoint next_relief_{};
};

}  // namespace ebb::control
