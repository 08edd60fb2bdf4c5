// One pod as the Local Controller holds it: its process, cgroup, sockets, log, and
// state. The state machine is PodState (messages.h): kStarting -> kCold ->
// kLoading -> kReady -> kEnding.
//
// Belongs to the Local Controller's only thread.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "net/executor.h"
#include "net/fd_watch.h"
#include "node/messages.h"
#include "node/pod_log.h"
#include "node/zygote.h"
#include "sandbox/cgroup.h"
#include "sandbox/network.h"

namespace ebb::node {

// The reason of the end of a pod that was to fork others and should not.
inline constexpr const char* kCannotFork = "CannotFork";
// From a pod's SIGTERM to its SIGKILL.
inline constexpr auto kStopGrace = std::chrono::seconds(3);

class PodProcess final {
 public:
  struct Events {
    std::function<void(PodProcess&)> on_cold;   // warmed up, waits for code
    std::function<void(PodProcess&)> on_ready;  // code loaded
    // What it has compiled before running it; for pods that are asked to.
    std::function<void(PodProcess&, std::string_view)> on_compiled;
    // Of one that forks: it says how a process ended that it had forked for the pod `id`.
    std::function<void(PodProcess&, const std::string& id, int wait_status)> on_fork_status;
    // Of one that forks: it has ended, or is about to; it can be reaped after its forks only.
    std::function<void(const PodProcess&)> on_closed;
    // Of one that was forked: its process has ended. Others are reaped by the owner.
    std::function<void(PodProcess&, int wait_status)> on_ended;
    // `parent` forked no process for it: it is cold as before.
    std::function<void(PodProcess&, const std::string& parent, const std::string& why)>
        on_not_forked;
  };

  // What is known of the code that a pod is to load.
  struct Code {
    std::string entry;                      // see Runtime
    bool compiles = false;                  // likewise
    const std::string* compiled = nullptr;  // by an earlier pod; nullptr: not yet
    // Serves nothing: once its code is loaded, it forks the processes of other pods.
    bool forks = false;
  };

  // Prepares cgroup, sockets and log; the process comes with started().
  // `pods_dir` is the open folder of the pods' sockets, `front` their owner; without
  // `cgroups` it has no limits, without `network` only loopback. `without`: kEbbWithout...
  // `logs` must outlive it.
  [[nodiscard]] static Result<std::unique_ptr<PodProcess>> prepare(
      net::Executor& executor, std::string id, std::string runtime, uint32_t slot,
      sandbox::CgroupTree* cgroups, sandbox::Network* network, int pods_dir, uid_t front,
      uint32_t without, LogFolder& logs, Events events);
  ~PodProcess();  // the process must be gone; removes cgroup and socket

  // What a zygote needs to make the process. Valid until started().
  [[nodiscard]] SpawnRequest spawn_request() const;
  // The process exists (`pid` in our namespace).
  [[nodiscard]] Result<void> started(pid_t pid);

  // Mounts the code and tells the runtime to load it. kStarting pods cannot be
  // assigned. An error leaves the pod unusable: end it.
  [[nodiscard]] Result<void> assign(const Assign& order, int code_dir, const Code& what,
                                    int own_namespace);
  // The same by a process that `parent` forks, which has loaded the same code: it takes the
  // place of this pod's own. An error leaves the pod cold.
  [[nodiscard]] Result<void> assign_forked(const Assign& order, PodProcess& parent);
  // No process will be forked for it after all, if one is still awaited: on_not_forked.
  void give_up_fork(const std::string& why);
  [[nodiscard]] bool forks() const { return forks_; }  // see Code
  // Of one that was forked: how its process ended, or will have, by its parent's word.
  void set_wait_status(int wait_status);
  // Its processes are to be gone: nothing more is heard of it.
  void abandon();
  // Kills it; it is gone when the Local Controller has reaped it. The first reason
  // is kept.
  void end(std::string reason, std::string message);
  // Ends a drained pod: SIGTERM, SIGKILL after a grace (kStopGrace). A cold one, which
  // holds no code, is killed at once.
  void stop();
  // Its processes stand still, or go on; what is older than another turn is nothing any more.
  // Where there is no freezer it says so once, in the function's log.
  void set_frozen(bool frozen, uint64_t turn);
  void thaw();  // and forgets the turns
  // Passes on what waits in its log pipe, a bounded piece; false at its end.
  bool drain_output();

  // Kills what is left of its processes. True if its group is gone, too; else again, later.
  bool clear_group();

  // Reason and message of its end, from the wait status and what it said before
  // (which may still cause on_cold or on_ready).
  [[nodiscard]] PodGone obituary(int wait_status);

  [[nodiscard]] const std::string& id() const { return id_; }
  [[nodiscard]] const std::string& runtime() const { return runtime_; }
  [[nodiscard]] const std::string& revision() const { return revision_; }
  [[nodiscard]] const std::string& code() const { return code_; }  // its sha256
  [[nodiscard]] uint32_t slot() const { return slot_; }
  [[nodiscard]] uint32_t concurrency() const { return concurrency_; }
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] PodState state() const { return state_; }
  // It has been cold: what ends it now is not the runtime's fault.
  [[nodiscard]] bool warmed_up() const { return warmed_up_; }
  // The pod that forked its process, or is about to; empty: none.
  [[nodiscard]] const std::string& parent() const { return parent_; }
  [[nodiscard]] bool forked() const { return forked_; }
  // A process of a parent's may be in its group.
  [[nodiscard]] bool offered() const { return offered_; }
  void say(const std::string& text);  // in its revision's log, as Ebb's own lines
  [[nodiscard]] const Assign& order() const { return order_; }  // what it was assigned by
  [[nodiscard]] TimePoint assigned_at() const { return assigned_at_; }
  [[nodiscard]] TimePoint ready_at() const { return ready_at_; }  // its code was loaded
  // What it has used so far; nullopt where nobody counts it.
  [[nodiscard]] std::optional<sandbox::CgroupUsage> usage() const;
  // Bytes that its fork from the zygote has copied, which its cgroup does not count.
  void note_copied(uint64_t bytes) { copied_ = bytes; }

 private:
  PodProcess(net::Executor& executor, std::string id, std::string runtime, uint32_t slot,
             LogFolder& logs, Events events);
  void on_control();
  void on_fork();
  void on_fork_status(std::string_view text);
  void on_exit();
  void become_cold();
  void yield(bool yields);
  void drop_fork();
  void be_cold_again();
  void take_order(const Assign& order);
  void arm_start_deadline();
  // `copied`: what of the memory its cgroup does not count.
  Result<void> set_order_limits(uint64_t copied);
  void signal(int number);
  void signal_first_thread(int number);
  void on_output();
  void watch_output();
  Result<void> set_network(uint8_t wish);
  Result<void> set_limits(sandbox::Limits limits, uint64_t copied);
  void note_wait(std::string what);

  net::Executor& executor_;
  std::string id_;
  std::string runtime_;
  uint32_t slot_;
  LogFolder& logs_;
  Events events_;
  int pods_dir_ = -1;
  PodState state_ = PodState::kStarting;
  bool warmed_up_ = false;
  uint64_t copied_ = 0;
  pid_t pid_ = -1;
  UniqueFd pidfd_;
  UniqueFd control_;
  UniqueFd log_;
  // The pod's ends, until it has them.
  UniqueFd pod_control_;
  // These until it is assigned: another process may take its place.
  UniqueFd pod_listener_;
  UniqueFd pod_log_;
  std::optional<sandbox::Cgroup> cgroup_;
  bool frozen_ = false;
  uint64_t freeze_turn_ = 0;
  bool cannot_freeze_ = false;
  uint32_t without_ = 0;
  sandbox::Network* network_ = nullptr;
  EbbPodLink link_ = {};
  std::optional<sandbox::Network::Closed> closed_;
  std::unique_ptr<net::FdWatch> control_watch_;
  std::unique_ptr<net::FdWatch> log_watch_;
  OutputTail output_;
  LineCutter lines_;
  TokenBucket log_budget_{kLogBytesPerSecond, kLogBurst};
  net::Timer log_pause_;  // while it has printed too much
  net::Timer deadline_;   // of what it is about to do: warm up, load, end
  std::string parent_;
  pid_t parent_pid_ = -1;
  bool offered_ = false;
  bool forked_ = false;
  bool forks_ = false;
  int open_forks_ = 0;  // asked of it, and not told the end of
  std::unique_ptr<net::FdWatch> exit_watch_;
  std::optional<int> wait_status_;
  bool exited_ = false;
  net::Timer exit_wait_;   // until the parent tells how
  UniqueFd fork_control_;  // to the process that is being forked
  std::unique_ptr<net::FdWatch> fork_watch_;
  Assign order_;
  std::string revision_;
  std::string code_;
  // Its next message is its runtime's own: no line of the function has run yet.
  bool hands_in_ = false;
  uint32_t concurrency_ = 0;
  uint64_t memory_bytes_ = 0;
  TimePoint assigned_at_{};
  TimePoint ready_at_{};
  int notes_ = 0;          // how often it said what it waits for
  std::string waits_for_;  // what it last said while it loaded; told if that takes too long
  std::string end_reason_;
  std::string end_message_;
};

}  // namespace ebb::node
