#include "node/pod_process.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/log.h"
#include "node/data_folder.h"
#include "node/ids.h"
#include "node/memory_limit.h"
#include "node/packet.h"
#include "sandbox/inject.h"
#include "sandbox/root.h"
#include "scheduling/scale_target.h"

namespace ebb::node {
namespace {

constexpr int kBacklog = 4096;                   // connections that wait for the pod to accept
constexpr size_t kPodMessageLimit = 128 * 1024;  // bytes; from the pod, which is not trusted
constexpr size_t kLogInMessage = 2048;           // bytes of its log shown when a pod dies
// Of one that had served only what it printed so shortly before.
constexpr auto kLastBreath = std::chrono::seconds(2);
constexpr int kPassRights = 83;  // SO_PASSRIGHTS
constexpr uint32_t kDefaultPort = 8080;
constexpr auto kWarmUpDeadline = std::chrono::seconds(20);
constexpr size_t kLogPiece = 64 * 1024;  // bytes of its output handled at a time
constexpr int kReadsAtOnce = 16;         // of its control socket
constexpr int kLastReads = 64;           // of those, when it has ended: more than the socket holds
constexpr int kMostNotes = 1000;         // while it loads
// A fork takes a few milliseconds; then the pod loads its code itself.
constexpr auto kForkDeadline = std::chrono::milliseconds(500);
constexpr auto kWaitStatusPatience = std::chrono::milliseconds(100);
constexpr size_t kMostForkStatus = 128;  // bytes

std::string socket_name(const std::string& pod) { return pod + ".sock"; }

// The socket gets mode 0600 from the umask of the Local Controller.
Result<UniqueFd> listen_at(int dir_fd, const std::string& name, uid_t owner) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno(errno, "cannot make a pod's socket");
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  // Through the folder's descriptor: the data folder's path may be longer than an
  // address can hold.
  const std::string path = fmt::format("/proc/self/fd/{}/{}", dir_fd, name);
  if (path.size() >= sizeof address.sun_path) {
    return fail(Errc::kInvalid, "the socket name {} is too long", name);
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(fd.get(), kBacklog) != 0 ||
      ::fchownat(dir_fd, name.c_str(), owner, owner, AT_SYMLINK_NOFOLLOW) != 0) {
    return fail_errno(errno, "cannot listen on the pod's socket " + name);
  }
  return fd;
}

// The pod's messages carry no descriptors (Linux 6.16 on; older kernels hand them
// to receive_packet, which closes them).
void refuse_descriptors(int fd) {
  const int no = 0;
  ::setsockopt(fd, SOL_SOCKET, kPassRights, &no, sizeof no);
}

// Of the first process of a pid namespace the kernel ignores SIGABRT: abort() then ends
// it by a wrong instruction.
const char* signal_name(int signal) {
  if (signal == SIGSEGV) return "Segmentation fault, or abort()";
  const char* name = sigdescr_np(signal);
  return name != nullptr ? name : "?";
}

const char* forks_word(uint8_t preload) {
  return preload == static_cast<uint8_t>(Preload::kAlways) ? "asked" : "automatic";
}

}  // namespace

PodProcess::PodProcess(net::Executor& executor, std::string id, std::string runtime, uint32_t slot,
                       LogFolder& logs, Events events)
    : executor_(executor),
      id_(std::move(id)),
      runtime_(std::move(runtime)),
      slot_(slot),
      logs_(logs),
      events_(std::move(events)) {}

Result<std::unique_ptr<PodProcess>> PodProcess::prepare(net::Executor& executor, std::string id,
                                                        std::string runtime, uint32_t slot,
                                                        sandbox::CgroupTree* cgroups,
                                                        sandbox::Network* network, int pods_dir,
                                                        uid_t front, uint32_t without,
                                                        LogFolder& logs, Events events) {
  std::unique_ptr<PodProcess> pod(
      new PodProcess(executor, std::move(id), std::move(runtime), slot, logs, std::move(events)));
  pod->pods_dir_ = pods_dir;
  pod->network_ = network;
  if (network != nullptr) pod->link_ = network->link_for(slot);
  const sandbox::Limits limits;
  pod->memory_bytes_ = limits.memory_bytes;
  pod->without_ = without;
  if (cgroups != nullptr) {
    auto cgroup = cgroups->create(pod->id_, limits);
    if (!cgroup) return fail(cgroup.error());
    pod->cgroup_.emplace(std::move(*cgroup));
    pod->yield(true);  // until it is cold: whoever has requests goes first
  }
  auto listener = listen_at(pods_dir, socket_name(pod->id_), front);
  if (!listener) return fail(listener.error());
  pod->pod_listener_ = std::move(*listener);
  auto pair = make_packet_pair();
  if (!pair) return fail(pair.error());
  pod->control_ = std::move(pair->ours);
  refuse_descriptors(pod->control_.get());
  pod->pod_control_ = std::move(pair->theirs);
  int out[2];
  if (::pipe2(out, O_CLOEXEC) != 0) return fail_errno(errno, "cannot make a pod's log pipe");
  pod->log_.reset(out[0]);
  pod->pod_log_.reset(out[1]);
  ::fcntl(out[0], F_SETFL, O_NONBLOCK);

  PodProcess* self = pod.get();
  pod->control_watch_ = std::make_unique<net::FdWatch>(executor, self->control_.get(),
                                                       [self] { self->on_control(); });
  pod->log_pause_.fire = [self] { self->watch_output(); };
  pod->watch_output();
  pod->deadline_.fire = [self] { self->end("StartFailed", "the pod did not warm up in time"); };
  executor.arm(pod->deadline_, executor.now() + kWarmUpDeadline);
  return pod;
}

PodProcess::~PodProcess() {
  if (pods_dir_ >= 0) ::unlinkat(pods_dir_, socket_name(id_).c_str(), 0);
}

SpawnRequest PodProcess::spawn_request() const {
  return {.pod = id_,
          .host_uid = pod_uid(slot_),
          .control_fd = pod_control_.get(),
          .listen_fd = pod_listener_.get(),
          .log_fd = pod_log_.get(),
          .link = link_,
          .cgroup = cgroup_ ? &*cgroup_ : nullptr,
          .without = without_};
}

Result<void> PodProcess::started(pid_t pid) {
  pid_ = pid;
  pod_control_.reset();
  pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd_) return fail_errno(errno, "cannot hold the pod's process");
  if (state_ == PodState::kEnding) ::kill(pid_, SIGKILL);  // ended before it was there
  if (state_ == PodState::kStarting && warmed_up_) become_cold();
  return {};
}

void PodProcess::yield(bool yields) {
  if (!cgroup_) return;
  if (auto done = cgroup_->yield(yields); !done) {
    log::debug("controller", "pod {}: {}", id_, done.error().message);
  }
}

void PodProcess::become_cold() {
  state_ = PodState::kCold;
  if (cgroup_) cgroup_->joined();
  yield(false);
  deadline_.disarm();
  events_.on_cold(*this);
}

// A pod that sends without end must not hold the node: the watch calls again.
void PodProcess::on_control() {
  static std::array<char, kPodMessageLimit> buffer;  // one thread, one reader
  for (int i = 0; i < kReadsAtOnce; ++i) {
    const auto packet = receive_packet(control_.get(), buffer);
    if (packet && !*packet) return;
    if (!packet || (*packet)->empty()) {
      // Closed, or not to be understood. A pod without its control socket cannot
      // be led: end it (most often it has just ended itself).
      control_watch_.reset();
      signal(SIGKILL);
      if (forks_) events_.on_closed(*this);
      return;
    }
    const std::string_view text = **packet;
    const char kind = text.front();
    const bool first = std::exchange(hands_in_, false);
    if (state_ == PodState::kEnding) continue;
    if (kind == 'W' && state_ == PodState::kStarting && !warmed_up_) {
      warmed_up_ = true;
      if (pidfd_) become_cold();  // else started(), which may come later
    } else if (kind == 'R' && state_ == PodState::kLoading) {
      state_ = PodState::kReady;
      ready_at_ = executor_.now();
      deadline_.disarm();
      if (forks_) say("the code stays loaded here: new pods begin as forks of this one");
      events_.on_ready(*this);
    } else if (kind == 'X' && state_ == PodState::kReady && forks_) {
      on_fork_status(text.substr(1));
    } else if (kind == 'C' && first) {
      events_.on_compiled(*this, text.substr(1));
    } else if (kind == 'N' && state_ == PodState::kLoading && ++notes_ <= kMostNotes) {
      note_wait(std::string(text.substr(1)));
    } else if (kind == 'U' && state_ == PodState::kLoading && forks_) {
      end(kCannotFork, std::string(text.substr(1)));
    } else if (kind == 'E' && state_ == PodState::kStarting) {
      end("StartFailed", std::string(text.substr(1)));
    } else if (kind == 'E' && state_ == PodState::kLoading) {
      end("LoadFailed", std::string(text.substr(1)));
    } else {
      end("ProtocolError", "the pod said something unexpected on its control socket");
    }
  }
}

Result<void> PodProcess::assign(const Assign& order, int code_dir, const Code& what,
                                int own_namespace) {
  if (state_ != PodState::kCold) return fail(Errc::kConflict, "the pod {} is not cold", id_);
  take_order(order);
  pod_listener_.reset();
  pod_log_.reset();
  forks_ = what.forks;
  // Before the first line of the tenant's code can run.
  if (auto set = set_network(order.network); !set) return set;
  const UniqueFd code(
      ::openat(code_dir, order.code.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!code && errno != ENOENT) return fail_errno(errno, "cannot open the code " + order.code);
  if (!code) return fail_errno(errno, "the code " + order.code + " is not on this node");
  if (auto mounted =
          sandbox::inject_mount(code.get(), pidfd_.get(), sandbox::kCodeFolder, own_namespace);
      !mounted) {
    return mounted;
  }
  if (auto set = set_order_limits(copied_); !set) return set;
  auto env = order.env;
  if (network_ != nullptr && !closed_)
    env.emplace("EBB_GATEWAY", "http://" + network_->node_address());
  const nlohmann::json load = {{"entry", what.entry},
                               {"env", env},
                               {"concurrency", order.concurrency},
                               {"memory", memory_bytes_},
                               {"command", order.command},
                               {"args", order.args},
                               {"port", order.port == 0 ? kDefaultPort : order.port},
                               {"probe", order.probe_path},
                               {"deadline", order.start_deadline_ms},
                               {"forks", what.forks ? forks_word(order.preload) : ""}};
  const std::string text =
      "L" + load.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (what.compiles && what.compiled != nullptr) {
    if (auto sent = send_packet(control_.get(), "C" + *what.compiled); !sent) return sent;
  }
  hands_in_ = what.compiles && what.compiled == nullptr;
  if (auto sent = send_packet(control_.get(), text); !sent) return sent;
  arm_start_deadline();
  return {};
}

void PodProcess::arm_start_deadline() {
  const auto allowed = std::chrono::milliseconds(order_.start_deadline_ms);
  deadline_.fire = [this, allowed] {
    end("StartDeadlineExceeded", fmt::format("the code did not finish loading within {:.3g} s{}{}",
                                             std::chrono::duration<double>(allowed).count(),
                                             waits_for_.empty() ? "" : ": ", waits_for_));
  };
  executor_.arm(deadline_, assigned_at_ + allowed);
}

void PodProcess::take_order(const Assign& order) {
  order_ = order;
  assigned_at_ = executor_.now();
  revision_ = order.revision;
  code_ = order.code;
  concurrency_ = order.concurrency;
  state_ = PodState::kLoading;
}

Result<void> PodProcess::set_order_limits(uint64_t copied) {
  sandbox::Limits limits;
  if (order_.memory_bytes != 0) limits.memory_bytes = order_.memory_bytes;
  limits.cpu_millis = order_.cpu_millis;
  if (!cgroup_ || limits == sandbox::Limits()) return {};
  memory_bytes_ = limits.memory_bytes;
  return set_limits(limits, copied);
}

Result<void> PodProcess::assign_forked(const Assign& order, PodProcess& parent) {
  if (state_ != PodState::kCold || !cgroup_) {
    return fail(Errc::kConflict, "the pod {} is not cold", id_);
  }
  auto entrances = cgroup_->entrances();
  if (!entrances) return fail(entrances.error());
  auto pair = make_packet_pair();
  if (!pair) return fail(pair.error());
  refuse_descriptors(pair->ours.get());
  const int yes = 1;  // whose pid is it? A pod would tell what it likes
  if (::setsockopt(pair->ours.get(), SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes) != 0) {
    return fail_errno(errno, "cannot ask who sends");
  }
  std::vector<int> fds{pair->theirs.get(), pod_listener_.get(), pod_log_.get()};
  for (const auto& entrance : *entrances) fds.push_back(entrance.get());
  take_order(order);
  auto asked = set_order_limits(0);  // another process takes its place
  if (asked) asked = send_packet(parent.control_.get(), "F" + id_, fds);
  if (!asked) {
    be_cold_again();
    return asked;
  }
  ++parent.open_forks_;
  offered_ = true;
  parent_ = parent.id_;
  parent_pid_ = parent.pid_;
  fork_control_ = std::move(pair->ours);
  fork_watch_ =
      std::make_unique<net::FdWatch>(executor_, fork_control_.get(), [this] { on_fork(); });
  deadline_.fire = [this] { give_up_fork("no answer in time"); };
  executor_.arm(deadline_, assigned_at_ + kForkDeadline);
  return {};
}

// The process that was forked for this pod says "P": it is present, and waits for "G".
void PodProcess::on_fork() {
  std::array<char, 16> buffer;
  pid_t pid = 0;
  const auto packet = receive_packet(fork_control_.get(), buffer, nullptr, &pid);
  if (packet && !*packet) return;
  UniqueFd pidfd;
  if (packet && **packet == "P" && pid > 0 && pid != parent_pid_) {
    pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  }
  // A fork that has ended has closed its end of the socket: `pid` may be another's by now.
  // One outside its group would use what nobody counts.
  if (!pidfd || ::recv(fork_control_.get(), buffer.data(), 1, MSG_PEEK | MSG_DONTWAIT) == 0 ||
      !cgroup_->holds(pid) || !send_packet(fork_control_.get(), "G")) {
    give_up_fork("its process ended, or is not what it should be");
    return;
  }
  signal(SIGKILL);  // its own process, which holds nothing of anybody
  pid_ = pid;
  pidfd_ = std::move(pidfd);
  forked_ = true;
  fork_watch_.reset();  // which has called this
  control_watch_.reset();
  control_ = std::move(fork_control_);
  control_watch_ =
      std::make_unique<net::FdWatch>(executor_, control_.get(), [this] { on_control(); });
  exit_watch_ = std::make_unique<net::FdWatch>(executor_, pidfd_.get(), [this] { on_exit(); });
  pod_listener_.reset();
  pod_log_.reset();
  arm_start_deadline();
}

void PodProcess::give_up_fork(const std::string& why) {
  if (state_ != PodState::kLoading || parent_.empty() || forked_) return;
  const std::string parent = parent_;
  be_cold_again();
  cgroup_->kill(pid_);
  events_.on_not_forked(*this, parent, why);
}

void PodProcess::be_cold_again() {
  deadline_.disarm();
  drop_fork();
  parent_.clear();
  revision_.clear();
  code_.clear();
  state_ = PodState::kCold;
}

// It then meets a closed socket, and ends.
void PodProcess::drop_fork() {
  fork_watch_.reset();
  fork_control_.reset();
}

// Each fork may be told of once, in a few words: what else a parent says costs it its life.
void PodProcess::on_fork_status(std::string_view text) {
  int status = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), status);
  const bool whole = error == std::errc() && rest != text.data() + text.size();
  if (!whole || text.size() > kMostForkStatus || --open_forks_ < 0) {
    end("ProtocolError", "the pod said something unexpected on its control socket");
    return;
  }
  events_.on_fork_status(*this, std::string(rest + 1, text.data() + text.size()), status);
}

// By the kernel's word; how it ended is known to its parent, which may not tell.
void PodProcess::on_exit() {
  exit_watch_.reset();
  exited_ = true;
  if (wait_status_) return events_.on_ended(*this, *wait_status_);
  exit_wait_.fire = [this] { events_.on_ended(*this, SIGKILL); };
  executor_.arm(exit_wait_, executor_.now() + kWaitStatusPatience);
}

void PodProcess::set_wait_status(int wait_status) {
  wait_status_ = wait_status;
  if (!exited_) return;
  exit_wait_.disarm();
  events_.on_ended(*this, wait_status);
}

void PodProcess::abandon() {
  signal(SIGKILL);
  drop_fork();
  exit_watch_.reset();
  control_watch_.reset();
  log_watch_.reset();
  deadline_.disarm();
  log_pause_.disarm();
  exit_wait_.disarm();
}

// By what was opened while it lived: its number may be another's by now.
void PodProcess::signal(int number) {
  if (pidfd_) {
    ::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0);
  } else if (pid_ > 0) {
    ::kill(pid_, number);
  }
  // The first process of a namespace takes all others along; one that was forked does not.
  if (forked_ && number == SIGKILL && cgroup_) cgroup_->kill();
  // What v1 has frozen ends only when it is thawed, and then before it does anything else.
  if (number != SIGKILL || !std::exchange(frozen_, false)) return;
  if (auto done = cgroup_->freeze(false); !done) {
    log::error("controller", "pod {} was killed and stands still: {}", id_, done.error().message);
  }
}

// A signal is for the first thread of a process that can take it, mostly the first of all. But
// after a thaw that may be any, and a program whose first thread waits, as Python's does, hears
// nothing then. One that has it blocked has another thread that waits for it.
void PodProcess::signal_first_thread(int number) {
  const auto status = read_file(fmt::format("/proc/{}/status", pid_), 1 << 14);
  const size_t blocked = status ? status->find("\nSigBlk:\t") : std::string::npos;
  if (blocked == std::string::npos) return signal(number);
  uint64_t mask = 0;
  const char* const digits = status->data() + blocked + std::strlen("\nSigBlk:\t");
  std::from_chars(digits, status->data() + status->size(), mask, 16);
  if ((mask >> (number - 1) & 1) != 0) return signal(number);
  constexpr unsigned kThread = 1;  // PIDFD_SIGNAL_THREAD, of Linux 6.9
  if (pidfd_ && ::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, kThread) == 0) {
    return;
  }
  // Our own child, whose number is not given again before we have reaped it.
  if (!forked_ && pid_ > 0 && ::syscall(SYS_tgkill, pid_, pid_, number) == 0) return;
  signal(number);
}

bool PodProcess::clear_group() {
  if (!cgroup_) return true;
  cgroup_->kill();
  return cgroup_->remove();
}

std::optional<sandbox::CgroupUsage> PodProcess::usage() const {
  auto usage = cgroup_ ? cgroup_->usage() : std::nullopt;
  if (usage && !forked_) usage->memory_bytes += copied_;
  return usage;
}

Result<void> PodProcess::set_limits(sandbox::Limits limits, uint64_t copied) {
  const uint64_t asked = limits.memory_bytes;
  // v2 would take any limit, and end the pod for it.
  if (asked < kAmpleMemory) {
    const auto usage = cgroup_->usage();
    if (usage && asked < usage->memory_bytes + copied) {
      return fail(Errc::kInvalid, "{}",
                  too_little_memory(asked, usage->memory_bytes + copied, runtime_));
    }
  }
  limits.memory_bytes = asked - std::min(asked, copied);
  auto set = cgroup_->set_limits(limits);
  if (set || set.error().code != Errc::kExhausted) return set;
  return fail(Errc::kInvalid, "{}",
              too_little_memory(asked, cgroup_->memory_bytes().value_or(0) + copied, runtime_));
}

void PodProcess::say(const std::string& text) {
  std::string lines;
  LineCutter().feed("ebb: " + text + "\n", log_prefix(std::chrono::system_clock::now(), id_),
                    lines);
  logs_.append(revision_, lines);
}

void PodProcess::note_wait(std::string what) {
  if (what.empty()) return;
  // Once: what a pod sends here is not counted as its output.
  if (waits_for_.empty()) say("still loading: " + what);
  waits_for_ = std::move(what);
}

Result<void> PodProcess::set_network(uint8_t wish) {
  if (network_ == nullptr || wish == static_cast<uint8_t>(PodNetwork::kEgress)) return {};
  auto closed = network_->close(slot_);
  if (!closed) return fail(closed.error());
  closed_.emplace(std::move(*closed));
  return {};
}

void PodProcess::end(std::string reason, std::string message) {
  if (end_reason_.empty()) {
    end_reason_ = std::move(reason);
    end_message_ = std::move(message);
  }
  state_ = PodState::kEnding;
  deadline_.disarm();
  drop_fork();
  signal(SIGKILL);
}

void PodProcess::stop() {
  if (state_ == PodState::kEnding) return;
  if (state_ != PodState::kLoading && state_ != PodState::kReady) {
    end("Stopped", "");
    return;
  }
  end_reason_ = "Stopped";
  const bool was_frozen = frozen_;
  thaw();  // or it would not hear
  state_ = PodState::kEnding;
  drop_fork();
  was_frozen ? signal_first_thread(SIGTERM) : signal(SIGTERM);
  deadline_.fire = [this] {
    say(fmt::format("it ignored SIGTERM for {} s and was killed", kStopGrace.count()));
    signal(SIGKILL);
  };
  executor_.arm(deadline_, executor_.now() + kStopGrace);
}

void PodProcess::set_frozen(bool frozen, uint64_t turn) {
  if (turn <= freeze_turn_ || state_ != PodState::kReady) return;
  freeze_turn_ = turn;
  if (frozen == frozen_ || cannot_freeze_) return;
  auto done = cgroup_ ? cgroup_->freeze(frozen)
                      : Result<void>(fail(Errc::kUnavailable, "pods have no cgroups here"));
  if (done) {
    frozen_ = frozen;
    return;
  }
  if (frozen) {
    cannot_freeze_ = true;
    say("the pod is not frozen while it is idle: " + done.error().message);
  } else {
    end("ThawFailed", done.error().message);
  }
}

void PodProcess::thaw() {
  freeze_turn_ = 0;
  if (!std::exchange(frozen_, false)) return;
  if (auto done = cgroup_->freeze(false); !done) end("ThawFailed", done.error().message);
}

void PodProcess::watch_output() {
  log_watch_ = std::make_unique<net::FdWatch>(executor_, log_.get(), [this] { on_output(); });
}

void PodProcess::on_output() {
  if (!drain_output()) {
    log_watch_.reset();
    return;
  }
  const TimePoint now = executor_.now();
  const Duration pause = std::max(log_budget_.wait(now), logs_.budget().wait(now));
  if (pause == Duration::zero()) return;
  log_watch_.reset();  // its pipe fills up: it waits in its next write
  executor_.arm(log_pause_, now + pause);
}

bool PodProcess::drain_output() {
  static std::array<char, kLogPiece> buffer;  // one thread, one reader
  const ssize_t n = ::read(log_.get(), buffer.data(), buffer.size());
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  if (n == 0) return false;
  const std::string_view piece(buffer.data(), static_cast<size_t>(n));
  output_.add(piece, executor_.now());
  if (revision_.empty()) return true;  // the runtime's own words
  std::string lines;
  lines_.feed(piece, log_prefix(std::chrono::system_clock::now(), id_), lines);
  logs_.append(revision_, lines);
  // What lands on the disk counts: short lines are mostly prefix.
  const auto cost = static_cast<double>(std::max(lines.size(), piece.size()));
  log_budget_.take(cost, executor_.now());
  logs_.budget().take(cost, executor_.now());
  return true;
}

PodGone PodProcess::obituary(int wait_status) {
  pid_ = -1;
  // What it said just before it ended may still wait there.
  for (int i = 0; control_watch_ && i < kLastReads; ++i) on_control();
  const bool loading = !revision_.empty() && ready_at_ == TimePoint{};
  PodGone gone{.pod = id_, .reason = end_reason_, .message = end_message_};
  drain_output();  // a pipe full at most: nobody writes any more
  std::string last;
  lines_.finish(log_prefix(std::chrono::system_clock::now(), id_), last);
  logs_.append(revision_, last);
  if (gone.reason == "Stopped") return gone;
  // What started the function's program may have lived to tell of its end.
  const bool may_be_memory = gone.reason.empty() || (loading && gone.reason == "LoadFailed");
  const auto lack = may_be_memory && cgroup_ ? cgroup_->memory_lack() : sandbox::MemoryLack::kNone;
  if (gone.reason.empty() || lack != sandbox::MemoryLack::kNone) {
    const std::string when = loading ? " while it loaded its code" : "";
    if (revision_.empty() && warmed_up_) {
      gone.reason = "NotFound";  // for an order that may be on its way
      gone.message = "the cold pod has ended";
    } else if (lack == sandbox::MemoryLack::kOwn) {
      gone.reason = "OOMKilled";
      gone.message = fmt::format("the function ran out of memory{} (its limit is {})", when,
                                 describe_memory(memory_bytes_));
    } else if (lack == sandbox::MemoryLack::kAround) {
      gone.reason = loading ? std::string(scheduling::kKilledFromOutside) : "OOMKilled";
      gone.message = fmt::format(
          "the machine ran out of memory and ended the function{}, though it kept its limit of {}",
          when, describe_memory(memory_bytes_));
    } else if (WIFEXITED(wait_status)) {
      gone.reason = "Exited";
      gone.message =
          fmt::format("the function exited with code {}{}", WEXITSTATUS(wait_status), when);
    } else if (loading && !forked_ && WTERMSIG(wait_status) == SIGKILL) {
      // The first process of a namespace is out of reach for its own signals (not for those of
      // its limits).
      gone.reason = scheduling::kKilledFromOutside;
      gone.message = "the pod was killed from outside while it loaded its code";
    } else {
      const int signal = WTERMSIG(wait_status);
      gone.reason = "Killed";
      gone.message = fmt::format("the function was ended by signal {} ({}){}", signal,
                                 signal_name(signal), when);
    }
  }
  if (loading) say(gone.message);  // who reads the log sees why nothing more comes
  // One that served has said much that has nothing to do with its end.
  const TimePoint since =
      loading ? assigned_at_ : std::max(assigned_at_, executor_.now() - kLastBreath);
  gone.output = output_.last(kLogInMessage, since);
  return gone;
}

}  // namespace ebb::node
