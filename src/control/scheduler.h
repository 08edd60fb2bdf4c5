// The Scheduler as a running part, Node form: gives cold pods of nodes to revisions,
// takes them back, and keeps the pools filled, over the Local Controllers.
//
// Thread-safe: one mutex. scale() may be called by the executor that holds the first
// request of a function at zero; it sends one message and the pod's endpoint is
// known when it returns. What Local Controllers report arrives on the control
// executor.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "node/messages.h"
#include "scheduling/placement.h"
#include "scheduling/scale_target.h"

namespace ebb::control {

struct SchedulerOptions {
  std::string pods_folder;  // where the pods' sockets are
  // Cold pods to hold of each runtime in use; unset: what the runtime's manifest says.
  std::optional<uint32_t> pool;
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
  // It is gone, and its pods with it.
  void remove_node(const std::string& node);

  // --- ScaleTarget, PodSource ---
  void scale(const std::string& revision, int pods) override;
  void subscribe(std::shared_ptr<const scheduling::PodTemplate> revision,
                 std::shared_ptr<scheduling::PodListener> listener) override;
  void unsubscribe(const std::string& revision) override;
  void pod_drained(const std::string& pod) override;

  // --- To be seen ---
  [[nodiscard]] std::vector<PodStatus> pods() const;
  [[nodiscard]] std::vector<scheduling::NodeView> nodes() const;

 private:
  struct Pod {
    scheduling::PodRef ref;
    std::string runtime;
    std::string revision;  // uid; empty while cold
    bool ready = false;
    bool draining = false;
    WallTime since;
  };
  struct Revision {
    std::shared_ptr<const scheduling::PodTemplate> what;  // shared: with the AutoScaler
    std::shared_ptr<scheduling::PodListener> listener;    // shared: the throttler
    int want = 0;
    int have = 0;  // pods that are not draining
  };

  void on_welcome(const std::string& node, const node::Welcome& welcome);
  void on_cold(const std::string& node, const node::PodCold& message);
  void on_ready(const node::PodReady& message);
  void on_gone(const node::PodGone& message);
  void on_pool_failed(const node::PoolFailed& message);

  void fill(Revision& revision);  // gives it cold pods up to what it wants
  bool give(Revision& revision);  // one; false if there is none
  void drain(Revision& revision, int count);
  void stop(Pod& pod);
  void set_pools();  // tells nodes how many cold pods to hold
  void lost(const std::string& pod, const scheduling::PodExit& exit);
  [[nodiscard]] std::string address(const std::string& pod) const;

  const SchedulerOptions options_;
  const Clock& clock_;

  mutable std::mutex mutex_;
  scheduling::Placement placement_;
  std::map<std::string, Send> nodes_;
  std::map<std::string, Pod> pods_;             // by id
  std::map<std::string, Revision> revisions_;   // by uid
  std::deque<std::string> short_of_pods_;       // revisions that want more, oldest first
  // What was last asked for, by runtime.
  std::map<std::string, std::pair<uint32_t, bool>> pool_sizes_;
};

}  // namespace ebb::control
