// The last steps of isolation, run inside the new pod process.
//
// C-callable, allocates nothing, throws nothing: it also runs in the child of a
// zygote, where only system calls are safe. Everything happens between clone3()
// into the seven namespaces and the first line of the runtime. What each step
// blocks is in docs/security.md.
#pragma once

#include <linux/filter.h>
#include <stdint.h>

#include "sandbox/pod_link.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { kEbbMaxCgroupFds = 4 };

// Descriptors of a pod after entering, besides 0 (/dev/null), 1 and 2 (its log).
enum { kEbbControlFd = 3, kEbbListenFd = 4 };

// The ids inside the pod's user namespace, the only mapped ones.
enum { kEbbPodUid = 1000 };

// Parts of the isolation that a pod does without, where the machine does not allow
// them (rights.h finds out). Bits. Mount, pid and network namespaces are not among
// them: without those there is no isolation to speak of.
enum {
  kEbbWithoutUserNamespace = 1,    // runs as its host id, with no rights either
  kEbbWithoutIpcNamespace = 2,     // shares System V IPC with the machine, as its own user
  kEbbWithoutUtsNamespace = 4,     // sees the machine's name
  kEbbWithoutCgroupNamespace = 8,  // sees its group's full path
  kEbbWithoutSeccomp = 16,         // may try every system call
  kEbbWithoutCgroups = 32,         // memory and CPU without limit; processes by rlimit
};

struct EbbEnter {
  uint32_t without;   // bits above
  uint32_t host_uid;  // what its only id is outside
  int control_fd;     // SOCK_SEQPACKET to the Local Controller
  int listen_fd;      // the pod's listening Unix socket
  int log_fd;         // becomes stdout and stderr
  // cgroup v1: open tasks files to join, -1 ends the list. With v2 the
  // process was cloned into its group.
  int cgroup_tasks[kEbbMaxCgroupFds];
  const char* hostname;
  struct EbbPodLink link;
  int link_fd;         // a byte comes here once the zygote has made `link`
  uint64_t tmp_bytes;  // size of /tmp, charged to the pod's memory
  uint64_t tmp_inodes;
  uint64_t max_files;                // RLIMIT_NOFILE
  uint64_t max_processes;            // RLIMIT_NPROC; 0: its cgroup limits them
  const struct sock_filter* filter;  // the compiled seccomp program
  unsigned short filter_length;      // instructions
};

// Isolates the calling process: joins cgroups, takes the mapped ids, sets up
// its network, /proc and /tmp, limits, descriptors; drops all capabilities, asks to
// die with its parent, loads seccomp. Leaves out what `without` says. Needs the id maps
// written before. Returns 0,
// or -errno with `*step` naming what failed.
int ebb_enter(const struct EbbEnter* options, const char** step);

#ifdef __cplusplus
}
#endif
