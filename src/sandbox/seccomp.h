// The system calls that a pod may make, compiled once to the kernel's filter
// program.
//
// An allow list: everything else fails with EPERM, apart from clone3, which
// "does not exist" (ENOSYS), so that C libraries fall back to clone, whose flags
// a filter can read. Blocked on purpose: new namespaces, mounts, keys, ptrace, bpf,
// io_uring, perf, userfaultfd, modules, and every socket family but Unix and IP.
#pragma once

#include <string>

#include "base/result.h"

namespace ebb::sandbox {

// The program as an array of struct sock_filter, in memory.
[[nodiscard]] Result<std::string> compile_seccomp();

}  // namespace ebb::sandbox
