#include "sandbox/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

// Above every number that a pod keeps, so that moving down cannot overwrite.
constexpr int kHighFd = 100;

int join_cgroups(const EbbEnter& o) {
  for (int fd : o.cgroup_tasks) {
    if (fd < 0) break;
    if (write(fd, "0", 1) != 1) return -errno;
  }
  // After joining, so that the pod's own group is the root that it sees.
  if ((o.without & kEbbWithoutCgroupNamespace) != 0) return 0;
  return unshare(CLONE_NEWCGROUP) == 0 ? 0 : -errno;
}

uint32_t id_inside(const EbbEnter& o) {
  return (o.without & kEbbWithoutUserNamespace) != 0 ? o.host_uid : uint32_t{kEbbPodUid};
}

int take_ids(const EbbEnter& o) {
  // Supplementary groups were dropped by the Local Controller; in a user namespace
  // setgroups is denied.
  const uint32_t id = id_inside(o);
  if (setresgid(id, id, id) != 0) return -errno;
  if (setresuid(id, id, id) != 0) return -errno;
  return 0;
}

int loopback_up() {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  struct ifreq request = {};
  strncpy(request.ifr_name, "lo", sizeof request.ifr_name - 1);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  const int result = ioctl(fd, SIOCSIFFLAGS, &request) == 0 ? 0 : -errno;
  close(fd);
  return result;
}

int wait_for_link(const EbbEnter& o) {
  char byte = 0;
  return read(o.link_fd, &byte, 1) == 1 ? 0 : -EPIPE;
}

int mount_private_parts(const EbbEnter& o) {
  if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC,
            "subset=pid,hidepid=invisible") != 0) {
    return -errno;
  }
  char options[128];
  snprintf(options, sizeof options, "mode=0700,uid=%u,gid=%u,size=%llu,nr_inodes=%llu",
           id_inside(o), id_inside(o), static_cast<unsigned long long>(o.tmp_bytes),
           static_cast<unsigned long long>(o.tmp_inodes));
  if (mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, options) != 0) return -errno;
  return 0;
}

int set_limit(int resource, rlim_t value) {
  const struct rlimit limit = {value, value};
  return setrlimit(static_cast<__rlimit_resource_t>(resource), &limit) == 0 ? 0 : -errno;
}

int limit_resources(const EbbEnter& o) {
  const struct {
    int resource;
    rlim_t value;
  } limits[] = {
      {RLIMIT_CORE, 0},    {RLIMIT_NOFILE, o.max_files}, {RLIMIT_FSIZE, o.tmp_bytes},
      {RLIMIT_MEMLOCK, 0}, {RLIMIT_MSGQUEUE, 0},
  };
  for (const auto& limit : limits) {
    if (const int error = set_limit(limit.resource, limit.value); error != 0) return error;
  }
  if (o.max_processes != 0) return set_limit(RLIMIT_NPROC, o.max_processes);
  return 0;
}

// Leaves exactly 0..4 open.
int place_descriptors(const EbbEnter& o) {
  const int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null_fd < 0) return -errno;
  const int wanted[] = {null_fd, o.log_fd, o.log_fd, o.control_fd, o.listen_fd};
  constexpr int kCount = sizeof wanted / sizeof wanted[0];
  int high[kCount];
  for (int i = 0; i < kCount; ++i) {
    high[i] = fcntl(wanted[i], F_DUPFD_CLOEXEC, kHighFd);
    if (high[i] < 0) return -errno;
  }
  for (int i = 0; i < kCount; ++i) {
    if (dup3(high[i], i, i >= kEbbControlFd ? O_CLOEXEC : 0) < 0) return -errno;
  }
  if (syscall(SYS_close_range, kEbbListenFd + 1, ~0U, 0) != 0) return -errno;
  return 0;
}

int drop_capabilities(const EbbEnter& o) {
  for (int cap = 0; cap <= CAP_LAST_CAP; ++cap) {
    if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0 && errno != EINVAL) return -errno;
  }
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) return -errno;
  // Outside a user namespace the change of ids takes the rights that were needed here.
  if ((o.without & kEbbWithoutUserNamespace) != 0) {
    if (const int error = take_ids(o); error != 0) return error;
  }
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct none[2] = {};
  return syscall(SYS_capset, &header, none) == 0 ? 0 : -errno;
}

int die_with_parent() {
  // After the change of ids and capabilities, which silently clears it.
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return -errno;
  // The change of ids also made /proc/self belong to root.
  return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0 ? 0 : -errno;
}

int load_seccomp(const EbbEnter& o) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -errno;
  if ((o.without & kEbbWithoutSeccomp) != 0) return 0;
  const struct sock_fprog program = {o.filter_length, const_cast<sock_filter*>(o.filter)};
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0 ? 0 : -errno;
}

}  // namespace

int ebb_enter(const EbbEnter* options, const char** step) {
  const EbbEnter& o = *options;
  int error = 0;
#define EBB_STEP(name, call)      \
  do {                            \
    *step = name;                 \
    error = (call);               \
    if (error != 0) return error; \
  } while (0)

  EBB_STEP("join its cgroups", join_cgroups(o));
  if ((o.without & kEbbWithoutUserNamespace) == 0) EBB_STEP("take its user id", take_ids(o));
  if ((o.without & kEbbWithoutUtsNamespace) == 0) {
    EBB_STEP("set its host name", sethostname(o.hostname, strlen(o.hostname)) == 0 ? 0 : -errno);
  }
  EBB_STEP("bring its loopback up", loopback_up());
  EBB_STEP("mount /proc and /tmp", mount_private_parts(o));
  if (o.link.address != 0) {
    EBB_STEP("wait for its network", wait_for_link(o));
    EBB_STEP("take its network", ebb_take_link(&o.link));
  }
  EBB_STEP("start a session", setsid() >= 0 ? 0 : -errno);
  EBB_STEP("place its descriptors", place_descriptors(o));
  EBB_STEP("limit its resources", limit_resources(o));
  EBB_STEP("drop capabilities", drop_capabilities(o));
  EBB_STEP("tie it to the Local Controller", die_with_parent());
  EBB_STEP("load seccomp", load_seccomp(o));
#undef EBB_STEP
  umask(0077);
  return 0;
}
