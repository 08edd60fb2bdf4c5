#include "sandbox/rights.h"

#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

namespace ebb::sandbox {
namespace {

struct Probe {
  int flag;
  const char* name;
  const char* how;
};

constexpr Probe kProbes[] = {
    {CLONE_NEWNS, "mount", "In a container, run it with --privileged (or CAP_SYS_ADMIN)."},
    {CLONE_NEWUSER, "user",
     "Allow them: sysctl user.max_user_namespaces=10000 (and on Debian "
     "kernel.unprivileged_userns_clone=1); in a container, run it with --privileged."},
    {CLONE_NEWPID, "pid", "Allow them: sysctl user.max_pid_namespaces=10000."},
    {CLONE_NEWNET, "network", "Allow them: sysctl user.max_net_namespaces=10000."},
    {CLONE_NEWIPC, "ipc", "Allow them: sysctl user.max_ipc_namespaces=10000."},
    {CLONE_NEWUTS, "uts", "Allow them: sysctl user.max_uts_namespaces=10000."},
    {CLONE_NEWCGROUP, "cgroup", "Allow them: sysctl user.max_cgroup_namespaces=10000."},
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

Result<void> check_rights() {
  if (::geteuid() != 0) {
    return fail(Errc::kPermission,
                "ebb up must run as root, to isolate functions from each other and from this "
                "machine. Start it with: sudo ebb up");
  }
  for (const auto& probe : kProbes) {
    if (const int err = try_clone(probe.flag); err != 0) {
      return fail(Errc::kPermission, "this system does not let Ebb make {} namespaces ({}). {}",
                  probe.name, std::strerror(err), probe.how);
    }
  }
  // Invalid arguments on purpose: only whether the kernel knows the call matters.
  if (::syscall(SYS_mount_setattr, -1, "", 0U, nullptr, 0) < 0 && errno == ENOSYS) {
    return fail(Errc::kPermission,
                "this kernel has no mount_setattr: Ebb needs Linux 5.12 or newer (Debian 12 has "
                "6.1)");
  }
  return {};
}

}  // namespace ebb::sandbox
