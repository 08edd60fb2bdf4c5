#include "node/supervisor.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "base/log.h"
#include "node/launch.h"
#include "node/packet.h"

namespace ebb::node {
namespace {

using namespace std::chrono_literals;

// A process that lived shorter than this is started again only after a pause.
constexpr Duration kLongLife = 10s;
constexpr Duration kFirstPause = 100ms;
// Shorter than the time that a Local Controller waits for a front to come back.
constexpr Duration kLastPause = 5s;
constexpr int kEndTimeoutMs = 10'000;    // for the Local Controller, after the front
constexpr int kLeaveTimeoutMs = 40'000;  // for fronts that leave when all is to end
// Longer than a front takes to let go and to leave, if nothing is wrong with it.
constexpr Duration kLetGoTimeout = 90s;
constexpr Duration kLeaveTimeout = 310s;
constexpr size_t kMostLeaving = 8;

sigset_t watched_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR2, SIGCHLD}) sigaddset(&signals, signal);
  return signals;
}

UniqueFd pidfd_of(pid_t pid) {
  return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

void send_signal(int pidfd, int signal) {
  ::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0);
}

// Tells systemd, if it asked to be told (Type=notify; sd_notify(3)).
void notify_service_manager(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address = {};
  if (path == nullptr || std::strlen(path) >= sizeof address.sun_path) return;
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, path);
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';  // an abstract name
  const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  static_cast<void>(::sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                             reinterpret_cast<const sockaddr*>(&address), length));
}

}  // namespace

Supervisor::Supervisor(SupervisorOptions options)
    : options_(std::move(options)), was_open_(options_.has_served) {
  for (auto& front : options_.leaving) {
    front.pidfd = pidfd_of(front.pid);
    front.until = clock_.now() + kLeaveTimeout;
  }
}

void Supervisor::block_signals() {
  const sigset_t signals = watched_signals();
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
}

int Supervisor::run() {
  block_signals();
  const sigset_t signals = watched_signals();
  // A shell starts background jobs with SIGINT ignored, which a signalfd never sees.
  ::signal(SIGINT, SIG_DFL);
  ::signal(SIGPIPE, SIG_IGN);
  signals_.reset(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  Result<void> started = signals_ ? start_controller() : fail_errno(errno, "cannot watch signals");
  if (started) started = start_front();
  if (!started) {
    log::error("supervisor", "{}", started.error().message);
    return end(1);
  }
  while (!exit_code_) wait_for_something();
  return end(*exit_code_);
}

void Supervisor::wait_for_something() {
  std::vector<pollfd> waiting;
  for (const int fd :
       {signals_.get(), channel_.get(), front_.pidfd.get(), controller_.pidfd.get()}) {
    waiting.push_back({.fd = fd, .events = POLLIN, .revents = 0});
  }
  for (const auto& front : options_.leaving) {
    waiting.push_back({.fd = front.pidfd.get(), .events = POLLIN, .revents = 0});
  }
  TimePoint next = kNever;
  for (const auto* child : {&front_, &controller_}) {
    if (child->pid < 0) next = std::min(next, child->again);
  }
  if (upgrading_) next = std::min(next, let_go_by_);
  for (const auto& front : options_.leaving) next = std::min(next, front.until);
  int timeout = -1;
  if (next != kNever) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - clock_.now());
    timeout = static_cast<int>(std::max<int64_t>(left.count(), 0));
  }
  if (::poll(waiting.data(), waiting.size(), timeout) < 0 && errno != EINTR) return;
  bury_leaving();
  end_late();
  if (waiting[0].revents != 0) on_signal();
  if (waiting[1].revents != 0) on_front_says();
  if (waiting[2].revents != 0 && front_.pid > 0) on_front_ended();
  if (waiting[3].revents != 0) on_controller_ended();
  if (exit_code_) return;
  // The Local Controller first: it sweeps what is left before a front asks for pods.
  const TimePoint now = clock_.now();
  if (controller_.pid < 0 && controller_.again <= now) {
    if (auto started = start_controller(); !started) {
      log::error("supervisor", "the Local Controller does not start: {}", started.error().message);
      plan_restart(controller_, "Local Controller");
    }
  }
  if (front_.pid < 0 && front_.again <= now) {
    if (auto started = start_front(); !started) {
      log::error("supervisor", "the front does not start: {}", started.error().message);
      plan_restart(front_, "front");
    }
  }
}

Result<void> Supervisor::start_controller() {
  controller_.started = clock_.now();
  auto launched = launch_local_controller(options_.controller);
  if (!launched) return fail(launched.error());
  controller_.pid = launched->pid;
  controller_.ours = launched->ours;
  controller_.pidfd = pidfd_of(launched->pid);
  if (!controller_.pidfd) return fail_errno(errno, "cannot hold the Local Controller's process");
  return {};
}

Result<void> Supervisor::start_front() {
  front_.started = clock_.now();
  auto pair = make_packet_pair();
  if (!pair) return fail(pair.error());
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno(errno, "cannot start the front");
  if (pid == 0) {
    // Away from the terminal's group: Ctrl-C comes here once, through the supervisor.
    ::setpgid(0, 0);
    ::signal(SIGHUP, SIG_IGN);
    sigset_t others;  // SIGINT and SIGTERM stay blocked, in its threads too
    sigemptyset(&others);
    sigaddset(&others, SIGCHLD);
    sigaddset(&others, SIGHUP);
    ::sigprocmask(SIG_UNBLOCK, &others, nullptr);
    pair->ours.reset();
    channel_.reset();
    signals_.reset();
    controller_.pidfd.reset();
    std::vector<UniqueFd> busy;
    busy.reserve(options_.leaving.size());
    for (auto& front : options_.leaving) busy.push_back(std::move(front.busy));
    std::exit(options_.front(std::move(pair->theirs), std::move(busy)));
  }
  channel_ = std::move(pair->ours);
  front_.pid = pid;
  front_.ours = true;
  front_.pidfd = pidfd_of(pid);
  if (!front_.pidfd) return fail_errno(errno, "cannot hold the front's process");
  return {};
}

void Supervisor::on_signal() {
  signalfd_siginfo info;
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGINT || info.ssi_signo == SIGTERM) stop();
    if (info.ssi_signo == SIGHUP) reload();
    if (info.ssi_signo == SIGUSR2) begin_upgrade();
  }
}

void Supervisor::reload() {
  const auto text = options_.reload();
  if (!text || !channel_) return;
  auto file = make_text_file(*text);
  const int fds[] = {file ? file->get() : -1};
  const auto sent = file ? send_packet(channel_.get(), kReload, fds) : fail(file.error());
  if (!sent)
    log::error("supervisor", "the front cannot be told to reload: {}", sent.error().message);
}

void Supervisor::begin_upgrade() {
  if (stopping_) return;
  if (upgrading_) {
    log::info("supervisor", "an upgrade is under way already");
    return;
  }
  if (!front_open_) {
    log::warn("supervisor", "no upgrade now: the front does not serve yet; try again in a moment");
    return;
  }
  if (options_.leaving.size() >= kMostLeaving) {
    log::warn("supervisor",
              "no upgrade now: {} fronts before still answer what they had in flight; try again "
              "later",
              options_.leaving.size());
    return;
  }
  const auto version = options_.check_upgrade();
  const auto sent = version ? send_packet(channel_.get(), kHandOver) : fail(version.error());
  if (!sent) {
    log::error("supervisor", "no upgrade, all stays as it is: {}", sent.error().message);
    return;
  }
  upgrading_ = true;
  let_go_by_ = clock_.now() + kLetGoTimeout;
  log::info("supervisor", "becoming {}; the requests in flight go on", *version);
}

// Each signal is passed on: the second one tells the front not to wait.
void Supervisor::stop() {
  stopping_ = true;
  for (const auto& front : options_.leaving) send_signal(front.pidfd.get(), SIGTERM);
  if (front_.pid > 0) {
    send_signal(front_.pidfd.get(), SIGTERM);
  } else {
    exit_code_ = 0;  // nothing is in flight, but in fronts that leave
    options_.draining();
  }
  notify_service_manager("STOPPING=1");
}

void Supervisor::on_front_says() {
  char buffer[256];
  std::vector<UniqueFd> files;
  const auto packet = receive_packet(channel_.get(), buffer, &files);
  if (packet && !*packet) return;
  if (!packet || (*packet)->empty()) {
    channel_.reset();  // its end is noticed by its pidfd
    return;
  }
  if (**packet == kFrontOpen) {
    was_open_ = front_open_ = true;
    notify_service_manager("READY=1");
  } else if (**packet == kFrontDraining) {
    stopping_ = true;
    options_.draining();
  } else if (**packet == kFrontSockets) {
    options_.keep(std::move(files), /*more=*/false);
  } else if (**packet == kFrontMoreSockets) {
    options_.keep(std::move(files), /*more=*/true);
  } else if (**packet == kFrontStays) {
    upgrading_ = false;
  } else if (**packet == kFrontLeaves && !files.empty()) {
    on_front_leaves(std::move(files.front()));
  } else if (**packet == kControllerHung && controller_.pid > 0) {
    log::error("supervisor", "the Local Controller does not answer: ending it");
    send_signal(controller_.pidfd.get(), SIGKILL);
  }
}

int Supervisor::bury(Child& child) {
  int status = 0;
  if (child.ours) ::waitpid(child.pid, &status, 0);
  child.pid = -1;
  child.pidfd.reset();
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void Supervisor::plan_restart(Child& child, const char* name) const {
  const TimePoint now = clock_.now();
  child.quick_ends = now - child.started > kLongLife ? 0 : child.quick_ends + 1;
  Duration pause{};
  if (child.quick_ends > 1) {
    pause = std::min(kLastPause, Duration(kFirstPause * (1 << std::min(child.quick_ends - 2, 10))));
  }
  child.again = now + pause;
  log::warn("supervisor", "starting the {} again{}", name,
            pause.count() == 0
                ? std::string()
                : fmt::format(" in {:.3g} s", std::chrono::duration<double>(pause).count()));
}

void Supervisor::on_front_ended() {
  const int code = bury(front_);
  channel_.reset();
  front_open_ = false;
  if (upgrading_ && !stopping_) {
    log::error("supervisor", "the front has ended before it could hand over");
    become_other();
    return;
  }
  // A front that ends in order has ended its Local Controller.
  if (stopping_ || code == 0 || !was_open_) {
    exit_code_ = code;
    return;
  }
  log::error("supervisor", "the front has ended ({}); its pods live on",
             code > 128 ? fmt::format("by signal {}", code - 128) : fmt::format("code {}", code));
  plan_restart(front_, "front");
}

void Supervisor::on_front_leaves(UniqueFd busy) {
  options_.leaving.push_back({.pid = front_.pid,
                              .busy = std::move(busy),
                              .pidfd = std::move(front_.pidfd),
                              .until = clock_.now() + kLeaveTimeout});
  front_ = {};
  channel_.reset();
  front_open_ = false;
  if (stopping_) {
    exit_code_ = 0;
    options_.draining();
    return;
  }
  become_other();
}

void Supervisor::end_late() {
  const TimePoint now = clock_.now();
  if (upgrading_ && front_.pid > 0 && now >= let_go_by_) {
    log::error("supervisor", "the front does not hand over: ending it");
    let_go_by_ = kNever;
    send_signal(front_.pidfd.get(), SIGKILL);
  }
  for (auto& front : options_.leaving) {
    if (now < front.until) continue;
    log::error("supervisor", "a front that leaves did not end in time: ending it");
    front.until = kNever;
    send_signal(front.pidfd.get(), SIGKILL);
  }
}

void Supervisor::become_other() {
  upgrading_ = false;
  notify_service_manager("RELOADING=1");
  log::error("supervisor", "no upgrade, going on as before: {}",
             options_.upgrade(options_.leaving).message);
  plan_restart(front_, "front");
}

void Supervisor::bury_leaving() {
  std::erase_if(options_.leaving, [](const LeavingFront& front) {
    int status = 0;
    if (::waitpid(front.pid, &status, WNOHANG) == 0) return false;
    if (status == 0) {
      log::info("supervisor", "the front before has answered what it had in flight");
    } else {
      log::error("supervisor", "the front before has ended ({}) with requests in flight",
                 WIFSIGNALED(status) ? fmt::format("by signal {}", WTERMSIG(status))
                                     : fmt::format("code {}", WEXITSTATUS(status)));
    }
    return true;
  });
}

void Supervisor::end_leaving() {
  if (!stopping_) {
    for (const auto& front : options_.leaving) send_signal(front.pidfd.get(), SIGTERM);
  }
  for (const auto& front : options_.leaving) {
    pollfd ending[] = {{.fd = front.pidfd.get(), .events = POLLIN, .revents = 0},
                       {.fd = signals_.get(), .events = POLLIN, .revents = 0}};
    int ready = ::poll(ending, 2, kLeaveTimeoutMs);
    if (ready > 0 && ending[0].revents == 0) {  // told again: it need not wait
      send_signal(front.pidfd.get(), SIGTERM);
      ready = ::poll(ending, 1, kEndTimeoutMs);
    }
    if (ready <= 0) {
      log::error("supervisor", "a front that leaves did not end in time");
      send_signal(front.pidfd.get(), SIGKILL);
    }
    ::waitpid(front.pid, nullptr, 0);
  }
  options_.leaving.clear();
}

void Supervisor::on_controller_ended() {
  const int code = bury(controller_);
  if (stopping_) {
    controller_.again = kNever;
    return;
  }
  log::error("supervisor", "the Local Controller has ended ({}), and all pods with it",
             code > 128 ? fmt::format("by signal {}", code - 128) : fmt::format("code {}", code));
  plan_restart(controller_, "Local Controller");
}

// Leaves no Local Controller behind that we started, or whose front ended in order.
int Supervisor::end(int code) {
  end_leaving();
  if (controller_.pid < 0) return code;
  if (front_.pid < 0 && !controller_.ours && !was_open_) return code;  // another's: let it be
  send_signal(controller_.pidfd.get(), SIGTERM);
  pollfd ending = {.fd = controller_.pidfd.get(), .events = POLLIN, .revents = 0};
  if (::poll(&ending, 1, kEndTimeoutMs) <= 0) {
    log::error("supervisor", "the Local Controller did not end in time");
    send_signal(controller_.pidfd.get(), SIGKILL);
    code = code == 0 ? 1 : code;
  }
  bury(controller_);
  return code;
}

}  // namespace ebb::node
