// The file system that a runtime and its pods see: a tmpfs with read-only binds of
// what the runtime needs, never the host's "/".
//
//   (in a child process)
//   auto built = build_root({.mounts = manifest.mounts, .runtime =
//   "/usr/lib/ebb/runtimes/python"});
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace ebb::sandbox {

struct RootSpec {
  // Absolute host paths (files or folders) shown read-only at the same place.
  // A symbolic link is shown as the same link. Missing ones are an error unless
  // they begin with "?" ("?/usr/lib64").
  std::vector<std::string> mounts;
  // Host folder shown at /ebb/runtime.
  std::string runtime;
  // Who answers names, for /etc/resolv.conf; empty: nobody.
  std::string resolver;
};

// Where code is mounted into a pod.
inline constexpr const char* kCodeFolder = "/code";

// Moves the calling process into a new mount namespace with that root. Call in a
// single-threaded child just forked, as root; the process keeps nothing of the
// host's tree.
[[nodiscard]] Result<void> build_root(const RootSpec& spec);

}  // namespace ebb::sandbox
