#include "sandbox/zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/enter.h"

namespace {

constexpr int kMaxFds = 3 + kEbbMaxCgroupFds;
constexpr unsigned kMaxInstructions = 4096;
constexpr size_t kPage = 4096;  // bytes, or a part of one

sock_filter g_filter[kMaxInstructions];  // read once; shared by every pod
unsigned short g_filter_length = 0;
iovec g_copied[kEbbMaxPieces];  // by the fork
unsigned g_copied_count = 0;

int read_filter(const char* path) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  const ssize_t n = read(fd, g_filter, sizeof g_filter);
  const int error = errno;
  close(fd);
  if (n < 0) return -error;
  if (n == 0 || n % sizeof(sock_filter) != 0) return -EINVAL;
  g_filter_length = static_cast<unsigned short>(n / sizeof(sock_filter));
  return 0;
}

void reply(int socket_fd, int pid, int error, const char* step) {
  EbbZygoteReply message = {};
  message.version = kEbbZygoteVersion;
  message.pid = pid;
  message.error = error;
  for (unsigned i = 0; i < g_copied_count; ++i) message.copied += g_copied[i].iov_len;
  strncpy(message.step, step, sizeof message.step - 1);
  send(socket_fd, &message, sizeof message, MSG_NOSIGNAL);
}

// Receives one spawn message. Returns its size, 0 at the end, -errno.
ssize_t receive(int socket_fd, EbbZygoteSpawn* spawn, int* fds, int* count) {
  struct iovec part = {spawn, sizeof *spawn};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxFds)];
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t n = 0;
  do {
    n = recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n < 0) return -errno;
  *count = 0;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const int got = static_cast<int>((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    for (int i = 0; i < got; ++i) {
      int fd = -1;
      memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
      if (*count < kMaxFds) {
        fds[(*count)++] = fd;
      } else {
        close(fd);
      }
    }
  }
  return n;
}

int write_file(const char* path, const char* text) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  const auto length = static_cast<ssize_t>(strlen(text));
  const int error = write(fd, text, length) == length ? 0 : -errno;
  close(fd);
  return error;
}

// Maps the pod's only id to the host id that the Local Controller chose.
int write_maps(int pid, uint32_t host_uid) {
  char path[64];
  char line[64];
  snprintf(line, sizeof line, "%d %u 1\n", kEbbPodUid, host_uid);
  snprintf(path, sizeof path, "/proc/%d/setgroups", pid);
  if (const int error = write_file(path, "deny"); error != 0) return error;
  snprintf(path, sizeof path, "/proc/%d/gid_map", pid);
  if (const int error = write_file(path, line); error != 0) return error;
  snprintf(path, sizeof path, "/proc/%d/uid_map", pid);
  return write_file(path, line);
}

// In the pod: a page that is there is met for the first time all the same, which costs a shadow
// fault where page tables are shadowed. Better now than on a request's time.
void touch_copied() {
  for (unsigned i = 0; i < g_copied_count; ++i) {
    volatile char* const begin = static_cast<char*>(g_copied[i].iov_base);
    for (size_t at = 0; at < g_copied[i].iov_len; at += kPage) begin[at] = begin[at];
  }
}

// Of the pieces, as some may have been freed meanwhile.
void keep_what_is_there() {
  unsigned char there[1];
  unsigned kept = 0;
  for (unsigned i = 0; i < g_copied_count; ++i) {
    bool all = true;
    for (size_t at = 0; all && at < g_copied[i].iov_len; at += kPage) {
      all = mincore(static_cast<char*>(g_copied[i].iov_base) + at, 1, there) == 0;
    }
    if (all) g_copied[kept++] = g_copied[i];
  }
  g_copied_count = kept;
}

// In the pod: isolates itself once its ids are mapped; ends it on failure, with
// the reason on its control socket ("E" + text, as runtimes report theirs).
void become_pod(const EbbZygoteSpawn& spawn, const int* fds, int go_fd) {
  EbbEnter options = {};
  options.control_fd = fds[0];
  options.listen_fd = fds[1];
  options.log_fd = fds[2];
  for (int& fd : options.cgroup_tasks) fd = -1;
  if (spawn.into_cgroup == 0) {
    for (uint32_t i = 0; i < spawn.cgroups; ++i) options.cgroup_tasks[i] = fds[3 + i];
  }
  options.without = spawn.without;
  options.host_uid = spawn.host_uid;
  options.max_processes = spawn.max_processes;
  options.hostname = spawn.hostname;
  options.link = spawn.link;
  options.link_fd = go_fd;
  options.tmp_bytes = spawn.tmp_bytes;
  options.tmp_inodes = spawn.tmp_inodes;
  options.max_files = spawn.max_files;
  options.filter = g_filter;
  options.filter_length = g_filter_length;

  const char* step = "wait for its id map";
  char go = 0;
  int error = read(go_fd, &go, 1) == 1 ? 0 : -EPIPE;
  const int control = fcntl(options.control_fd, F_DUPFD_CLOEXEC, 200);
  if (error == 0) error = ebb_enter(&options, &step);
  if (error == 0) return touch_copied();
  char text[160];
  const int length = snprintf(text, sizeof text, "Ecannot %s: %s", step, strerrordesc_np(-error));
  // ebb_enter may have closed the copy: then the socket already has its number.
  if (send(control, text, length, MSG_NOSIGNAL) < 0) {
    send(kEbbControlFd, text, length, MSG_NOSIGNAL);
  }
  _exit(70);
}

// In the zygote: does for the pod what it cannot do itself. A byte on `go_fd` after each
// part lets it go on, so that it works meanwhile; closing `go_fd` before ends it.
int lead_in(int pid, const EbbZygoteSpawn& spawn, int go_fd, const char** step) {
  const char byte = 1;
  *step = "map its user id";
  if ((spawn.without & kEbbWithoutUserNamespace) == 0) {
    if (const int error = write_maps(pid, spawn.host_uid); error != 0) return error;
  }
  *step = "let the pod go";
  if (write(go_fd, &byte, 1) != 1) return -EPIPE;
  if (spawn.link.address == 0) return 0;
  *step = "connect it to the network";
  if (const int error = ebb_make_link(&spawn.link, pid); error != 0) return error;
  *step = "let the pod take its network";
  return write(go_fd, &byte, 1) == 1 ? 0 : -EPIPE;
}

// 0: in the pod. 1: still the zygote.
int spawn_pod(int socket_fd, const EbbZygoteSpawn& spawn, const int* fds) {
  int go[2];
  if (pipe2(go, O_CLOEXEC) != 0) {
    reply(socket_fd, 0, errno, "make a pipe");
    return 1;
  }
  struct clone_args args = {};
  args.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_PARENT;
  const bool own_ids = (spawn.without & kEbbWithoutUserNamespace) == 0;
  if (own_ids) args.flags |= CLONE_NEWUSER;
  if ((spawn.without & kEbbWithoutIpcNamespace) == 0) args.flags |= CLONE_NEWIPC;
  if ((spawn.without & kEbbWithoutUtsNamespace) == 0) args.flags |= CLONE_NEWUTS;
  // The C library keeps the thread id in memory that the kernel must fill, as its
  // own fork does.
  int* tid = nullptr;
  if (prctl(PR_GET_TID_ADDRESS, &tid, 0, 0, 0) == 0 && tid != nullptr) {
    args.flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
    args.child_tid = reinterpret_cast<uint64_t>(tid);
  }
  if (spawn.into_cgroup != 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(fds[3]);
  }
  const long pid = syscall(SYS_clone3, &args, sizeof args);
  if (pid == 0) {
    close(go[1]);
    become_pod(spawn, fds, go[0]);
    return 0;
  }
  const int clone_error = errno;
  close(go[0]);
  if (pid < 0) {
    reply(socket_fd, 0, clone_error, "clone a pod");
  } else {
    const char* step = "";
    const int error = lead_in(static_cast<int>(pid), spawn, go[1], &step);
    reply(socket_fd, static_cast<int>(pid), -error, step);
  }
  close(go[1]);
  return 1;
}

}  // namespace

// What a fork may not share, since a device might write to it meanwhile, it copies (since Linux
// 5.9; copy_present_page() in mm/memory.c): pinned pages. Registered buffers of an io_uring
// are. The ring is for nothing else; pods close it with all that is not theirs.
int ebb_zygote_copy_at_fork(const struct iovec* pieces, unsigned count) {
  if (count > kEbbMaxPieces) return -E2BIG;
  struct io_uring_params parameters = {};
  const long ring = syscall(SYS_io_uring_setup, 1, &parameters);
  if (ring < 0) return -errno;
  if (syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, pieces, count) != 0) {
    const int error = errno;
    close(static_cast<int>(ring));
    return -error;
  }
  memcpy(g_copied, pieces, count * sizeof *pieces);
  g_copied_count = count;
  return 0;
}

int ebb_zygote_serve(int socket_fd, const char* filter_path) {
  keep_what_is_there();
  // Empty where the kernel has no seccomp: then no spawn message asks for it.
  if (const int error = read_filter(filter_path); error != 0 && error != -EINVAL) return error;
  reply(socket_fd, 0, 0, "");
  for (;;) {
    EbbZygoteSpawn spawn = {};
    int fds[kMaxFds];
    int count = 0;
    const ssize_t n = receive(socket_fd, &spawn, fds, &count);
    if (n == 0) return 1;
    if (n < 0) return static_cast<int>(n);
    const uint32_t cgroups = spawn.into_cgroup != 0 ? 1 : spawn.cgroups;
    const bool filtered = g_filter_length > 0 || (spawn.without & kEbbWithoutSeccomp) != 0;
    const bool valid = filtered && n == sizeof spawn && spawn.version == kEbbZygoteVersion &&
                       cgroups <= kEbbMaxCgroupFds && count == static_cast<int>(3 + cgroups);
    spawn.hostname[sizeof spawn.hostname - 1] = '\0';
    spawn.link.name[sizeof spawn.link.name - 1] = '\0';
    int where = 1;
    if (valid) {
      where = spawn_pod(socket_fd, spawn, fds);
    } else {
      reply(socket_fd, 0, EPROTO, "understand the spawn message");
    }
    if (where == 0) return 0;
    for (int i = 0; i < count; ++i) close(fds[i]);
  }
}
