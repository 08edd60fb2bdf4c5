#include "upgrade.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <sstream>

namespace ebb {
namespace {

constexpr const char* kVariable =
    "EBB_INHERITED";  // "gateway=5 gateway=6 api=7 lock=8 leaving=9/1234"
constexpr const char* kCheck = "EBB_CHECK";
constexpr int kCheckTimeoutMs = 10'000;

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (auto& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

// Our own process has nothing at that number but what was left for it.
UniqueFd adopt(std::string_view number) {
  int fd = -1;
  const auto read = std::from_chars(number.data(), number.data() + number.size(), fd);
  if (read.ec != std::errc() || fd <= STDERR_FILENO || ::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
    return {};
  }
  return UniqueFd(fd);
}

}  // namespace

Program this_program(int argc, char** argv) {
  std::error_code ignored;
  return {.path = std::filesystem::read_symlink("/proc/self/exe", ignored),
          .arguments = {argv, argv + argc}};
}

Inherited take_inherited() {
  Inherited out;
  const char* text = std::getenv(kVariable);
  if (text == nullptr) return out;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const size_t equals = std::min(word.find('='), word.size() - 1);
    UniqueFd fd = adopt(std::string_view(word).substr(equals + 1));
    const std::string name = word.substr(0, equals);
    if (!fd) continue;
    if (name == "gateway") {
      out.gateway.push_back(std::move(fd));
    } else if (name == "https") {
      out.https.push_back(std::move(fd));
    } else if (name == "pods") {
      out.pods.push_back(std::move(fd));
    } else if (name == "leaving") {
      const pid_t pid = std::atoi(word.c_str() + std::min(word.find('/') + 1, word.size()));
      if (pid > 0) out.leaving.push_back({.pid = pid, .busy = std::move(fd)});
    } else if (name == "api") {
      out.api = std::move(fd);
    } else if (name == "metrics") {
      out.metrics = std::move(fd);
    } else if (name == "lock") {
      out.lock = std::move(fd);
    }
  }
  ::unsetenv(kVariable);
  return out;
}

Result<std::string> check_program(const Program& program) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return fail_errno(errno, "cannot make a pipe");
  const UniqueFd output(ends[0]);
  UniqueFd input(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno(errno, "cannot start " + program.path);
  if (pid == 0) {
    ::dup2(input.get(), STDOUT_FILENO);
    ::dup2(input.get(), STDERR_FILENO);
    ::setenv(kCheck, "1", 1);
    auto arguments = program.arguments;
    ::execv(program.path.c_str(), pointers(arguments).data());
    ::_exit(127);
  }
  input.reset();
  const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  pollfd ended = {.fd = process.get(), .events = POLLIN, .revents = 0};
  const bool in_time = ::poll(&ended, 1, kCheckTimeoutMs) > 0;
  if (!in_time) ::kill(pid, SIGKILL);
  int status = 0;
  ::waitpid(pid, &status, 0);
  std::array<char, 2048> buffer{};
  const ssize_t n = ::read(output.get(), buffer.data(), buffer.size());
  std::string said(buffer.data(), n > 0 ? static_cast<size_t>(n) : 0);
  while (said.ends_with('\n')) said.pop_back();
  if (!in_time || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return fail(Errc::kInvalid, "{} would not start{}{}", program.path, said.empty() ? "" : ": ",
                said);
  }
  return said;
}

bool only_checks() { return std::getenv(kCheck) != nullptr; }

Error execute_again(const Program& program, const Inherited& inherited,
                    const std::vector<node::LeavingFront>& leaving) {
  std::string note;
  std::vector<int> kept;
  const auto keep = [&](const char* name, const UniqueFd& fd) {
    if (!fd) return;
    note += (note.empty() ? "" : " ") + std::string(name) + "=" + std::to_string(fd.get());
    kept.push_back(fd.get());
  };
  for (const auto& fd : inherited.gateway) keep("gateway", fd);
  for (const auto& fd : inherited.https) keep("https", fd);
  for (const auto& fd : inherited.pods) keep("pods", fd);
  keep("api", inherited.api);
  keep("metrics", inherited.metrics);
  keep("lock", inherited.lock);
  for (const auto& front : leaving) {
    keep("leaving", front.busy);
    note += "/" + std::to_string(front.pid);
  }
  for (const int fd : kept) ::fcntl(fd, F_SETFD, 0);
  ::setenv(kVariable, note.c_str(), 1);
  auto arguments = program.arguments;
  ::execv(program.path.c_str(), pointers(arguments).data());
  const int error = errno;
  ::unsetenv(kVariable);
  for (const int fd : kept) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  return fail_errno(error, "cannot execute " + program.path).value();
}

}  // namespace ebb
