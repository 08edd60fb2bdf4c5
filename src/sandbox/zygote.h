// The forking half of a zygote: a small library that a runtime loads (by ctypes,
// dlopen, ...) and that turns one prepared process into many pods.
//
// A zygote imports what functions need, warms up, and calls ebb_zygote_serve().
// For each spawn message it clones itself into fresh namespaces. The clone is a
// child of the Local Controller (CLONE_PARENT), which reaps and ends it. The
// zygote never reads anything that a tenant wrote.
#pragma once

#include <stdint.h>
#include <sys/uio.h>

#include "sandbox/pod_link.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { kEbbZygoteVersion = 3, kEbbMaxPieces = 4096 };

// Local Controller -> zygote, one SOCK_SEQPACKET message. Descriptors with it, in
// this order: control, listener, log, then `cgroups` of tasks (v1), or one
// cgroup folder (v2, `into_cgroup` = 1).
struct EbbZygoteSpawn {
  uint32_t version;
  uint32_t host_uid;  // what the pod's only uid and gid are outside
  uint32_t cgroups;
  uint32_t into_cgroup;
  uint32_t without;  // see enter.h
  uint32_t padding;
  uint64_t tmp_bytes;
  uint64_t tmp_inodes;
  uint64_t max_files;
  uint64_t max_processes;  // 0: its cgroup limits them
  struct EbbPodLink link;  // its network besides loopback
  char hostname[64];       // ends with NUL
};

// Zygote -> Local Controller. First a hello with pid 0 when it is ready to fork,
// then one answer for each spawn.
struct EbbZygoteReply {
  uint32_t version;
  int32_t pid;    // the pod's, as the zygote sees it
  int32_t error;  // errno, or 0
  uint32_t padding;
  uint64_t copied;  // bytes of each pod that its fork has copied: they count as the zygote's
  char step[64];    // what failed
};

// Serves spawn messages on `socket_fd` with the seccomp program in the file at
// `filter_path`. Returns 0 inside each new pod, already isolated, with descriptors
// kEbbControlFd and kEbbListenFd; 1 in the zygote when the Local Controller has
// gone; -errno if it cannot start.
int ebb_zygote_serve(int socket_fd, const char* filter_path);

// Before that, once: whole pages of the caller's memory that every pod will write to. Pods get
// copies of them as they are cloned, not at their first writes, each of which is a fault and a
// flush of the TLB. 0, or -errno where the kernel cannot, which changes nothing. The copies are
// charged to the zygote's cgroup. At most kEbbMaxPieces.
int ebb_zygote_copy_at_fork(const struct iovec* pieces, unsigned count);

#ifdef __cplusplus
}
#endif
