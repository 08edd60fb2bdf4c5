// Mounts a folder into a running pod: how code reaches a cold pod.
//
// open_tree + mount_setattr + setns + move_mount: the copy of the mount is
// read-only before the pod can see it, and the pod gets no descriptor of the host's
// tree. The calling thread must share its file system context with no other
// thread (the Local Controller has only one).
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace ebb::sandbox {

// The calling process's own mount namespace, to come back to.
[[nodiscard]] Result<UniqueFd> own_mount_namespace();

// Shows the folder `dir_fd` (O_PATH) read-only at `target` inside the pod.
// Changes the working folder of the process to "/".
[[nodiscard]] Result<void> inject_mount(int dir_fd, int pod_pidfd, const char* target,
                                        int own_namespace);

}  // namespace ebb::sandbox
