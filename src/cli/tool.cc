#include "cli/tool.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>

#include "base/unique_fd.h"

namespace ebb::cli {

namespace {

using std::chrono::steady_clock;

constexpr Duration kPatience = std::chrono::seconds(2);     // from SIGTERM to SIGKILL
constexpr Duration kLook = std::chrono::milliseconds(100);  // for the end of the program
constexpr size_t kMaxLine = 4096;                           // bytes handed to on_line

// SIGINT and SIGTERM as a descriptor, for as long as it lives.
class EndingSignals final {
 public:
  EndingSignals() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, &before_);
    fd_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  }
  ~EndingSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  EndingSignals(const EndingSignals&) = delete;
  EndingSignals& operator=(const EndingSignals&) = delete;

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const sigset_t& before() const { return before_; }
  [[nodiscard]] bool came() const {
    signalfd_siginfo info;
    return ::read(fd_.get(), &info, sizeof info) == sizeof info;
  }

 private:
  sigset_t before_{};
  UniqueFd fd_;
};

// A program with its own process group, so that all of it can be ended.
class Child final {
 public:
  Child() = default;
  ~Child() { end(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  Result<void> start(const std::vector<std::string>& command, const std::string& folder, int output,
                     const sigset_t& mask) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
    posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &mask);
    sigset_t defaults;  // what this program ignores
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    std::vector<char*> argv;
    argv.reserve(command.size() + 1);
    for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    const int error = ::posix_spawnp(&pid_, argv[0], &actions, &attributes, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (error == 0) return {};
    pid_ = -1;
    if (error == ENOENT) return fail(Errc::kNotFound, "{} is not installed", command[0]);
    return fail_errno(error, "cannot start " + command[0]);
  }

  // The exit code, once it has ended.
  std::optional<int> ended() {
    if (code_ || pid_ <= 0) return code_;
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
    constexpr int kSignalBase = 128;
    code_ = WIFEXITED(status) ? WEXITSTATUS(status) : kSignalBase + WTERMSIG(status);
    return code_;
  }

  void end() {
    if (pid_ <= 0) return;
    const auto deadline = steady_clock::now() + kPatience;
    if (!ended()) ::kill(-pid_, SIGTERM);
    while (!ended() && steady_clock::now() < deadline) {
      ::poll(nullptr, 0, static_cast<int>(kLook / std::chrono::milliseconds(1)));
    }
    ::kill(-pid_, SIGKILL);
    if (!ended()) ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
  std::optional<int> code_;
};

// What the program has printed: the end of it, and its lines one by one.
class ToolOutput final {
 public:
  explicit ToolOutput(const std::function<void(std::string_view)>& on_line) : on_line_(on_line) {}

  void add(std::string_view piece) {
    kept_.append(piece);
    if (kept_.size() > 2 * kMaxToolOutput) kept_.erase(0, kept_.size() - kMaxToolOutput);
    line_.append(piece);
    size_t start = 0;
    for (size_t end = 0; (end = line_.find_first_of("\r\n", start)) != std::string::npos;
         start = end + 1) {
      if (end > start) on_line_(std::string_view(line_).substr(start, end - start));
    }
    line_.erase(0, start);
    if (line_.size() > kMaxLine) line_.clear();
  }
  std::string take() {
    if (kept_.size() > kMaxToolOutput) kept_.erase(0, kept_.size() - kMaxToolOutput);
    return std::move(kept_);
  }

 private:
  const std::function<void(std::string_view)>& on_line_;
  std::string kept_;
  std::string line_;
};

// False at the end of the pipe; it is not waited for.
bool read_some(int fd, ToolOutput& output) {
  std::array<char, 16 << 10> buffer{};
  for (;;) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n > 0) {
      output.add({buffer.data(), static_cast<size_t>(n)});
    } else if (n == 0) {
      return false;
    } else if (errno != EINTR) {
      return errno == EAGAIN;
    }
  }
}

}  // namespace

Result<ToolRun> run_tool(const std::vector<std::string>& command, const std::string& folder,
                         const std::function<void(std::string_view)>& on_line, TimePoint deadline) {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return fail_errno(errno, "cannot make a pipe");
  const UniqueFd from(pipe[0]);
  UniqueFd to(pipe[1]);
  ::fcntl(from.get(), F_SETFL, O_NONBLOCK);
  const EndingSignals signals;
  Child child;
  if (auto ok = child.start(command, folder, to.get(), signals.before()); !ok) {
    return fail(ok.error());
  }
  to.reset();
  ToolOutput output(on_line);
  for (bool open = true;;) {
    std::array<pollfd, 2> fds{pollfd{open ? from.get() : -1, POLLIN, 0},
                              pollfd{signals.fd(), POLLIN, 0}};
    ::poll(fds.data(), fds.size(), static_cast<int>(kLook / std::chrono::milliseconds(1)));
    // Looked at before the pipe, so that what it printed last is read.
    const auto code = child.ended();
    if (open) open = read_some(from.get(), output);
    if (code) return ToolRun{*code, output.take()};
    if (signals.came()) return fail(Errc::kCanceled, "interrupted");
    if (steady_clock::now() >= deadline) {
      return fail(Errc::kTimeout, "{} did not end in time", command[0]);
    }
  }
}

}  // namespace ebb::cli
