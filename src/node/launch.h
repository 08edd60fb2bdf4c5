// From one program to two processes: starts the Local Controller (or finds one whose
// front has died) and takes the rights away from the rest.
//
// For main.cc, before the first thread is started.
#pragma once

#include <sys/types.h>

#include "base/result.h"
#include "base/unique_fd.h"
#include "node/local_controller.h"

namespace ebb::node {

struct Launched {
  UniqueFd socket;   // for ControllerClient
  pid_t child = -1;  // the Local Controller, if it was started here
};

// Forks the Local Controller and waits until it serves, at most 20 s; or connects to
// one that still lives from an earlier front, whose pods are then taken over. As root.
[[nodiscard]] Result<Launched> launch_local_controller(const ControllerOptions& options);

// Becomes user and group `id` for good, without any capability, and can gain none.
// As root, before the first thread.
[[nodiscard]] Result<void> drop_privileges(uid_t id);

}  // namespace ebb::node
