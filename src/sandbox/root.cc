#include "sandbox/root.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "base/quote.h"
#include "base/unique_fd.h"
#include "sandbox/enter.h"

namespace ebb::sandbox {
namespace {

// The new root is assembled here; any existing folder serves, it is only covered
// in our own mount namespace.
constexpr const char* kStage = "/tmp";

Result<void> make_folders(const std::string& path) {
  for (size_t at = 1; at != std::string::npos;) {
    at = path.find('/', at + 1);
    const std::string part = path.substr(0, at);
    if (::mkdir(part.c_str(), 0755) != 0 && errno != EEXIST) {
      return fail_errno(errno, "cannot make " + part);
    }
  }
  return {};
}

std::string parent_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

Result<void> write_small(const std::string& path, std::string_view text) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd || ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return fail_errno(errno, "cannot write " + path);
  }
  return {};
}

// Shows host path `from` read-only at `to`.
Result<void> bind_read_only(const std::string& from, const std::string& to) {
  const UniqueFd tree(static_cast<int>(
      ::syscall(SYS_open_tree, AT_FDCWD, from.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
  if (!tree) return fail_errno(errno, "cannot take a copy of the mount at " + from);
  struct mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  if (::syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) !=
      0) {
    return fail_errno(errno, "cannot make the mount of " + from + " read-only");
  }
  if (::syscall(SYS_move_mount, tree.get(), "", AT_FDCWD, to.c_str(), MOVE_MOUNT_F_EMPTY_PATH) !=
      0) {
    return fail_errno(errno, "cannot mount " + from + " at " + to);
  }
  return {};
}

Result<void> show(const std::string& entry, const std::string& root) {
  const bool optional = entry.starts_with('?');
  const std::string from = optional ? entry.substr(1) : entry;
  if (!from.starts_with('/') || from.find("/..") != std::string::npos) {
    return fail(Errc::kInvalid, "the runtime's mount {} is not an absolute path", in_quotes(from));
  }
  struct stat info = {};
  if (::lstat(from.c_str(), &info) != 0) {
    if (optional && errno == ENOENT) return {};
    return fail_errno(errno, "the runtime needs " + from);
  }
  const std::string to = root + from;
  if (auto made = make_folders(parent_of(to)); !made) return made;
  if (S_ISLNK(info.st_mode)) {
    char target[PATH_MAX];
    const ssize_t n = ::readlink(from.c_str(), target, sizeof target - 1);
    if (n < 0) return fail_errno(errno, "cannot read the link " + from);
    target[n] = '\0';
    if (::symlink(target, to.c_str()) != 0 && errno != EEXIST) {
      return fail_errno(errno, "cannot make the link " + to);
    }
    return {};
  }
  if (S_ISDIR(info.st_mode)) {
    if (auto made = make_folders(to); !made) return made;
  } else if (auto made = write_small(to, ""); !made) {
    return made;
  }
  return bind_read_only(from, to);
}

Result<void> bind_device(const char* name, const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  const std::string source = std::string("/dev/") + name;
  if (!file || ::mount(source.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    return fail_errno(errno, "cannot make " + path);
  }
  return {};
}

Result<void> make_devices(const std::string& root) {
  const struct {
    const char* name;
    unsigned major;
    unsigned minor;
  } devices[] = {
      {"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}};
  for (const auto& device : devices) {
    const std::string path = root + "/dev/" + device.name;
    if (::mknod(path.c_str(), S_IFCHR | 0666, makedev(device.major, device.minor)) != 0) {
      // In a user namespace none can be made: this machine's, then.
      if (errno != EPERM) return fail_errno(errno, "cannot make " + path);
      if (auto bound = bind_device(device.name, path); !bound) return bound;
    } else if (::chmod(path.c_str(), 0666) != 0) {
      return fail_errno(errno, "cannot make " + path);
    }
  }
  const std::pair<const char*, const char*> links[] = {{"/proc/self/fd", "/dev/fd"},
                                                       {"/proc/self/fd/0", "/dev/stdin"},
                                                       {"/proc/self/fd/1", "/dev/stdout"},
                                                       {"/proc/self/fd/2", "/dev/stderr"},
                                                       {"/tmp", "/dev/shm"}};
  for (const auto& [target, path] : links) {
    if (::symlink(target, (root + path).c_str()) != 0) {
      return fail_errno(errno, std::string("cannot make ") + path);
    }
  }
  return {};
}

Result<void> fill(const RootSpec& spec, const std::string& root) {
  for (const char* folder : {"/dev", "/proc", "/tmp", "/etc", kCodeFolder, "/ebb/runtime"}) {
    if (auto made = make_folders(root + folder); !made) return made;
  }
  if (auto made = make_devices(root); !made) return made;
  const std::string id = std::to_string(kEbbPodUid);
  // One resolver that asks several: it gives up before the pod does.
  const std::string resolver =
      spec.resolver.empty() ? ""
                            : "nameserver " + spec.resolver + "\noptions timeout:6 attempts:2\n";
  const std::pair<std::string, std::string> files[] = {
      {"/etc/resolv.conf", resolver},
      {"/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"},
      {"/etc/passwd", "ebb:x:" + id + ":" + id + "::/tmp:/usr/sbin/nologin\n"},
      {"/etc/group", "ebb:x:" + id + ":\n"},
      {"/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"}};
  for (const auto& [path, text] : files) {
    if (auto written = write_small(root + path, text); !written) return written;
  }
  for (const auto& mount : spec.mounts) {
    if (auto shown = show(mount, root); !shown) return shown;
  }
  return bind_read_only(spec.runtime, root + "/ebb/runtime");
}

}  // namespace

Result<void> build_root(const RootSpec& spec) {
  if (::unshare(CLONE_NEWNS) != 0) {
    return fail_errno(errno, "cannot make a mount namespace (run as root)");
  }
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return fail_errno(errno, "cannot make mounts private");
  }
  // The stage must not hide what `fill` still binds from: hold it by descriptor.
  const UniqueFd fs(static_cast<int>(::syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC)));
  if (!fs) return fail_errno(errno, "cannot open a tmpfs");
  ::syscall(SYS_fsconfig, fs.get(), FSCONFIG_SET_STRING, "mode", "0755", 0);
  ::syscall(SYS_fsconfig, fs.get(), FSCONFIG_SET_STRING, "size", "1m", 0);
  if (::syscall(SYS_fsconfig, fs.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return fail_errno(errno, "cannot make a tmpfs");
  }
  const UniqueFd mounted(
      static_cast<int>(::syscall(SYS_fsmount, fs.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID)));
  if (!mounted) return fail_errno(errno, "cannot mount a tmpfs");
  RootSpec staged = spec;
  const UniqueFd runtime_fd(::open(spec.runtime.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!runtime_fd) return fail_errno(errno, "cannot open the runtime folder " + spec.runtime);
  staged.runtime = "/proc/self/fd/" + std::to_string(runtime_fd.get());
  if (::syscall(SYS_move_mount, mounted.get(), "", AT_FDCWD, kStage, MOVE_MOUNT_F_EMPTY_PATH) !=
      0) {
    return fail_errno(errno, "cannot place the new root");
  }
  if (auto filled = fill(staged, kStage); !filled) return filled;
  // In a user namespace that has not made its process ids none can be made: this machine's,
  // then. Pods see their own.
  const std::string proc = std::string(kStage) + "/proc";
  if (::mount("proc", proc.c_str(), "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0 &&
      (errno != EPERM || ::mount("/proc", proc.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0)) {
    return fail_errno(errno, "cannot mount /proc");
  }
  if (::chdir(kStage) != 0 || ::syscall(SYS_pivot_root, ".", ".") != 0 ||
      ::umount2(".", MNT_DETACH) != 0 || ::chdir("/") != 0) {
    return fail_errno(errno, "cannot change to the new root");
  }
  struct mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  if (::syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &attributes, sizeof attributes) != 0) {
    return fail_errno(errno, "cannot make the new root read-only");
  }
  return {};
}

}  // namespace ebb::sandbox
