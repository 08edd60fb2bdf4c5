#include "node/local_controller.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <set>
#include <sstream>
#include <thread>

#include "base/file.h"
#include "base/log.h"
#include "net/descriptor_reserve.h"
#include "node/packet.h"
#include "sandbox/enter.h"
#include "sandbox/inject.h"
#include "sandbox/rights.h"
#include "sandbox/seccomp.h"

namespace ebb::node {
namespace {

// After a hand-out no pod is made for this long while more than half of the pool is left:
// making one takes a core for milliseconds, which the code that loads needs.
constexpr Duration kHandOutPause = std::chrono::milliseconds(12);
// Between two looks for whom to kill at the end: each reads a file of every pod, which takes time
// from those that end.
constexpr Duration kKillPause = std::chrono::milliseconds(50);
// After a front could not be accepted.
constexpr Duration kListenPause = std::chrono::milliseconds(100);
// For the next front: the one before may have requests in pods even if none follows.
constexpr Duration kHandOverGrace = std::chrono::seconds(60);
constexpr int kControlBuffer = 4 << 20;  // bytes queued towards the front

Result<UniqueFd> open_folder(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, "cannot open the folder " + path);
  return fd;
}

void kill_children() {
  const auto self = ::getpid();
  const auto list = read_file(fmt::format("/proc/self/task/{}/children", self), 1 << 20);
  std::istringstream children(list ? *list : "");
  for (pid_t child = 0; children >> child;) ::kill(child, SIGKILL);
}

Result<UniqueFd> listen_for_front(int run_dir, uid_t front) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, "cannot make the control socket");
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string path = fmt::format("/proc/self/fd/{}/node.sock", run_dir);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  ::unlinkat(run_dir, "node.sock", 0);
  const bool bound =
      ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  if (!bound || ::fchownat(run_dir, "node.sock", front, front, AT_SYMLINK_NOFOLLOW) != 0 ||
      ::listen(fd.get(), 4) != 0) {
    return fail_errno(errno, "cannot listen on the control socket");
  }
  return fd;
}

}  // namespace

LocalController::LocalController(net::Executor& executor, ControllerOptions options)
    : executor_(executor),
      options_(std::move(options)),
      usage_(executor_, options_.usage_interval, pods_,
             [this](const FromController& message) { report(message); }) {
  for (uint32_t slot = 0; slot < options_.slots; ++slot) free_slots_.push_back(slot);
  parent_timer_.fire = [this] { look_at_parents(); };
  ended_timer_.fire = [this] { clear_groups(); };
}

Result<std::unique_ptr<LocalController>> LocalController::create(net::Executor& executor,
                                                                 ControllerOptions options) {
  std::unique_ptr<LocalController> controller(new LocalController(executor, std::move(options)));
  if (auto ready = controller->set_up(); !ready) return fail(ready.error());
  return controller;
}

Result<void> LocalController::set_up() {
  const auto run_dir = open_folder(options_.data.run());
  if (!run_dir) return fail(run_dir.error());
  // Held for as long as this process lives: one Local Controller per data folder.
  lock_.reset(::openat(run_dir->get(), "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock_ || ::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    return fail(Errc::kAlreadyExists,
                "another ebb uses the data folder {}: stop that one first, or choose another data "
                "folder with --data",
                options_.data.root);
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(lock_.get(), 0) != 0 || ::write(lock_.get(), pid.data(), pid.size()) < 0) {
    return fail_errno(errno, "cannot write " + options_.data.controller_lock());
  }
  if ((options_.without & kEbbWithoutSeccomp) == 0) {
    auto seccomp = sandbox::compile_seccomp();
    if (!seccomp) return fail(seccomp.error());
    seccomp_ = std::move(*seccomp);
  }
  set_up_cgroups();
  set_up_network();
  auto own = sandbox::own_mount_namespace();
  auto pods_dir = open_folder(options_.data.pods());
  auto code_dir = open_folder(options_.data.code());
  auto logs_dir = open_folder(options_.data.logs());
  for (const auto* opened : {&own, &pods_dir, &code_dir, &logs_dir}) {
    if (!*opened) return fail(opened->error());
  }
  own_namespace_ = std::move(*own);
  pods_dir_ = std::move(*pods_dir);
  code_dir_ = std::move(*code_dir);
  logs_ = std::make_unique<LogFolder>(std::move(*logs_dir), options_.front_uid);
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(options_.data.pods(), ignored)) {
    std::filesystem::remove(entry.path(), ignored);
  }

  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGCHLD);
  sigaddset(&signals, SIGTERM);
  signals_.reset(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) return fail_errno(errno, "cannot watch signals");
  signal_watch_ =
      std::make_unique<net::FdWatch>(executor_, signals_.get(), [this] { on_signal(); });

  auto listener = listen_for_front(run_dir->get(), options_.front_uid);
  if (!listener) return fail(listener.error());
  listener_ = std::move(*listener);
  watch_listener();
  listen_again_.fire = [this] { watch_listener(); };
  grace_.fire = [this] {
    log::warn("controller", "no front came back: ending all pods");
    shut_down();
  };
  executor_.arm(grace_, executor_.now() + options_.front_grace);
  return {};
}

// Functions run without limits where there are no groups to be had.
void LocalController::set_up_cgroups() {
  if ((options_.without & kEbbWithoutCgroups) != 0) return;
  auto mounts = options_.cgroups ? Result<sandbox::CgroupMounts>(*options_.cgroups)
                                 : sandbox::CgroupMounts::find();
  auto tree = mounts ? sandbox::CgroupTree::open("ebb-" + options_.data.id(), std::move(*mounts))
                     : fail(mounts.error());
  if (!tree) {
    options_.without |= kEbbWithoutCgroups;
    log::warn("controller", "functions' memory and CPU are not limited: {}", tree.error().message);
    return;
  }
  cgroups_ = std::move(*tree);
  if (const size_t swept = cgroups_->sweep(); swept > 0) {
    log::info("controller", "swept {} cgroups of an earlier run", swept);
  }
}

// Functions run without it: what lacks is said, and again by each function that wants it.
void LocalController::set_up_network() {
  if (!options_.network) {
    sandbox::Network::clear({.data_id = options_.data.id()});
    return;
  }
  options_.network->data_id = options_.data.id();
  options_.network->slots = options_.slots;
  auto network = sandbox::Network::open(*options_.network);
  if (network) {
    network_ = std::move(*network);
    log::info("controller", "pods have addresses in {}", network_->range().to_string());
    network_watch_ = std::make_unique<net::FdWatch>(executor_, network_->watch_fd(), [this] {
      if (network_->put_back()) log::warn("controller", "somebody removed the pods' packet filter");
    });
    return;
  }
  network_problem_ = network.error().message;
  log::warn("controller", "functions can reach nothing outside: {}", network_problem_);
}

LocalController::~LocalController() = default;

// --- The front ---

void LocalController::watch_listener() {
  listener_watch_ =
      std::make_unique<net::FdWatch>(executor_, listener_.get(), [this] { on_front_connects(); });
}

void LocalController::on_front_connects() {
  UniqueFd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!peer && (errno == EMFILE || errno == ENFILE)) {  // it stays there, and would call again
    log::error("controller", "a front has to wait: {}", std::strerror(errno));
    executor_.arm(listen_again_, executor_.now() + kListenPause);
    listener_watch_.reset();
    return;
  }
  if (!peer) return;
  ucred who = {};
  socklen_t length = sizeof who;
  if (::getsockopt(peer.get(), SOL_SOCKET, SO_PEERCRED, &who, &length) != 0 ||
      (who.uid != options_.front_uid && who.uid != 0)) {
    return;
  }
  if (front_) return;  // closed at once: there is one front
  ::setsockopt(peer.get(), SOL_SOCKET, SO_SNDBUFFORCE, &kControlBuffer, sizeof kControlBuffer);
  front_ = std::move(peer);
  grace_.disarm();
  Welcome welcome{.node = options_.node,
                  .slots = options_.slots,
                  .pods = {},
                  .node_address = network_ ? network_->node_address() : "",
                  .network_problem = network_problem_};
  for (const auto& [id, pod] : pods_) {
    if (pod->state() == PodState::kStarting || pod->state() == PodState::kEnding) continue;
    if (is_parent(*pod)) continue;
    welcome.pods.push_back({.pod = id,
                            .runtime = pod->runtime(),
                            .revision = pod->revision(),
                            .state = static_cast<uint8_t>(pod->state()),
                            .concurrency = pod->concurrency()});
  }
  report(welcome);
  if (!front_) return;
  front_watch_ =
      std::make_unique<net::FdWatch>(executor_, front_.get(), [this] { on_front_message(); });
  usage_.start();
}

void LocalController::on_front_message() {
  static std::array<char, kMaxMessage> buffer;  // one thread, one reader
  while (front_) {
    const auto packet = receive_packet(front_.get(), buffer);
    if (packet && !*packet) return;
    if (!packet || (*packet)->empty()) {
      on_front_gone();
      return;
    }
    const auto message = decode_to_controller(**packet);
    if (!message) {
      log::error("controller", "refused: {}", message.error().message);
      continue;
    }
    std::visit([this](const auto& order) { handle(order); }, *message);
  }
}

void LocalController::on_front_gone() {
  const bool hands_over = std::exchange(front_hands_over_, false);
  if (!hands_over) {
    log::warn("controller", "the front has gone; its pods live on for {} s",
              std::chrono::duration_cast<std::chrono::seconds>(options_.front_grace).count());
  }
  usage_.stop();
  front_watch_.reset();
  front_.reset();
  if (!hands_over) handle(ServePods{});             // somebody else could take the ports
  for (const auto& [id, pod] : pods_) pod->thaw();  // the next one counts its turns anew
  const Duration grace =
      hands_over ? std::max(kHandOverGrace, options_.front_grace) : options_.front_grace;
  executor_.arm(grace_, executor_.now() + grace);
}

void LocalController::report(const FromController& message) {
  if (!front_) return;
  if (auto sent = send_packet(front_.get(), encode(message)); !sent) {
    // What pods use is measured again; a front that is only slow is not given up for it.
    const bool usage =
        std::holds_alternative<PodUsage>(message) || std::holds_alternative<NodeUsage>(message);
    if (usage && sent.error().code == Errc::kExhausted) return;
    // A front that does not listen is as good as gone; the next one is welcomed
    // with the whole truth.
    log::error("controller", "cannot reach the front: {}", sent.error().message);
    on_front_gone();
  }
}

void LocalController::handle(const Assign& order) {
  const auto found = pods_.find(order.pod);
  if (found == pods_.end()) {
    report(PodGone{.pod = order.pod, .reason = "NotFound", .message = "the pod no longer exists"});
    return;
  }
  PodProcess& pod = *found->second;
  const auto pool = pools_.find(pod.runtime());
  if (!is_code_hash(order.code) || pool == pools_.end()) {
    pod.end("AssignFailed", "the order to load code is malformed");
    return;
  }
  if (!assign_forked(order, pod)) assign(order, pod, false);
  pause_refills_until_ = executor_.now() + kHandOutPause;
  executor_.post([this, runtime = pod.runtime()] {  // after the hand-outs that wait
    if (const auto again = pools_.find(runtime); again != pools_.end()) refill(*again->second);
  });
}

void LocalController::assign(const Assign& order, PodProcess& pod, bool forks) {
  const auto pool = pools_.find(pod.runtime());
  if (pool == pools_.end()) return pod.end("AssignFailed", "its runtime is gone");
  const Runtime& runtime = pool->second->runtime;
  const PodProcess::Code what{.entry = runtime.entry,
                              .compiles = runtime.compiles,
                              .compiled = compiled_.find(runtime.name, order.code),
                              .forks = forks};
  auto assigned = pod.assign(order, code_dir_.get(), what, own_namespace_.get());
  if (!assigned) pod.end("AssignFailed", assigned.error().message);
}

void LocalController::handle(const Stop& order) {
  if (const auto found = pods_.find(order.pod); found != pods_.end()) {
    found->second->stop();
  }
}

void LocalController::handle(const Freeze& order) {
  if (const auto found = pods_.find(order.pod); found != pods_.end()) {
    found->second->set_frozen(order.frozen != 0, order.turn);
  }
}

void LocalController::handle(const Shutdown& /*order*/) { shut_down(); }

void LocalController::handle(const Ping& order) { report(Pong{order.number}); }

void LocalController::handle(const HandOver& /*order*/) { front_hands_over_ = true; }

void LocalController::handle(const ServePods& order) {
  if (!network_) return;
  const sandbox::PodServices services{
      .gateway = order.gateway, .public_gateway = order.public_gateway, .dns = order.dns};
  if (auto served = network_->serve(services); !served) {
    log::error("controller", "functions cannot reach each other: {}", served.error().message);
  }
}

// --- Processes ---

void LocalController::on_signal() {
  signalfd_siginfo info;
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGTERM) {
      shut_down();
      return;
    }
  }
  reap();
}

void LocalController::reap() {
  int status = 0;
  for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
    const auto pod = std::find_if(pods_.begin(), pods_.end(), [&](const auto& entry) {
      return entry.second->pid() == pid && !entry.second->forked();
    });
    if (pod != pods_.end()) {
      bury(*pod->second, status);
      continue;
    }
    const auto pool = std::find_if(pools_.begin(), pools_.end(), [&](const auto& entry) {
      return entry.second->zygote && entry.second->zygote->pid() == pid;
    });
    if (pool != pools_.end()) {
      pool->second->zygote->reaped();  // its closed socket tells the rest
    } else if (spawning()) {
      early_exits_[pid] = status;
    }
  }
}

void LocalController::bury(PodProcess& pod, int wait_status) {
  const std::string id = pod.id();
  const std::string runtime = pod.runtime();
  const PodGone gone = pod.obituary(wait_status);
  const auto pool = pools_.find(runtime);
  const bool parent = is_parent(pod);
  if (parent) bury_parent(pod, gone);
  // One that never got as far as waiting for code: the next waits a while.
  if (pool != pools_.end() && !pod.warmed_up() && gone.reason != "Stopped") {
    pool_failed(*pool->second, {Errc::kUnavailable, whole_message(gone)});
  }
  const uint32_t slot = pod.slot();
  const std::string parent_id = pod.parent();
  if (pod.forked() && pod.ready_at() == TimePoint{} && gone.reason != "Stopped") {
    distrust(parent_id);
  }
  if (pod.offered()) {
    pod.abandon();
    ended_.push_back(std::move(pods_.find(id)->second));
    executor_.arm(ended_timer_, executor_.now());
  }
  pods_.erase(id);
  end_if_childless(parent_id);
  free_slots_.push_back(slot);
  if (parent) {
    parents_.erase(id);
  } else {
    if (gone.reason != "Stopped") {
      log::info("controller", "pod {}: {}: {}", id, gone.reason, whole_message(gone));
    }
    report(gone);
  }
  if (pool != pools_.end()) refill(*pool->second);
}

void LocalController::shut_down() {
  usage_.stop();
  front_watch_.reset();
  listen_again_.disarm();
  listener_watch_.reset();
  signal_watch_.reset();
  std::set<pid_t> warm;
  for (const auto& [id, pod] : pods_) {
    // One that was forked ends before the one that has forked it, which reaps it.
    if (!pod->revision().empty() && pod->pid() > 0 && !pod->forked()) warm.insert(pod->pid());
    pod->stop();
  }
  for (const auto& [name, pool] : pools_) pool->zygote.reset();
  const TimePoint patience = executor_.now() + kStopGrace;
  TimePoint kill_at{};
  pid_t pid = 0;
  while ((pid = ::waitpid(-1, nullptr, WNOHANG)) >= 0) {
    warm.erase(pid);
    if (pid > 0) continue;
    // Then those that ignore SIGTERM, and pods whose pid the zygote had not told yet,
    // found by their cgroups, else among our children. SIGKILL cannot be refused, so
    // this ends.
    if (executor_.now() >= kill_at && (warm.empty() || executor_.now() >= patience)) {
      kill_at = executor_.now() + kKillPause;
      cgroups_ ? cgroups_->kill_all() : kill_children();
    }
    for (const auto& [id, pod] : pods_) pod->drain_output();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  pods_.clear();
  ended_.clear();
  pools_.clear();
  network_watch_.reset();
  network_.reset();
  cgroups_.reset();
  ::unlink(options_.data.controller_socket().c_str());
  front_.reset();
  executor_.stop();
}

int run_local_controller(ControllerOptions options, UniqueFd ready_fd) {
  // Away from the terminal: Ctrl-C is for the front, which drains first.
  ::setsid();
  ::prctl(PR_SET_NAME, "ebb-node");
  ::signal(SIGINT, SIG_IGN);
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGCHLD);
  sigaddset(&signals, SIGTERM);
  // For the supervisor, from who tells them to all of a service's processes.
  sigaddset(&signals, SIGHUP);
  sigaddset(&signals, SIGUSR2);
  ::sigprocmask(SIG_SETMASK, &signals, nullptr);
  static_cast<void>(::chdir("/"));
  ::umask(0177);                               // its sockets are for their owner only
  static_cast<void>(::setgroups(0, nullptr));  // pods inherit none
  // Entering a pod's mount namespace wants a file system context of our own; a
  // sanitizer's runtime has a thread that would share it.
  static_cast<void>(::unshare(CLONE_FS));
  net::allow_many_descriptors();
  log::init("node", log::Level::kInfo);

  net::Executor executor("node");
  auto controller = LocalController::create(executor, std::move(options));
  const std::string answer = controller ? "ok" : controller.error().message;
  static_cast<void>(!::write(ready_fd.get(), answer.data(), answer.size()));
  ready_fd.reset();
  if (!controller) return 1;
  executor.run();
  return 0;
}

}  // namespace ebb::node
