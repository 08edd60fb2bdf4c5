#include "sandbox/inject.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "base/log.h"

namespace ebb::sandbox {

Result<UniqueFd> own_mount_namespace() {
  UniqueFd fd(::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, "cannot open the own mount namespace");
  return fd;
}

Result<void> inject_mount(int dir_fd, int pod_pidfd, const char* target, int own_namespace) {
  const UniqueFd tree(static_cast<int>(
      ::syscall(SYS_open_tree, dir_fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
  if (!tree) return fail_errno(errno, "cannot take a copy of the code's mount");
  struct mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  if (::syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) !=
      0) {
    return fail_errno(errno, "cannot make the code read-only");
  }
  if (::setns(pod_pidfd, CLONE_NEWNS) != 0) {
    return fail_errno(errno, "cannot enter the pod's mount namespace");
  }
  const bool moved =
      ::syscall(SYS_move_mount, tree.get(), "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) == 0;
  const int err = errno;
  if (::setns(own_namespace, CLONE_NEWNS) != 0) {
    // In a tenant's file system for good: nothing safe can be done any more.
    log::error("sandbox", "cannot come back from a pod's mount namespace");
    std::abort();
  }
  if (!moved) return fail_errno(err, std::string("cannot mount the code at ") + target);
  return {};
}

}  // namespace ebb::sandbox
