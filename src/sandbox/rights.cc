#include "sandbox/rights.h"

#include <linux/mount.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "sandbox/enter.h"

namespace ebb::sandbox {
namespace {

struct Probe {
  int flag;
  const char* name;
  uint32_t without;     // 0: needed
  const char* meaning;  // of doing without
  const char* how;
};

constexpr Probe kProbes[] = {
    {CLONE_NEWNS, "mount", 0, "", "In a container, run it with --privileged (or CAP_SYS_ADMIN)."},
    {CLONE_NEWPID, "pid", 0, "", "Allow them: sysctl user.max_pid_namespaces=10000."},
    {CLONE_NEWNET, "network", 0, "", "Allow them: sysctl user.max_net_namespaces=10000."},
    {CLONE_NEWUSER, "user", kEbbWithoutUserNamespace,
     "functions run as users of this machine, without rights",
     "Allow them: sysctl user.max_user_namespaces=10000 (and on Debian "
     "kernel.unprivileged_userns_clone=1); in a container, run it with --privileged."},
    {CLONE_NEWIPC, "ipc", kEbbWithoutIpcNamespace, "functions share System V IPC with this machine",
     "Allow them: sysctl user.max_ipc_namespaces=10000."},
    {CLONE_NEWUTS, "uts", kEbbWithoutUtsNamespace, "functions see this machine's name",
     "Allow them: sysctl user.max_uts_namespaces=10000."},
    {CLONE_NEWCGROUP, "cgroup", kEbbWithoutCgroupNamespace,
     "functions see where their control group lies",
     "Allow them: sysctl user.max_cgroup_namespaces=10000."},
};

// errno of cloning a process into a new namespace, or 0.
int try_clone(int flag) {
  // The bare call: the child only exits, and must not run the C library's fork code.
  const auto pid = static_cast<pid_t>(::syscall(SYS_clone, flag | SIGCHLD, 0, 0, 0, 0));
  if (pid < 0) return errno;
  if (pid == 0) ::syscall(SYS_exit_group, 0);
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return 0;
}

}  // namespace

Result<Rights> check_rights() {
  Rights rights;
  for (const auto& probe : kProbes) {
    const int err = try_clone(probe.flag);
    if (err == 0) continue;
    const std::string what = fmt::format("this system does not let Ebb make {} namespaces ({})",
                                         probe.name, std::strerror(err));
    if (probe.without == 0) return fail(Errc::kPermission, "{}. {}", what, probe.how);
    rights.without |= probe.without;
    rights.lacks.push_back(fmt::format("{}: {}. {}", what, probe.meaning, probe.how));
  }
  // Invalid arguments on purpose: only whether the kernel knows the call matters.
  if (::syscall(SYS_mount_setattr, -1, "", 0U, nullptr, 0) < 0 && errno == ENOSYS) {
    return fail(Errc::kPermission,
                "this kernel has no mount_setattr: Ebb needs Linux 5.12 or newer (Debian 12 has "
                "6.1)");
  }
  const uint32_t action = SECCOMP_RET_ERRNO;
  if (::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0U, &action) != 0) {
    rights.without |= kEbbWithoutSeccomp;
    rights.lacks.push_back(
        fmt::format("this kernel does not filter system calls ({}): functions reach all of the "
                    "kernel. Use one with CONFIG_SECCOMP_FILTER (Debian's have it).",
                    std::strerror(errno)));
  }
  return rights;
}

}  // namespace ebb::sandbox
