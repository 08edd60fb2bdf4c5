// The pod of the exec runtime: pid 1 of its namespace, started ahead, cold. When code
// comes it starts the program and says R when that listens on its port; then it moves
// bytes between the pod's socket and the program (relay.h). As pid 1 it reaps, passes
// SIGTERM on to the program, and ends with it.
//
// Descriptors: 3 control (pod_process.h has the protocol), 4 the listening socket.
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

#include "order.h"
#include "relay.h"
#include "sandbox/enter.h"

namespace ebb::exec {
namespace {

constexpr size_t kMaxOrder = 128 * 1024;  // bytes
// Between two tries to connect: an eighth of the time that the start has taken so far, so
// that a start is never much longer than the program's own.
constexpr auto kLeastPause = std::chrono::microseconds(250);
constexpr auto kMostPause = std::chrono::milliseconds(20);
constexpr int kPausesInStart = 8;
constexpr auto kNoticeAfter = std::chrono::milliseconds(700);  // of waiting
constexpr int kProbeTimeoutMs = 1000;                          // for each step of an HTTP probe
constexpr int kEvents = 64;                                    // fetched at a time
constexpr const char* kNotice = "ebb: ";  // before our own words in the pod's log

// --- The Local Controller ---

void tell(char kind, const std::string& text = {}) {
  const std::string message = kind + text;
  static_cast<void>(::send(kEbbControlFd, message.data(), message.size(), MSG_NOSIGNAL));
}

[[noreturn]] void give_up(const std::string& why) {
  tell('E', why);
  ::_exit(1);
}

// Waits, cold, for the order; ends when the Local Controller has gone.
Order wait_for_order() {
  static std::array<char, kMaxOrder> buffer;
  ssize_t n = 0;
  do {
    n = ::recv(kEbbControlFd, buffer.data(), buffer.size(), 0);
  } while (n < 0 && errno == EINTR);
  if (n <= 0) ::_exit(0);
  Order order;
  const std::string_view text(buffer.data(), static_cast<size_t>(n));
  if (text.front() != 'L' || !parse_order(text.substr(1), order)) {
    give_up("the exec runtime does not understand the order to load code");
  }
  return order;
}

// For the person who reads the pod's log.
void notice(const std::string& words) {
  const std::string text = kNotice + words + "\n";
  static_cast<void>(!::write(STDERR_FILENO, text.data(), text.size()));
}

// --- The program ---

struct Program {
  pid_t pid = -1;
  std::string path;
};

std::string describe_exec_error(const std::string& path, int error) {
  std::string text = "cannot run " + path + ": " + std::strerror(error);
  if (error == ENOENT) {
    text += " (its interpreter, named in its first line, or its dynamic linker is not in the pod)";
  } else if (error == ENOEXEC) {
    text += " (not a program for this machine; a script must begin with #!)";
  }
  return text;
}

// Packages that `ebb deploy` installed beside the code are found, and their commands.
void show_packages() {
  const std::string code = kCode;
  const std::string python = code + "/.ebb/python";
  if (::access(python.c_str(), F_OK) == 0) ::setenv("PYTHONPATH", python.c_str(), 1);
  std::string path = ::getenv("PATH");
  for (const auto& folder : {python + "/bin", code + "/node_modules/.bin"}) {
    if (::access(folder.c_str(), F_OK) == 0) path.insert(0, folder + ":");
  }
  ::setenv("PATH", path.c_str(), 1);
}

// Not by fork(): each page that either wrote to would be copied. An errno, or 0.
int spawn(char* const* words, const sigset_t& before, pid_t& pid) {
  posix_spawnattr_t how;
  ::posix_spawnattr_init(&how);
  ::posix_spawnattr_setflags(
      &how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  ::posix_spawnattr_setpgroup(&how, 0);
  ::posix_spawnattr_setsigmask(&how, &before);
  sigset_t ignored_here;
  sigemptyset(&ignored_here);
  sigaddset(&ignored_here, SIGPIPE);
  ::posix_spawnattr_setsigdefault(&how, &ignored_here);
  const int error = ::posix_spawn(&pid, words[0], nullptr, &how, words, environ);
  ::posix_spawnattr_destroy(&how);
  return error;
}

Program start(const Order& order, const sigset_t& before) {
  show_packages();
  ::setenv("PORT", std::to_string(order.port).c_str(), 1);
  for (const auto& [name, value] : order.env) ::setenv(name.c_str(), value.c_str(), 1);
  if (::chdir(kCode) != 0) give_up(std::string("cannot enter ") + kCode);
  std::string why;
  const auto line = find_program(order, kCode, ::getenv("PATH"), why);
  if (line.empty()) give_up(why);
  std::vector<char*> words;
  words.reserve(line.size() + 1);
  for (const auto& word : line) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);

  pid_t pid = -1;
  const int error = spawn(words.data(), before, pid);
  if (error != 0) give_up(describe_exec_error(line.front(), error));
  return {.pid = pid, .path = line.front()};
}

std::string describe_end(const Program& program, int status) {
  if (WIFEXITED(status)) {
    return program.path + " exited with code " + std::to_string(WEXITSTATUS(status));
  }
  const int signal = WTERMSIG(status);
  const char* name = sigdescr_np(signal);
  return program.path + " was ended by signal " + std::to_string(signal) + " (" +
         (name != nullptr ? name : "?") + ")";
}

// --- Signals ---

class Signals final {
 public:
  Signals() {
    sigset_t mine;
    sigemptyset(&mine);
    for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) sigaddset(&mine, signal);
    ::sigprocmask(SIG_BLOCK, &mine, &before_);
    fd_ = ::signalfd(-1, &mine, SFD_CLOEXEC | SFD_NONBLOCK);
    ::signal(SIGPIPE, SIG_IGN);
  }
  [[nodiscard]] int fd() const { return fd_; }
  // A signal that ends has been passed on.
  [[nodiscard]] bool told_to_end() const { return told_to_end_; }
  [[nodiscard]] const sigset_t& before() const { return before_; }

  // Passes signals on and reaps. The program's wait status once it has ended.
  std::optional<int> handle(const Program& program) {
    signalfd_siginfo info;
    while (::read(fd_, &info, sizeof info) == sizeof info) {
      if (info.ssi_signo == SIGCHLD) continue;
      told_to_end_ = true;
      ::kill(program.pid, static_cast<int>(info.ssi_signo));
    }
    std::optional<int> ended;
    int status = 0;
    for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      if (pid == program.pid) ended = status;
    }
    return ended;
  }

 private:
  int fd_ = -1;
  sigset_t before_ = {};
  bool told_to_end_ = false;
};

// --- Readiness ---

// Connects without waiting longer than `timeout_ms`; -1 if nobody listens.
int try_connect(const Target& target, int timeout_ms) {
  const int fd = ::socket(target.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  int result = ::connect(fd, reinterpret_cast<const sockaddr*>(&target.address), target.length);
  if (result != 0 && errno == EINPROGRESS) {
    pollfd waiting = {.fd = fd, .events = POLLOUT, .revents = 0};
    int error = 0;
    socklen_t length = sizeof error;
    const bool decided = ::poll(&waiting, 1, timeout_ms) == 1 &&
                         ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0;
    result = decided && error == 0 ? 0 : -1;
  }
  if (result == 0) return fd;
  ::close(fd);
  return -1;
}

// The status of the answer to a GET; 0: none came.
int probe(int fd, const std::string& path) {
  const std::string request = "GET " + path +
                              " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: kube-probe/ebb\r\n"
                              "Connection: close\r\n\r\n";
  if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    return 0;
  }
  constexpr size_t kStatusLine = 12;  // "HTTP/1.1 200"
  std::string answer;
  pollfd waiting = {.fd = fd, .events = POLLIN, .revents = 0};
  while (answer.size() < kStatusLine && ::poll(&waiting, 1, kProbeTimeoutMs) == 1) {
    char buffer[256];
    const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
    if (n <= 0) break;
    answer.append(buffer, static_cast<size_t>(n));
  }
  if (answer.size() < kStatusLine || !answer.starts_with("HTTP/1.")) return 0;
  return std::atoi(answer.c_str() + 9);
}

// Kubernetes' rule: a status from 200 to 399 is ready. Else `lacks` says what is missing.
bool passes_probe(int fd, const Order& order, std::string& lacks) {
  const int status = probe(fd, order.probe);
  if (status >= 200 && status < 400) return true;
  lacks = "the readiness probe GET " + order.probe + " on port " + std::to_string(order.port) +
          (status == 0 ? " gets no answer" : " is answered " + std::to_string(status));
  return false;
}

// Where the program serves; nullopt while it does not, and then `lacks` says why.
std::optional<Target> try_ready(const Order& order, std::string& lacks) {
  lacks = "nothing listens on port " + std::to_string(order.port) + " ($PORT)";
  for (const bool v6 : {false, true}) {
    const Target target = loopback(order.port, v6);
    const int fd = try_connect(target, static_cast<int>(kMostPause.count()));
    if (fd < 0) continue;
    const bool ready = order.probe.empty() || passes_probe(fd, order, lacks);
    ::close(fd);
    if (ready) return target;
  }
  return std::nullopt;
}

// Until the program serves; the Local Controller keeps the deadline, and is told what is
// waited for.
Target wait_until_ready(const Order& order, const Program& program, Signals& signals) {
  using Clock = std::chrono::steady_clock;
  const auto begun = Clock::now();
  auto notice_at = begun + kNoticeAfter;
  std::string lacks;
  std::string told;
  for (;;) {
    if (const auto target = try_ready(order, lacks)) return *target;
    const auto now = Clock::now();
    if (lacks != told && now > notice_at) {
      tell('N', lacks);
      told = lacks;
      notice_at = now + kNoticeAfter;  // it may flap
    }
    pollfd waiting = {.fd = signals.fd(), .events = POLLIN, .revents = 0};
    const auto wait =
        std::clamp<Clock::duration>((now - begun) / kPausesInStart, kLeastPause, kMostPause);
    const timespec pause = {.tv_sec = 0, .tv_nsec = std::chrono::nanoseconds(wait).count()};
    if (::ppoll(&waiting, 1, &pause, nullptr) != 1) continue;
    if (const auto status = signals.handle(program)) {
      give_up(describe_end(program, *status) + " before it listened on port " +
              std::to_string(order.port));
    }
  }
}

// --- Serving ---

[[noreturn]] void end_with(const Program& program, int status, bool expected) {
  if (!expected) notice(describe_end(program, status));
  ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

[[noreturn]] void serve(const Target& target, const Program& program, Signals& signals) {
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.ptr = nullptr;
  ::epoll_ctl(epoll, EPOLL_CTL_ADD, signals.fd(), &event);
  ::fcntl(kEbbListenFd, F_SETFL, O_NONBLOCK);
  Relay relay(epoll, kEbbListenFd, target);
  relay.start();
  for (;;) {
    std::array<epoll_event, kEvents> events;
    const int n = ::epoll_wait(epoll, events.data(), kEvents, relay.behind() ? 0 : -1);
    for (int i = 0; i < n; ++i) {
      if (events[i].data.ptr != nullptr) {
        relay.on_event(events[i].data.ptr, events[i].events);
      } else if (const auto status = signals.handle(program)) {
        end_with(program, *status, signals.told_to_end());
      }
    }
    relay.run_behind();
    relay.bury();
  }
}

// Does what can be done without code, so that the real order meets touched pages.
void rehearse() {
  Order order;
  parse_order(R"({"command": [], "args": ["a"], "env": {"A": "1"}, "port": 8080, "probe": ""})",
              order);
  std::string why;
  find_program(order, kCode, ::getenv("PATH"), why);
  try_ready(order, why);
}

int run() {
  // Out of reach for the program, which has the same user: no memory, no descriptors.
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  for (const int fd : {kEbbControlFd, kEbbListenFd}) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  Signals signals;
  rehearse();
  tell('W');
  const Order order = wait_for_order();
  const Program program = start(order, signals.before());
  const Target target = wait_until_ready(order, program, signals);
  tell('R');
  serve(target, program, signals);
}

}  // namespace
}  // namespace ebb::exec

int main() { return ebb::exec::run(); }
