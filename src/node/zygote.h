// The Local Controller's handle on one runtime's zygote process: starts it, asks it
// for pods, notices its end.
//
// Belongs to the Local Controller's only thread.
#pragma once

#include <sys/types.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "net/executor.h"
#include "net/fd_watch.h"
#include "node/output_tail.h"
#include "node/runtime.h"
#include "sandbox/cgroup.h"
#include "sandbox/pod_link.h"

namespace ebb::node {

struct SpawnRequest {
  std::string pod;
  uint32_t host_uid = 0;
  int control_fd = -1;
  int listen_fd = -1;
  int log_fd = -1;
  EbbPodLink link = {};                     // address 0: only loopback
  const sandbox::Cgroup* cgroup = nullptr;  // null: without
  uint32_t without = 0;                     // kEbbWithout... bits
};

class Zygote final {
 public:
  struct Events {
    std::function<void()> on_ready;
    // The answer to the oldest open spawn: the pod's pid, or why there is none. A
    // pid with an error: the process ends by itself.
    std::function<void(std::string pod, pid_t pid, std::string error)> on_spawned;
    // It has ended or closed its socket; `why` has its last output.
    std::function<void(std::string why)> on_gone;
  };

  // Starts the process, outside any pod's isolation but with the runtime's root.
  [[nodiscard]] static Result<std::unique_ptr<Zygote>> start(net::Executor& executor,
                                                             const Runtime& runtime,
                                                             std::string_view seccomp,
                                                             const std::string& resolver,
                                                             Events events);
  ~Zygote();  // ends it

  [[nodiscard]] Result<void> spawn(const SpawnRequest& request);
  [[nodiscard]] bool ready() const { return ready_; }
  [[nodiscard]] pid_t pid() const { return pid_; }
  // The owner has collected its exit status: the pid is no longer ours.
  void reaped() { pid_ = -1; }
  // Bytes of each pod that count as the zygote's.
  [[nodiscard]] uint64_t copied_bytes() const { return copied_bytes_; }
  [[nodiscard]] size_t open_spawns() const { return open_.size(); }

 private:
  Zygote(const Runtime& runtime, Events events);
  void on_packet();

  std::string runtime_;
  Events events_;
  pid_t pid_ = -1;
  UniqueFd socket_;
  UniqueFd output_;
  std::unique_ptr<net::FdWatch> socket_watch_;
  std::unique_ptr<net::FdWatch> output_watch_;
  OutputTail tail_;               // of any age
  std::deque<std::string> open_;  // pods asked for, oldest first
  bool ready_ = false;
  uint64_t copied_bytes_ = 0;
};

}  // namespace ebb::node
