#include "node/zygote.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "base/log.h"
#include "node/packet.h"
#include "sandbox/root.h"
#include "sandbox/zygote.h"

namespace ebb::node {
namespace {

constexpr int kSocketFd = 3;   // in the zygote
constexpr int kFilterFd = 4;   // in the zygote: the seccomp program
constexpr int kProgramFd = 5;  // ebb-spawn, until it runs
constexpr uint64_t kTmpBytes = 64ull << 20;
constexpr uint64_t kTmpInodes = 16 * 1024;
constexpr uint64_t kMaxFiles = 4096;  // descriptors a pod may have open

// When the machine runs out of memory the kernel is to end a pod, or a zygote, which only costs
// time: not the Local Controller, nor the front, nor what else runs here, unless that alone holds
// nearly all. Of pods it takes the one that holds most. Below 1000, so that what was marked to go
// first, does.
constexpr int kOomScore = 900;

// Pods inherit it. What is inherited may be higher, and could not be lowered.
void offer_to_oom_killer() {
  const UniqueFd file(::open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC));
  char now[16] = {};
  if (!file || ::read(file.get(), now, sizeof now - 1) <= 0) return;
  if (std::atoi(now) >= kOomScore) return;
  const std::string wanted = std::to_string(kOomScore);
  static_cast<void>(!::write(file.get(), wanted.data(), wanted.size()));
}

// In the forked child: becomes the zygote or ends with the reason on stderr.
// `spawner` is ebb-spawn for runtimes whose pods are processes of their own, else -1.
[[noreturn]] void become_zygote(const Runtime& runtime, int spawner, int socket_fd, int filter_fd,
                                int output_fd, const std::string& resolver) {
  const auto give_up = [](const std::string& why) {
    static_cast<void>(!::write(STDERR_FILENO, why.data(), why.size()));
    ::_exit(71);
  };
  // High first, so that moving down overwrites nothing still needed.
  const int high_socket = ::fcntl(socket_fd, F_DUPFD, 100);
  const int high_filter = ::fcntl(filter_fd, F_DUPFD, 100);
  const int high_spawner = spawner < 0 ? -1 : ::fcntl(spawner, F_DUPFD, 100);
  const int null_fd = ::open("/dev/null", O_RDONLY);
  ::dup2(null_fd, STDIN_FILENO);
  ::dup2(output_fd, STDOUT_FILENO);
  ::dup2(output_fd, STDERR_FILENO);
  ::dup2(high_socket, kSocketFd);
  ::dup2(high_filter, kFilterFd);
  if (spawner >= 0) ::dup3(high_spawner, kProgramFd, O_CLOEXEC);
  ::syscall(SYS_close_range, spawner >= 0 ? kProgramFd + 1 : kProgramFd, ~0U, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  ::setsid();
  ::umask(022);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGINT, SIG_DFL);
  ::signal(SIGPIPE, SIG_DFL);
  offer_to_oom_killer();

  const auto built = sandbox::build_root(
      {.mounts = runtime.mounts, .runtime = runtime.folder, .resolver = resolver});
  if (!built) give_up(built.error().message);

  char name[] = "ebb-spawn";
  std::vector<char*> arguments;
  arguments.reserve(runtime.command.size() + 2);
  if (spawner >= 0) arguments.push_back(name);
  for (const auto& word : runtime.command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  // A clean environment: the host's may slow a runtime down or change it.
  char path[] = "PATH=/usr/bin:/bin";
  char lang[] = "LANG=C.UTF-8";
  char* environment[] = {path, lang, nullptr};
  if (spawner >= 0) {
    // By its descriptor: it is not in the runtime's root and, static, needs nothing there.
    ::syscall(SYS_execveat, kProgramFd, "", arguments.data(), environment, AT_EMPTY_PATH);
  } else {
    ::execve(arguments[0], arguments.data(), environment);
  }
  give_up(std::string("cannot run ") + arguments[0] + ": " + std::strerror(errno));
  ::_exit(71);
}

}  // namespace

Zygote::Zygote(const Runtime& runtime, Events events)
    : runtime_(runtime.name), events_(std::move(events)) {}

Result<std::unique_ptr<Zygote>> Zygote::start(net::Executor& executor, const Runtime& runtime,
                                              std::string_view seccomp, const std::string& resolver,
                                              Events events) {
  auto pair = make_packet_pair();
  if (!pair) return fail(pair.error());
  int out[2];
  if (::pipe2(out, O_CLOEXEC | O_NONBLOCK) != 0) return fail_errno(errno, "cannot make a pipe");
  UniqueFd output(out[0]);
  const UniqueFd output_end(out[1]);
  ::fcntl(output_end.get(), F_SETFL, 0);
  const UniqueFd filter(::memfd_create("ebb-seccomp", MFD_CLOEXEC));
  if (!filter || ::pwrite(filter.get(), seccomp.data(), seccomp.size(), 0) !=
                     static_cast<ssize_t>(seccomp.size())) {
    return fail_errno(errno, "cannot keep the seccomp program");
  }

  const auto resolved = runtime.resolved();
  if (!resolved) return fail(resolved.error());
  UniqueFd spawner;
  if (runtime.kind == Runtime::Kind::kProcess) {
    spawner.reset(::open(runtime.spawner().c_str(), O_PATH | O_CLOEXEC));
    if (!spawner) return fail_errno(errno, "cannot open " + runtime.spawner());
  }

  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno(errno, "cannot fork a zygote");
  if (pid == 0) {
    become_zygote(*resolved, spawner.get(), pair->theirs.get(), filter.get(), output_end.get(),
                  resolver);
  }

  std::unique_ptr<Zygote> zygote(new Zygote(runtime, std::move(events)));
  zygote->pid_ = pid;
  zygote->socket_ = std::move(pair->ours);
  zygote->output_ = std::move(output);
  Zygote* self = zygote.get();
  zygote->socket_watch_ =
      std::make_unique<net::FdWatch>(executor, self->socket_.get(), [self] { self->on_packet(); });
  zygote->output_watch_ = std::make_unique<net::FdWatch>(executor, self->output_.get(), [self] {
    if (!self->tail_.drain(self->output_.get(), {})) self->output_watch_.reset();
  });
  return zygote;
}

Zygote::~Zygote() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
}

void Zygote::on_packet() {
  char buffer[sizeof(EbbZygoteReply) + 1];
  for (;;) {
    const auto packet = receive_packet(socket_.get(), buffer);
    if (packet && !*packet) return;
    if (!packet || (*packet)->size() != sizeof(EbbZygoteReply)) {
      tail_.drain(output_.get(), {});
      socket_watch_.reset();
      const std::string said = tail_.last(2048);
      events_.on_gone(said.empty() ? "it ended without a word" : said);
      return;
    }
    EbbZygoteReply reply;
    std::memcpy(&reply, (*packet)->data(), sizeof reply);
    reply.step[sizeof reply.step - 1] = '\0';
    copied_bytes_ = reply.copied;
    if (!ready_) {
      ready_ = true;
      events_.on_ready();
      continue;
    }
    if (open_.empty()) continue;
    const std::string pod = std::move(open_.front());
    open_.pop_front();
    const std::string error =
        reply.error == 0 ? ""
                         : fmt::format("cannot {}: {}", reply.step, std::strerror(reply.error));
    events_.on_spawned(pod, reply.pid, error);
  }
}

Result<void> Zygote::spawn(const SpawnRequest& request) {
  EbbZygoteSpawn spawn = {};
  spawn.version = kEbbZygoteVersion;
  spawn.host_uid = request.host_uid;
  spawn.tmp_bytes = kTmpBytes;
  spawn.tmp_inodes = kTmpInodes;
  spawn.max_files = kMaxFiles;
  spawn.link = request.link;
  std::strncpy(spawn.hostname, request.pod.c_str(), sizeof spawn.hostname - 1);
  std::vector<int> fds = {request.control_fd, request.listen_fd, request.log_fd};
  spawn.without = request.without;
  if (request.cgroup == nullptr) {
    spawn.max_processes = sandbox::Limits().pids;
  } else if (request.cgroup->folder_fd() >= 0) {
    spawn.into_cgroup = 1;
    fds.push_back(request.cgroup->folder_fd());
  } else {
    spawn.cgroups = static_cast<uint32_t>(request.cgroup->join_fds().size());
    for (const auto& fd : request.cgroup->join_fds()) fds.push_back(fd.get());
  }
  const std::string_view data(reinterpret_cast<const char*>(&spawn), sizeof spawn);
  if (auto sent = send_packet(socket_.get(), data, fds); !sent) return sent;
  open_.push_back(request.pod);
  return {};
}

}  // namespace ebb::node
