// The AutoScaler as a running part: metric -> decision -> amount, for every revision.
//
// Each revision has a policy of its class (scaling/policy_spec.h). It samples once a
// second, decides every 2 s, and wakes a revision from zero the moment its first request
// is held (an event, not a tick). A tick looks only at revisions where something happens,
// and at those whose policy acts at rest (a schedule, a forecast); the others cost no
// time. Thread-safe: wake() runs on the executor that holds the request.
//
//   autoscaler.add(plan);
//   autoscaler.prove(uid, [](const std::string& error) { ... });   // one pod starts well
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/clock.h"
#include "control/event_recorder.h"
#include "control/idle_times.h"
#include "control/pod_metrics.h"
#include "control/policy_folder.h"
#include "control/scale_limits.h"
#include "control/scale_plan.h"
#include "net/executor.h"
#include "resources/resource_client.h"
#include "scaling/greedy_dual.h"
#include "scaling/quota.h"
#include "scaling/start_times.h"
#include "scaling/window.h"
#include "serving/activator.h"
#include "serving/traffic.h"

namespace ebb::control {

// What an operator sets for all revisions.
struct AutoScalerSettings {
  bool enable_scale_to_zero = true;  // false: one pod of each reachable revision stays
  EventRecorder* events = nullptr;   // nullptr: nobody asks
  PolicyFolder* policies = nullptr;  // looked at in every tick; nullptr: there is none
  // What pods and nodes use: for the classes hpa and lua, and to see that memory is short. nullptr:
  // nobody measures.
  const PodMetrics* pods = nullptr;
};

// What is known of one revision, and what was decided for it last.
struct ScaleStatus {
  std::shared_ptr<const scheduling::PodTemplate> pod;
  std::shared_ptr<const scaling::PolicySpec> policy = ScalePlan::knative_defaults();
  bool reachable = true;
  int desired = 0;
  int ready = 0;
  int starting = 0;
  int in_flight = 0;
  int waiting = 0;
  double concurrency = 0;  // average over the stable window
  double requests = 0;     // per second, likewise
  bool panic = false;
  std::string reason;
  std::string error;  // what must be mended in the policy; "": nothing
  WallTime error_since{};
  Duration start_time{};  // from the wish for a pod until it is ready; 0: not measured
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
  // Decides no more by itself. On the control executor.
  void stop();
  // One step of it: collects, and decides if a decision is due. For tests.
  void tick();

  void add(ScalePlan plan);
  void remove(const std::string& revision);
  // Other rules for a revision that there is; `plan.pod` is not looked at. What the old
  // ones had seen is forgotten: until a stable window has passed, more than one pod stay.
  void replan(const std::string& revision, ScalePlan plan);
  // Whether some route sends traffic to it: without, its minimum does not hold.
  void set_reachable(const std::string& revision, bool reachable);
  // Other limits from now on. What is over them is taken away as it becomes idle.
  void set_limits(const ScaleLimits& limits);

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
  // Decides for this revision now instead of at the next tick, for what is in the system
  // at this moment: by its policy, or for class kpa by the rule of the panic window. Only
  // ever raises. Any thread.
  void decide_now(const std::string& revision);

  // --- To be seen ---

  [[nodiscard]] ScaleStatus status(const std::string& revision) const;
  // What its HorizontalPodAutoscaler decided last. Null: nothing since the last time at
  // zero, or its policy is another one. Shared: with the policy.
  [[nodiscard]] std::shared_ptr<const scaling::HpaSeen> hpa_seen(const std::string& revision) const;
  [[nodiscard]] std::optional<ScaleStatus> find(const resources::ObjectKey& revision) const;
  // Of all revisions, by namespace and name.
  [[nodiscard]] std::vector<ScaleStatus> list() const;
  [[nodiscard]] int64_t version() const;
  // What changed after the change number `after`, in order. False: no longer known.
  [[nodiscard]] bool changes(int64_t after, std::vector<ScaleStatus>* out) const;
  static constexpr size_t kMaxGone = 1024;  // removed revisions that changes() still tells

  // The revisions whose number of wanted or ready pods is not what the last call said.
  [[nodiscard]] std::vector<resources::ObjectKey> take_rescaled();
  // Idle pods that ended since memory was short, since the start.
  [[nodiscard]] uint64_t evicted() const;
  // For tests: the revisions that a tick looks at.
  [[nodiscard]] size_t active() const;

 private:
  // What only a revision has where something happens.
  struct Live {
    std::unique_ptr<scaling::Policy> policy;
    scaling::Window concurrency;
    scaling::Window requests;
    std::string error{};  // of the policy
    WallTime error_since{};
    std::string told_error{};  // as its events have it
    TimePoint told_error_at{};
    scaling::PendingStarts starts{};
    std::unique_ptr<IdleTimes> idle{};  // null: the last pod goes after a fixed time
    // For the choice of pods that end when memory is short.
    double calls = 0;                  // since it last had no pod
    double clock = 0;                  // of eviction_ at the last of them
    std::optional<TimePoint> ended{};  // when idle ones did; nullopt: none, or long ago
  };
  // Pods that several revisions have together.
  struct Share {
    scaling::Quota quota;
    int most = 0;            // 0: no limit
    int64_t generation = 0;  // of the revision that said so
    // For people: whose pods, what sets the limit, the event.
    const char* whose = "the namespace";
    const char* setting = "max-pods-per-namespace";
    const char* full = "NamespaceFull";
  };
  struct Proof {
    Proven proven;
    TimePoint deadline;
  };
  struct Entry {
    ScalePlan plan;
    std::shared_ptr<serving::Throttler> throttler;  // shared: with the request path
    // What it has a part of: its namespace's pods, and its service's or null.
    std::array<Share*, 2> shares{};
    std::unique_ptr<Live> live;               // null: at rest
    std::unique_ptr<scaling::Policy> rested;  // at rest, of a policy that learns
    int want = 0;
    bool reachable = true;
    bool panic = false;
    bool rescaled = false;         // in rescaled_
    std::unique_ptr<Proof> proof;  // null: nothing is being proven
    std::string reason;
    Duration start_time{};  // smoothed
    double concurrency = 0;
    double requests = 0;
    WallTime decided_at{};
    WallTime added_at{};
    int64_t made = 0;
    int64_t changed = 0;
    std::list<Entry*>::iterator place{};  // in by_change_
    // As take_rescaled() has told it.
    int told_want = 0;
    int told_ready = 0;
  };
  // Their texts are those of the entry's pod template.
  using Key = std::pair<std::string_view, std::string_view>;  // namespace, name
  [[nodiscard]] static Key key_of(const resources::ObjectKey& key) { return {key.ns, key.name}; }

  enum class Silence { kNo, kYes };

  // Looks at it in every tick from now on.
  void activate(Entry& entry, TimePoint now);
  [[nodiscard]] Live live_for(Entry& entry, TimePoint now) const;
  void rest(Entry& entry);
  [[nodiscard]] bool at_rest(const Entry& entry, const serving::Throttler::Counts& counts,
                             TimePoint now) const;
  void observe(Entry& entry, TimePoint now);
  void decide(Entry& entry, TimePoint now);
  [[nodiscard]] scaling::Situation situation_of(const Entry& entry,
                                                const serving::Throttler::Counts& counts,
                                                TimePoint now);
  // What the policy must be mended in becomes an event when it is new.
  void tell_error(Entry& entry, const std::string& error);
  // Changes the amount; what is wished for is timed. The amount before.
  int set_want(Entry& entry, int want);
  void measure_start(Entry& entry, TimePoint ready, bool well);
  void relieve_crowds();
  // `why` must not change the amount again. Silence: no event, no log.
  void apply(Entry& entry, int want, std::string_view why, Silence silence = Silence::kNo);
  // To its floor at least.
  void raise(Entry& entry, std::string why, Silence silence = Silence::kNo);
  void note(Entry& entry, int ready);
  void touch(Entry& entry);  // it changed
  [[nodiscard]] scaling::Bounds bounds_of(const Entry& entry) const;
  [[nodiscard]] int floor_of(const Entry& entry) const;
  [[nodiscard]] int within_bounds(const Entry& entry, int want) const;
  void end_crowd_soon(const std::string& revision);

  // --- What a namespace or a service may have: autoscaler_quota.cc ---

  template <class Look>
  static void for_shares(const Entry& entry, const Look& look) {
    for (Share* share : entry.shares) {
      if (share != nullptr) look(*share);
    }
  }
  void join_shares(Entry& entry);
  void leave_shares(Entry& entry);
  static void set_service_max(Entry& entry);  // if none that is newer says it
  // What of `want` its shares have room for ...
  [[nodiscard]] int room_for(const Entry& entry, int want) const;
  // ... and then `why` says so, and whom that leaves waiting asks for a turn.
  [[nodiscard]] int within_shares(Entry& entry, const serving::Throttler::Counts& counts, int want,
                                  std::string& why);
  [[nodiscard]] bool in_need(const Entry& entry, const serving::Throttler::Counts& counts) const;
  // Gives those whose turn it is what is free, or idle elsewhere in their share.
  void share_out(TimePoint now);
  void share_out(Share& share, TimePoint now);
  enum class Minimum { kKept, kYields };
  class Donors;
  [[nodiscard]] int spare_of(const Entry& entry, Minimum minimum) const;

  // --- When memory is short: autoscaler_memory.cc ---

  // Counts what the choice goes by.
  void note_use(Entry& entry, const scaling::Metric& metric) const;
  // Ends idle pods, those that are worth least first, until there is enough.
  void relieve_memory(TimePoint now);
  [[nodiscard]] const std::shared_ptr<const scaling::NodeLoad>& node_load(TimePoint now);
  // What of `want` it gets: who gave idle pods does not get them back for nothing.
  [[nodiscard]] int within_memory(Entry& entry, const serving::Throttler::Counts& counts, int want,
                                  TimePoint now, std::string& why) const;

  void finish_start(const std::string& revision, const std::string& error, TimePoint at);
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
  // By uid, which is the pod template's; entries stay where they are.
  std::unordered_map<std::string_view, Entry> entries_;
  std::map<Key, Entry*> keys_;
  ScaleLimits limits_;
  std::map<std::string, Share> namespaces_;
  std::map<std::string, Share> services_;  // by uid
  std::list<Entry*> by_change_;            // all, the newest change last
  std::vector<Entry*> active_;
  std::vector<std::string> rescaled_;  // uids
  std::deque<ScaleStatus> gone_;
  int64_t version_;
  int64_t forgotten_;
  TimePoint next_decision_{};
  scaling::EvictionOrder eviction_{scaling::EvictionRule::kGreedyDual};
  std::shared_ptr<const scaling::NodeLoad> node_load_;  // as it was then:
  TimePoint node_load_at_{};
  uint64_t memory_seen_ = 0;                // the sample that relieve_memory() has looked at
  bool memory_short_ = false;               // and nothing was left that could end
  uint64_t evicted_ = 0;                    // pods, since the start
  std::unordered_set<std::string> crowds_;  // revisions to be relieved
  // Control executor only:
  net::Timer crowd_timer_;
  TimePoint next_relief_{};
};

}  // namespace ebb::control
