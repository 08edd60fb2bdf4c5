// The AutoScaler as a running part: metric -> decision -> amount, for every revision.
//
// It samples once a second, decides every 2 s, and wakes a revision from zero the
// moment its first request is held (an event, not a tick). Thread-safe: wake() runs
// on the executor that holds the request.
//
//   autoscaler.add(plan);
//   autoscaler.prove(uid, [](const std::string& error) { ... });   // one pod starts well
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "net/executor.h"
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
  int initial_scale = 1;  // pods that must start well before it is ready
  Duration retention{};   // of the last pod, after the stable window
};

// What `ebb describe` will show.
struct ScaleStatus {
  int desired = 0;
  int ready = 0;
  int starting = 0;
  std::string reason;
  bool panic = false;
};

class AutoScaler final : public serving::Waker {
 public:
  AutoScaler(net::Executor& control, serving::Traffic& traffic, scheduling::ScaleTarget& target,
             const Clock& clock);

  // Samples and decides from now on. On the control executor.
  void start();
  // One step of it: collects, and decides if a decision is due. For tests.
  void tick();

  void add(ScalePlan plan);
  void remove(const std::string& revision);
  // Whether some route sends traffic to it: without, its minimum does not hold.
  void set_reachable(const std::string& revision, bool reachable);

  // Starts the revision's initial pods once, and calls back on the control executor
  // with "" when all are ready, or with why the first one failed. Then they rest,
  // unless a minimum or traffic keeps them. Besides the time that loading may take,
  // it waits kPlaceTimeout for room on a node.
  static constexpr Duration kPlaceTimeout = std::chrono::seconds(60);
  using Proven = std::function<void(std::string error)>;
  void prove(const std::string& revision, Proven proven);
  // A start of one of its pods ended: "" for well. Any thread.
  void start_ended(const std::string& revision, const std::string& error);

  void wake(const std::string& revision) override;
  // Gives it the pods that its requests fill, within the bounds, at most every
  // kCrowdPeriod: a burst does not wait for the next decision.
  static constexpr Duration kCrowdPeriod = std::chrono::milliseconds(20);
  void crowded(const std::string& revision) override;

  [[nodiscard]] ScaleStatus status(const std::string& revision) const;

 private:
  struct Entry {
    ScalePlan plan;
    std::unique_ptr<scaling::Policy> policy;
    int want = 0;
    bool reachable = true;
    Proven proving;  // empty: not
    TimePoint proof_deadline{};
    scaling::Decision last;
  };

  void decide(Entry& entry, TimePoint now);
  void relieve_crowds();
  void apply(Entry& entry, int want, std::string_view why);
  [[nodiscard]] int floor_of(const Entry& entry) const;
  void finish_proof(const std::string& revision, const std::string& error);

  net::Executor& control_;
  serving::Traffic& traffic_;
  scheduling::ScaleTarget& target_;
  const Clock& clock_;
  net::Timer timer_;

  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;
  TimePoint next_decision_{};
  std::vector<std::string> crowds_;  // revisions to be relieved
  // Control executor only:
  net::Timer crowd_timer_;
  TimePoint next_relief_{};
};

}  // namespace ebb::control
