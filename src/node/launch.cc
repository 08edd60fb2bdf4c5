#include "node/launch.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "base/log.h"

namespace ebb::node {
namespace {

constexpr int kReadyTimeoutMs = 20'000;

// In the fork: keeps only standard descriptors and `ready`, runs the controller.
[[noreturn]] void become_controller(const ControllerOptions& options, int ready) {
  constexpr int kReady = 3;
  if (ready != kReady) ::dup2(ready, kReady);
  ::fcntl(kReady, F_SETFD, FD_CLOEXEC);
  ::syscall(SYS_close_range, kReady + 1, ~0U, 0);
  ::_exit(run_local_controller(options, UniqueFd(kReady)));
}

// What the controller says of its start: "ok" or an error's text.
std::string read_answer(int fd) {
  std::string answer;
  char buffer[1024];
  pollfd waiting = {.fd = fd, .events = POLLIN, .revents = 0};
  while (::poll(&waiting, 1, kReadyTimeoutMs) > 0) {
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n <= 0) return answer.empty() ? "the Local Controller ended at its start" : answer;
    answer.append(buffer, static_cast<size_t>(n));
  }
  return "the Local Controller did not start in time";
}

// The Local Controller that holds the data folder's lock; -1 if none does.
pid_t living_controller(const DataFolder& data) {
  const UniqueFd lock(::open(data.controller_lock().c_str(), O_RDONLY | O_CLOEXEC));
  if (!lock || ::flock(lock.get(), LOCK_SH | LOCK_NB) == 0) return -1;
  char text[32] = {};
  if (::read(lock.get(), text, sizeof text - 1) <= 0) return -1;
  return static_cast<pid_t>(std::strtol(text, nullptr, 10));
}

// The version of this program before us has started it.
bool is_our_child(pid_t pid) {
  siginfo_t info;
  return ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

}  // namespace

Result<Launched> launch_local_controller(const ControllerOptions& options) {
  if (const pid_t pid = living_controller(options.data); pid > 0) {
    return Launched{.pid = pid, .ours = is_our_child(pid)};
  }

  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return fail_errno(errno, "cannot make a pipe");
  const UniqueFd ready(fds[0]);
  UniqueFd ready_end(fds[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno(errno, "cannot start the Local Controller");
  if (pid == 0) become_controller(options, ready_end.get());
  ready_end.reset();

  const std::string answer = read_answer(ready.get());
  if (answer != "ok") {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return fail(Errc::kUnavailable, "{}", answer);
  }
  return Launched{.pid = pid, .ours = true};
}

Result<void> drop_privileges(uid_t id) {
  // In a user namespace of one's own groups cannot be changed (make_up_for_root tells).
  if ((::setgroups(0, nullptr) != 0 && has_own_ids()) || ::setresgid(id, id, id) != 0 ||
      ::setresuid(id, id, id) != 0) {
    return fail_errno(errno, "cannot drop root's rights");
  }
  if (id == 0) {
    // Whose user made a namespace has all rights over it from the one around it, even
    // without capabilities: not from a sibling.
    auto apart = enter_own_user_namespace();
    if (!apart && ::geteuid() != id) return apart;  // made, but not entered as a whole
    if (!apart) {
      log::warn("front", "weaker isolation: the front shares a user namespace with functions: {}",
                apart.error().message);
    }
    __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct none[2] = {};
    if (::syscall(SYS_capset, &header, none) != 0) {
      return fail_errno(errno, "cannot drop root's rights");
    }
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return fail_errno(errno, "cannot renounce new rights");
  }
  // The change of ids cleared the parent-death signal, and made /proc/self root's own.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) {
    return fail_errno(errno, "cannot be tied to the supervisor");
  }
  ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  return {};
}

}  // namespace ebb::node
