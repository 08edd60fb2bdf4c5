#include "node/ids.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <fstream>
#include <string>

#include "base/unique_fd.h"

namespace ebb::node {
namespace {

// /proc/self/uid_map: lines of first id inside, first id outside, count.
bool is_mapped(const char* map, uint64_t first, uint64_t count) {
  std::ifstream lines(map);
  uint64_t inside = 0;
  uint64_t outside = 0;
  uint64_t size = 0;
  while (lines >> inside >> outside >> size) {
    if (inside <= first && first + count <= inside + size) return true;
  }
  return false;
}

Result<void> write_self(const char* path, const std::string& text) {
  const UniqueFd fd(::open(path, O_WRONLY | O_CLOEXEC));
  if (!fd || ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return fail_errno(errno, std::string("cannot write ") + path);
  }
  return {};
}

}  // namespace

bool has_own_ids() {
  static const bool mapped = is_mapped("/proc/self/uid_map", kFrontUid, 1 + kPodUids) &&
                             is_mapped("/proc/self/gid_map", kFrontUid, 1 + kPodUids);
  return mapped;
}

uid_t front_uid() { return has_own_ids() ? kFrontUid : 0; }

uid_t pod_uid(uint32_t slot) { return has_own_ids() ? kFirstPodUid + slot : 0; }

Result<void> enter_own_user_namespace() {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  if (::unshare(CLONE_NEWUSER) != 0) return fail_errno(errno, "cannot make a user namespace");
  if (auto ok = write_self("/proc/self/setgroups", "deny"); !ok) return ok;
  if (auto ok = write_self("/proc/self/uid_map", fmt::format("0 {} 1\n", uid)); !ok) return ok;
  return write_self("/proc/self/gid_map", fmt::format("0 {} 1\n", gid));
}

Result<void> make_up_for_root() {
  const auto hint = [](const Error& error) {
    return fail(Errc::kPermission,
                "ebb up needs root's rights, or a user namespace of its own, to isolate functions "
                "from each other and from this machine; this system does not let it make one ({}). "
                "Start it with: sudo ebb up. Or allow them: sysctl "
                "user.max_user_namespaces=10000 (on Debian "
                "kernel.unprivileged_userns_clone=1, on Ubuntu "
                "kernel.apparmor_restrict_unprivileged_userns=0)",
                error.message);
  };
  if (::geteuid() != 0) {
    if (auto own = enter_own_user_namespace(); !own) return hint(own.error());
  }
  if (has_own_ids()) return {};
  // Only in a mount namespace of the same owner may mounts be made, as of code into a pod.
  if (::unshare(CLONE_NEWNS) != 0) {
    return hint(fail_errno(errno, "cannot make a mount namespace").value());
  }
  return {};
}

}  // namespace ebb::node
