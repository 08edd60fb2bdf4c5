// Processes and their rights: starts the Local Controller (or finds one whose front has
// died) and takes root's rights from a process.
#pragma once

#include <sys/types.h>

#include "base/result.h"
#include "node/local_controller.h"

namespace ebb::node {

struct Launched {
  pid_t pid = -1;
  bool ours = false;  // a child of this process; else it lives from an earlier run
};

// Forks the Local Controller and waits until it serves, at most 20 s; or finds the one
// that still serves the data folder. As root, with one thread.
[[nodiscard]] Result<Launched> launch_local_controller(const ControllerOptions& options);

// Becomes user and group `id` for good, without any capability, can gain none, and
// dies with its parent. As root, before the first thread.
[[nodiscard]] Result<void> drop_privileges(uid_t id);

}  // namespace ebb::node
