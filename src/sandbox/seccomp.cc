#include "sandbox/seccomp.h"

#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "base/unique_fd.h"

namespace ebb::sandbox {
namespace {

// What interpreters, their C libraries and compiled programs use.
constexpr const char* kAllowed[] = {
    // files
    "access",
    "chdir",
    "chmod",
    "close",
    "close_range",
    "copy_file_range",
    "creat",
    "dup",
    "dup2",
    "dup3",
    "faccessat",
    "faccessat2",
    "fadvise64",
    "fallocate",
    "fchdir",
    "fchmod",
    "fchmodat",
    "fchown",
    "fchownat",
    "fcntl",
    "fdatasync",
    "fgetxattr",
    "flistxattr",
    "flock",
    "fstat",
    "fstatfs",
    "fsync",
    "ftruncate",
    "getcwd",
    "getdents",
    "getdents64",
    "getxattr",
    "ioctl",
    "lchown",
    "chown",
    "lgetxattr",
    "link",
    "linkat",
    "listxattr",
    "llistxattr",
    "lseek",
    "lstat",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "pread64",
    "preadv",
    "preadv2",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "read",
    "readahead",
    "readlink",
    "readlinkat",
    "readv",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "sendfile",
    "splice",
    "stat",
    "statfs",
    "statx",
    "symlink",
    "symlinkat",
    "sync_file_range",
    "tee",
    "truncate",
    "umask",
    "unlink",
    "unlinkat",
    "utime",
    "utimensat",
    "utimes",
    "futimesat",
    "write",
    "writev",
    "memfd_create",
    "inotify_init",
    "inotify_init1",
    "inotify_add_watch",
    "inotify_rm_watch",
    // memory
    "brk",
    "madvise",
    "membarrier",
    "mincore",
    "mlock",
    "mlock2",
    "mlockall",
    "munlock",
    "munlockall",
    "mmap",
    "mprotect",
    "mremap",
    "msync",
    "munmap",
    "pkey_alloc",
    "pkey_free",
    "pkey_mprotect",
    "get_mempolicy",
    // processes and threads
    "arch_prctl",
    "capget",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "fork",
    "vfork",
    "futex",
    "futex_waitv",
    "get_robust_list",
    "set_robust_list",
    "get_thread_area",
    "set_thread_area",
    "getcpu",
    "getegid",
    "geteuid",
    "getgid",
    "getgroups",
    "getpgid",
    "getpgrp",
    "getpid",
    "getppid",
    "getpriority",
    "getresgid",
    "getresuid",
    "getrlimit",
    "getrusage",
    "getsid",
    "gettid",
    "getuid",
    "kill",
    "pidfd_open",
    "pidfd_send_signal",
    "prctl",
    "prlimit64",
    "restart_syscall",
    "rseq",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_getaffinity",
    "sched_getattr",
    "sched_getparam",
    "sched_getscheduler",
    "sched_setaffinity",
    "sched_setattr",
    "sched_setparam",
    "sched_setscheduler",
    "sched_yield",
    "set_tid_address",
    "setpgid",
    "setpriority",
    "setrlimit",
    "setsid",
    "sysinfo",
    "tgkill",
    "times",
    "tkill",
    "uname",
    "wait4",
    "waitid",
    "seccomp",
    // signals and time
    "alarm",
    "clock_getres",
    "clock_gettime",
    "clock_nanosleep",
    "getitimer",
    "gettimeofday",
    "nanosleep",
    "pause",
    "rt_sigaction",
    "rt_sigpending",
    "rt_sigprocmask",
    "rt_sigqueueinfo",
    "rt_sigreturn",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "rt_tgsigqueueinfo",
    "setitimer",
    "sigaltstack",
    "signalfd",
    "signalfd4",
    "time",
    "timer_create",
    "timer_delete",
    "timer_getoverrun",
    "timer_gettime",
    "timer_settime",
    "timerfd_create",
    "timerfd_gettime",
    "timerfd_settime",
    // events, pipes, sockets (socket and socketpair: by family, below)
    "accept",
    "accept4",
    "bind",
    "connect",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "eventfd",
    "eventfd2",
    "getpeername",
    "getsockname",
    "getsockopt",
    "listen",
    "pipe",
    "pipe2",
    "poll",
    "ppoll",
    "pselect6",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "select",
    "sendmmsg",
    "sendmsg",
    "sendto",

    "shutdown",
    "getrandom",
    // System V and POSIX IPC, inside the pod's own namespace
    "mq_getsetattr",
    "mq_notify",
    "mq_open",
    "mq_timedreceive",
    "mq_timedsend",
    "mq_unlink",
    "msgctl",
    "msgget",
    "msgrcv",
    "msgsnd",
    "semctl",
    "semget",
    "semop",
    "semtimedop",
    "shmat",
    "shmctl",
    "shmdt",
    "shmget",
};

constexpr int kFamilies[] = {AF_UNIX, AF_INET, AF_INET6};

// setsockopt by level and option. Without SO_LINGER: a socket whose close blocks could
// be sent to another process, which would block in turn when it drops it.
constexpr int kLevels[] = {IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP};
constexpr int kSocketOptions[] = {SO_REUSEADDR, SO_ERROR,     SO_BROADCAST, SO_SNDBUF,
                                  SO_RCVBUF,    SO_KEEPALIVE, SO_OOBINLINE, SO_PRIORITY,
                                  SO_REUSEPORT, SO_PASSCRED,  SO_RCVLOWAT,  SO_SNDLOWAT,
                                  SO_RCVTIMEO,  SO_SNDTIMEO,  SO_TIMESTAMP, SO_INCOMING_CPU};
constexpr uint64_t kInt = 0xffffffff;  // the kernel reads 32 bits of an int argument

constexpr uint64_t kNamespaceFlags = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                     CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET |
                                     0x80 /* CLONE_NEWTIME */;

struct Release {
  void operator()(void* context) const { seccomp_release(context); }
};

int add_rules(scmp_filter_ctx context) {
  for (const char* name : kAllowed) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) continue;  // not on this architecture
    if (const int error = seccomp_rule_add(context, SCMP_ACT_ALLOW, number, 0); error != 0) {
      return error;
    }
  }
  for (const int family : kFamilies) {
    for (const int call : {SCMP_SYS(socket), SCMP_SYS(socketpair)}) {
      const int error = seccomp_rule_add(context, SCMP_ACT_ALLOW, call, 1,
                                         SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(family)));
      if (error != 0) return error;
    }
  }
  for (const int level : kLevels) {
    const int error =
        seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(setsockopt), 1,
                         SCMP_A1(SCMP_CMP_MASKED_EQ, kInt, static_cast<scmp_datum_t>(level)));
    if (error != 0) return error;
  }
  for (const int option : kSocketOptions) {
    const int error =
        seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(setsockopt), 2,
                         SCMP_A1(SCMP_CMP_MASKED_EQ, kInt, static_cast<scmp_datum_t>(SOL_SOCKET)),
                         SCMP_A2(SCMP_CMP_MASKED_EQ, kInt, static_cast<scmp_datum_t>(option)));
    if (error != 0) return error;
  }
  if (const int error =
          seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                           SCMP_A0(SCMP_CMP_MASKED_EQ, kNamespaceFlags, static_cast<uint64_t>(0)));
      error != 0) {
    return error;
  }
  return seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

}  // namespace

Result<std::string> compile_seccomp() {
  const std::unique_ptr<void, Release> context(seccomp_init(SCMP_ACT_ERRNO(EPERM)));
  if (!context) return fail(Errc::kInternal, "libseccomp cannot start");
  // A binary tree of rules: fewer instructions on each system call.
  seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  if (const int error = add_rules(context.get()); error != 0) {
    return fail_errno(-error, "cannot build the seccomp filter");
  }
  const UniqueFd file(memfd_create("ebb-seccomp", MFD_CLOEXEC));
  if (!file) return fail_errno(errno, "cannot make a memory file");
  if (const int error = seccomp_export_bpf(context.get(), file.get()); error != 0) {
    return fail_errno(-error, "cannot export the seccomp filter");
  }
  const off_t size = lseek(file.get(), 0, SEEK_END);
  std::string program(static_cast<size_t>(size), '\0');
  if (pread(file.get(), program.data(), program.size(), 0) != size) {
    return fail_errno(errno, "cannot read the seccomp filter back");
  }
  return program;
}

}  // namespace ebb::sandbox
