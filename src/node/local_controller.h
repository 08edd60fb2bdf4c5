// The Local Controller: owns the life of all pods of one node.
//
// Privileged, one thread, no network. It keeps pools of cold pods (one zygote per
// runtime), mounts code into them when the front hands them out, sets limits,
// collects logs and exits, and ends everything when it is told to or when no front
// comes back within a grace time. The front talks to it by messages.h over the
// socket run/node.sock; a new front may take over the pods of one that died.
//
//   auto controller = LocalController::create(executor, options);
//   executor.run();       // until shut down
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "net/executor.h"
#include "net/fd_watch.h"
#include "node/compiled_code.h"
#include "node/data_folder.h"
#include "node/ids.h"
#include "node/messages.h"
#include "node/parents.h"
#include "node/pod_process.h"
#include "node/preload_policy.h"
#include "node/runtime.h"
#include "node/usage_collector.h"
#include "node/zygote.h"
#include "sandbox/cgroup.h"
#include "sandbox/network.h"

namespace ebb::node {

struct ControllerOptions {
  DataFolder data;
  std::string runtimes;                 // folder with one folder per runtime
  std::string node = "local";           // this node's name
  uid_t front_uid = node::front_uid();  // who may connect to the pods' sockets
  uint32_t slots = kPodUids;            // pods at most
  Duration front_grace = std::chrono::seconds(10);
  Duration usage_interval = std::chrono::seconds(15);  // between two readings of a pod
  // The pods' network besides loopback; unset: none. Its id and slots are ours.
  std::optional<sandbox::NetworkOptions> network = std::nullopt;
  // What pods do without, from sandbox::Rights; kEbbWithoutCgroups is found out here.
  uint32_t without = 0;
  // Where pods' groups are made; unset: as found on this machine.
  std::optional<sandbox::CgroupMounts> cgroups = std::nullopt;
};

class LocalController final {
 public:
  // Checks rights, sweeps what an earlier run left, listens. As root, in a process
  // with one thread, with SIGCHLD and SIGTERM blocked.
  [[nodiscard]] static Result<std::unique_ptr<LocalController>> create(net::Executor& executor,
                                                                       ControllerOptions options);
  ~LocalController();

 private:
  struct Pool {
    Runtime runtime;
    std::unique_ptr<Zygote> zygote;
    uint32_t want = 0;  // cold pods
    int failures = 0;   // in a row; decides the back-off
    net::Timer retry;
    net::Timer after_hand_outs;
  };

  LocalController(net::Executor& executor, ControllerOptions options);
  Result<void> set_up();
  void set_up_cgroups();
  void set_up_network();

  void watch_listener();
  void on_front_connects();
  void on_front_message();
  void on_front_gone();
  void handle(const SetPool& order);
  void handle(const Assign& order);
  void handle(const Stop& order);
  void handle(const Freeze& order);
  void handle(const Forget& order);
  void handle(const Shutdown& order);
  void handle(const Ping& order);
  void handle(const ServePods& order);
  void handle(const HandOver& order);
  void report(const FromController& message);

  void on_signal();
  void reap();
  void bury(PodProcess& pod, int wait_status);
  void assign(const Assign& order, PodProcess& pod, bool forks);
  void shut_down();

  // Pools of cold pods: pools.cc.
  void pool_failed(Pool& pool, const Error& why);
  void refill(Pool& pool);
  void start_zygote(Pool& pool);
  std::optional<std::string> start_pod(Pool& pool);
  void on_spawned(const std::string& pod, pid_t pid, const std::string& error);
  [[nodiscard]] bool spawning() const;
  [[nodiscard]] uint32_t count(const std::string& runtime, PodState state) const;

  // Pods that fork others: forking.cc. The front is told nothing of them.
  [[nodiscard]] bool is_parent(const PodProcess& pod) const { return parents_.contains(pod.id()); }
  bool assign_forked(const Assign& order, PodProcess& pod);
  void consider_parent(const PodProcess& pod, Duration took);
  void start_parent(const Assign& order, const std::string& runtime);
  void retire(const std::string& id);
  void distrust(const std::string& id);
  void end_if_childless(const std::string& id);
  [[nodiscard]] bool has_children(const std::string& id) const;
  void look_at_parents();
  void end_forks(const PodProcess& parent);
  void bury_parent(const PodProcess& pod, const PodGone& gone);
  void clear_groups();

  net::Executor& executor_;
  ControllerOptions options_;
  std::string seccomp_;
  UniqueFd own_namespace_;
  UniqueFd pods_dir_;
  UniqueFd code_dir_;
  std::unique_ptr<LogFolder> logs_;
  UniqueFd lock_;
  std::unique_ptr<sandbox::CgroupTree> cgroups_;  // null: pods have no limits
  std::unique_ptr<sandbox::Network> network_;     // null: pods have only loopback, since ...
  std::string network_problem_;
  std::unique_ptr<net::FdWatch> network_watch_;
  UniqueFd listener_;
  UniqueFd signals_;
  UniqueFd front_;
  std::unique_ptr<net::FdWatch> listener_watch_;
  std::unique_ptr<net::FdWatch> signal_watch_;
  std::unique_ptr<net::FdWatch> front_watch_;
  bool front_hands_over_ = false;  // it goes, and says so
  net::Timer listen_again_;
  net::Timer grace_;
  std::unordered_map<std::string, std::unique_ptr<Pool>> pools_;  // by runtime
  TimePoint pause_refills_until_{};
  CompiledCode compiled_;
  UsageCollector::Pods pods_;
  std::deque<uint32_t> free_slots_;  // longest unused first: ids and addresses rest a while
  PreloadPolicy preload_policy_;
  Parents parents_;
  net::Timer parent_timer_;  // to look at them
  // Of pods that were forked and have ended, until the last process has left.
  std::vector<std::unique_ptr<PodProcess>> ended_;
  net::Timer ended_timer_;
  std::map<pid_t, int> early_exits_;  // pids that ended before their spawn was answered
  UsageCollector usage_;
};

// The whole life of the Local Controller's process after the fork: sets signals up,
// writes "ok" or an error's text to `ready_fd` and closes it, serves, returns the
// exit code.
int run_local_controller(ControllerOptions options, UniqueFd ready_fd);

}  // namespace ebb::node
