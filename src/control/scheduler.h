// The Scheduler as a running part, Node form: gives cold pods of nodes to revisions,
// takes them back, and keeps the pools filled, over the Local Controllers.
//
// Thread-safe: one mutex. scale() may be called by the executor that holds the first
// request of a function at zero; it sends one message and the pod's endpoint is
// known when it returns. What Local Controllers report arrives on the control
// executor.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "control/cold_pool.h"
#include "control/event_recorder.h"
#include "node/messages.h"
#include "scheduling/placement.h"
#include "scheduling/pool_size.h"
#include "scheduling/scale_target.h"
#include "scheduling/wait_line.h"

namespace ebb::control {

struct SchedulerOptions {
  std::string pods_folder;  // where the pods' sockets are
  // Cold pods to hold of a runtime in use. Called with the lock held.
  std::function<scheduling::PoolSize(const std::string& runtime)> pool_of =
      [](const std::string& /*runtime*/) { return scheduling::PoolSize(); };
  EventRecorder* events = nullptr;  // nullptr: nobody asks
};

// What the pods that there are hold on the disk.
struct CodeInUse {
  std::set<std::string> codes;      // hashes of the packages that are mounted
  std::set<std::string> revisions;  // uids of those whose pods may write logs
  bool complete = true;             // false: a pod is there whose code is not known yet
};

// A pod as `ebb get pods` shows it.
struct PodStatus {
  scheduling::PodView view;
  bool ready = false;  // its code is loaded
  WallTime since;      // when it was seen first
  // Whose it is; null while cold, or when that revision has been deleted.
  std::shared_ptr<const scheduling::PodTemplate> what;
};

class Scheduler final : public scheduling::ScaleTarget, public scheduling::PodSource {
 public:
  // Sends a message to a node's Local Controller. Any thread, never waits.
  using Send = std::function<Result<void>(const node::ToController&)>;

  Scheduler(SchedulerOptions options, const Clock& clock);

  // --- Nodes ---
  void add_node(const std::string& node, Send send);
  // A Local Controller said something.
  void on_message(const std::string& node, const node::FromController& message);
  // It is gone, and its pods with it. Who wants pods goes on waiting: for this node, when
  // it is added again, or another. No function is to blame.
  void remove_node(const std::string& node);

  // --- ScaleTarget, PodSource ---
  void scale(const std::string& revision, int pods) override;
  void subscribe(std::shared_ptr<const scheduling::PodTemplate> revision,
                 std::shared_ptr<scheduling::PodListener> listener) override;
  void unsubscribe(const std::string& revision) override;
  void pod_drained(const std::string& pod) override;
  void pod_hung(const std::string& pod) override;
  bool set_frozen(const std::string& pod, bool frozen, uint64_t turn) override;
  void pod_misbehaved(const std::string& pod, const std::string& reason,
                      const std::string& message) override;
  void announce(const std::string& revision, const std::string& runtime) override;
  void end_unclaimed() override;
  // How many requests are in which pods that another front has sent there, which answers what
  // it had in flight. They count as the listener's own, and the pods do not end before them.
  void set_busy(std::map<std::string, int> busy);
  // Another front has the nodes from now on: no order goes there any more, no pod is given.
  void retire();
  // What pool_of says has changed, or time has passed: once in some minutes.
  void resize_pools();

  // --- To be seen ---
  [[nodiscard]] std::vector<PodStatus> pods() const;
  [[nodiscard]] std::vector<scheduling::NodeView> nodes() const;
  // Why the node's pods have no network but their loopback; empty: they have one, or none
  // is wanted.
  [[nodiscard]] std::string network_problem(const std::string& node) const;
  [[nodiscard]] CodeInUse code_in_use() const;

 private:
  struct Pod {
    scheduling::PodRef ref;
    std::string runtime;
    std::string revision;  // uid; empty while cold
    std::string code;      // empty while cold, or not known yet
    bool ready = false;
    bool draining = false;
    WallTime since;
    // Of its revision that was deleted: another front may have requests in the pod.
    std::shared_ptr<scheduling::PodListener> listener = nullptr;
  };
  struct Revision {
    std::shared_ptr<const scheduling::PodTemplate> what;  // shared: with the AutoScaler
    std::shared_ptr<scheduling::PodListener> listener;    // shared: the throttler
    int want = 0;
    int have = 0;     // pods that are not draining
    int missing = 0;  // as its runtime's sum has it
    int killed = 0;   // pods in a row, from outside while they loaded
  };
  // What is wanted of one runtime.
  struct Runtime {
    size_t revisions = 0;                       // that have subscribed or been announced
    int64_t missing = 0;                        // pods, of all of them
    scheduling::WaitLine<std::string> waiting;  // revisions that want more
    ColdPool pool;
    std::optional<node::SetPool> told;  // the pool's size that nodes know
  };

  void on_welcome(const std::string& node, const node::Welcome& welcome);
  void on_cold(const std::string& node, const node::PodCold& message);
  void on_ready(const node::PodReady& message);
  void on_gone(const node::PodGone& message);
  void on_pool_failed(const std::string& node, const node::PoolFailed& message);

  void fill(Revision& revision);  // gives it cold pods up to what it wants
  bool give(Revision& revision);  // one; false if there is none
  void note_shortage(Revision& revision);
  // Whose turn it is to get a cold pod of this runtime; null: nobody lacks one.
  [[nodiscard]] Revision* next_in_line(Runtime& runtime);
  void drain(Revision& revision, int count);
  // Out of use without our asking: it counts no more.
  void put_out_of_use(Pod& pod);
  void stop(Pod& pod);
  void set_pool(const std::string& runtime);  // tells nodes how many cold pods to hold
  void lost(const std::string& pod, const scheduling::PodExit& exit);
  void end_unclaimed_pods();
  // The revision's listener has just heard of the pod.
  void tell_busy(const Revision& revision, const std::string& pod) const;
  void note_node(const std::string& node);  // an event if its state has changed
  void record_end(const Revision& revision, const node::PodGone& gone, bool was_ready) const;
  [[nodiscard]] std::string address(const std::string& pod) const;

  const SchedulerOptions options_;
  const Clock& clock_;

  mutable std::mutex mutex_;
  scheduling::Placement placement_;
  std::map<std::string, Send> nodes_;
  std::map<std::string, scheduling::NodeState> node_states_;  // as last recorded
  std::map<std::string, std::string> network_problems_;       // of nodes that have one
  std::map<std::string, Pod> pods_;                           // by id
  std::map<std::string, Revision> revisions_;                 // by uid
  std::map<std::string, std::string> announced_;              // uid -> runtime
  std::map<std::string, Runtime> runtimes_;                   // by name; those in use
  std::map<std::string, int> busy_;                           // see set_busy()
  bool retired_ = false;
  bool claimed_ = false;  // all revisions that there are have subscribed
};

}  // namespace ebb::control
