// The `ebb` program: all the wiring of `ebb up`, on one page.
//
// Two processes. The Local Controller (node/) is forked first, keeps root, and owns
// the pods. This one, the front, drops its rights and runs gateway, API and control:
// one executor with a thread for each core, and the control executor on the main
// thread.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "api/defaults.h"
#include "apiserver/api_server.h"
#include "apiserver/live_view.h"
#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "cli/cli.h"
#include "cli/kubeconfig.h"
#include "control/autoscaler.h"
#include "control/reconcilers.h"
#include "control/revision_host.h"
#include "control/scheduler.h"
#include "http/server.h"
#include "net/fd_watch.h"
#include "net/listener.h"
#include "node/code_cache.h"
#include "node/controller_client.h"
#include "node/launch.h"
#include "node/packet.h"
#include "resources/store_client.h"
#include "sandbox/rights.h"
#include "serving/gateway.h"
#include "store/disk_thread.h"
#include "store/file_blob_store.h"
#include "store/sqlite_store.h"

namespace ebb {
namespace {

using namespace std::chrono_literals;

constexpr auto kDrainTimeout = 30s;       // for requests in flight, at the end
constexpr auto kControllerTimeout = 10s;  // for the Local Controller to greet, or to end
constexpr const char* kNode = "local";

// --- Before the rights are dropped ---

struct Prepared {
  node::DataFolder data;
  UniqueFd lock;                  // held while this front lives
  std::vector<UniqueFd> gateway;  // one listening socket per executor
  UniqueFd api;
  node::Launched controller;
  std::string token;
};

// The runtimes beside the program (a build folder), else the installed ones.
std::string find_runtimes(const std::string& wish) {
  std::error_code ignored;
  if (!wish.empty()) return std::filesystem::absolute(wish, ignored);
  const auto folder = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
  for (const auto& candidate : {folder / "runtimes", folder / "../lib/ebb/runtimes"}) {
    if (std::filesystem::exists(candidate, ignored)) {
      return std::filesystem::weakly_canonical(candidate, ignored);
    }
  }
  return "/usr/lib/ebb/runtimes";
}

// One front for a data folder; its Local Controller may outlive it for a while.
Result<UniqueFd> lock(const node::DataFolder& data) {
  UniqueFd fd(::open((data.run() + "/front.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd || ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return fail(Errc::kAlreadyExists,
                "another ebb up uses the data folder {}: stop that one first, or choose another "
                "data folder with --data",
                data.root);
  }
  return fd;
}

// The API's token: made once per data folder, so that a restart keeps clients.
Result<std::string> load_token(const node::DataFolder& data) {
  const std::string path = data.root + "/token";
  if (auto text = read_file(path, 4096); text && text->size() >= 32) return *text;
  std::string token = random_hex(24);
  if (auto written = write_file_atomic(path, token, 0600); !written) return fail(written.error());
  return token;
}

// The kubeconfig belongs to whoever typed `sudo ebb up`.
Result<void> publish_kubeconfig(const Prepared& prepared) {
  const auto api = net::local_address(prepared.api.get());
  if (!api) return fail(api.error());
  const std::string path = prepared.data.kubeconfig();
  const cli::Kubeconfig config{.server = "http://" + api->to_string(), .token = prepared.token};
  if (auto written = cli::write_kubeconfig(path, config); !written) return written;
  const char* uid = std::getenv("SUDO_UID");
  const char* gid = std::getenv("SUDO_GID");
  if (uid != nullptr && gid != nullptr &&
      ::chown(path.c_str(), static_cast<uid_t>(std::atol(uid)),
              static_cast<gid_t>(std::atol(gid))) != 0) {
    return fail_errno(errno, "cannot give " + path + " to the user of sudo");
  }
  return {};
}

Result<Prepared> prepare(const cli::UpOptions& options, int workers) {
  if (auto rights = sandbox::check_rights(); !rights) return fail(rights.error());
  Prepared out;
  std::error_code error;
  const std::string runtimes = find_runtimes(options.runtimes);
  if (!std::filesystem::is_directory(runtimes, error)) {
    return fail(Errc::kNotFound, "there are no runtimes in {}: name their folder with --runtimes",
                runtimes);
  }
  out.data.root = std::filesystem::absolute(options.data, error).lexically_normal();
  if (auto made = out.data.prepare(node::kFrontUid); !made) return fail(made.error());
  auto locked = lock(out.data);
  if (!locked) return fail(locked.error());
  out.lock = std::move(*locked);
  auto gateway = net::bind_shared(options.gateway, workers);
  if (!gateway) return fail(gateway.error());
  auto api = net::bind_shared(options.api, 1);
  if (!api) return fail(api.error());
  out.gateway = std::move(*gateway);
  out.api = std::move(api->front());
  auto launched =
      node::launch_local_controller({.data = out.data, .runtimes = runtimes, .node = kNode});
  if (!launched) return fail(launched.error());
  out.controller = std::move(*launched);
  auto token = load_token(out.data);
  if (!token) return fail(token.error());
  out.token = std::move(*token);
  if (auto published = publish_kubeconfig(out); !published) return fail(published.error());
  if (auto dropped = node::drop_privileges(node::kFrontUid); !dropped) return fail(dropped.error());
  return out;
}

// --- The front ---

sigset_t ending_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}

// Before the first thread, which all others inherit it from.
void block_signals() {
  const sigset_t signals = ending_signals();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  // A shell starts background jobs with SIGINT ignored, which a signalfd never sees.
  ::signal(SIGINT, SIG_DFL);
  ::signal(SIGPIPE, SIG_IGN);
}

// One core's share of the gateway.
struct Worker {
  Worker(int index, UniqueFd listening, const serving::RoutingPublisher& routes,
         serving::Waker& waker)
      : executor("data-" + std::to_string(index)),
        gateway(executor, routes, waker),
        server(executor, std::move(listening), gateway, {}) {}

  void start() {
    executor.post([this] { server.start(); });
    thread = std::thread([this] {
      ::prctl(PR_SET_NAME, executor.name().c_str());
      executor.run();
    });
  }
  // Ends it when its requests are answered; `done` runs on its thread.
  void drain(TimePoint deadline, std::function<void(size_t cut)> done) {
    executor.post(
        [this, deadline, done = std::move(done)] { executor.spawn(drain_task(deadline, done)); });
  }

  net::Executor executor;
  serving::Gateway gateway;
  http::Server server;
  std::thread thread;

 private:
  net::Task<void> drain_task(TimePoint deadline, std::function<void(size_t)> done) {
    done(co_await server.drain(deadline));
  }
};

class Front final {
 public:
  Front(const cli::UpOptions& options, Prepared prepared);
  // Runs until SIGINT, SIGTERM, or the end of the Local Controller. The exit code.
  int run();

 private:
  int give_up(const std::string& why);
  void on_controller(const node::FromController& message);
  void on_controller_gone();
  void on_signal();
  net::Task<void> open_when_synced();
  void announce();
  void drain();
  void drained(size_t cut);
  net::Task<void> drain_api(TimePoint deadline);
  void end();

  SystemClock clock_;
  Prepared prepared_;
  net::Executor control_{"control"};
  std::unique_ptr<store::SqliteStore> store_;
  store::DiskThread disk_;
  std::unique_ptr<store::FileBlobStore> blobs_;
  std::unique_ptr<resources::StoreClient> client_;
  serving::RoutingPublisher routes_;
  serving::Traffic traffic_;
  control::Scheduler scheduler_;
  control::AutoScaler autoscaler_;
  control::RevisionHost host_;
  std::unique_ptr<node::CodeCache> code_;
  std::unique_ptr<control::Reconcilers> reconcilers_;
  apiserver::LiveView live_;
  std::unique_ptr<apiserver::ApiServer> api_;
  std::unique_ptr<http::Server> api_server_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<node::ControllerClient> controller_;
  UniqueFd signals_;
  std::unique_ptr<net::FdWatch> signal_watch_;
  net::Timer deadline_;
  std::string domain_;
  enum class Phase {
    kGreeting,  // waits for what the Local Controller has
    kReading,   // reads what was declared
    kOpen,      // gateway and API accept
    kDraining,  // answers what is in flight
    kEnding,    // waits for the Local Controller to end
  };
  Phase phase_ = Phase::kGreeting;
  size_t still_draining_ = 0;
  size_t cut_ = 0;
  int exit_code_ = 0;
};

Front::Front(const cli::UpOptions& options, Prepared prepared)
    : prepared_(std::move(prepared)),
      scheduler_({.pods_folder = prepared_.data.pods(),
                  .pool = options.pool < 0 ? std::nullopt : std::optional<uint32_t>(options.pool)},
                 clock_),
      autoscaler_(control_, traffic_, scheduler_, clock_),
      host_(traffic_, scheduler_, autoscaler_, clock_),
      live_(scheduler_, clock_, cli::version()),
      domain_(options.domain) {}

// Ends before anything runs. A Local Controller of an earlier front, with its pods, is
// left to the next one.
int Front::give_up(const std::string& why) {
  log::error("front", "{}", why);
  if (prepared_.controller.child > 0) {
    static_cast<void>(
        node::send_packet(prepared_.controller.socket.get(), encode(node::Shutdown{})));
    ::waitpid(prepared_.controller.child, nullptr, 0);
  }
  return 1;
}

int Front::run() {
  if (::access(prepared_.data.store().c_str(), R_OK | W_OK | X_OK) != 0) {
    return give_up(
        fmt::format("user {}, as which Ebb serves, cannot enter the data folder {}: "
                    "choose a folder that other users may enter",
                    node::kFrontUid, prepared_.data.root));
  }
  auto store = store::SqliteStore::open(control_, prepared_.data.store() + "/state.db");
  if (!store) return give_up(store.error().message);
  store_ = std::move(*store);
  client_ = std::make_unique<resources::StoreClient>(*store_, clock_);
  auto blobs = store::FileBlobStore::open(control_, disk_, prepared_.data.blobs());
  if (!blobs) return give_up(blobs.error().message);
  blobs_ = std::move(*blobs);
  code_ = std::make_unique<node::CodeCache>(control_, *blobs_, disk_, prepared_.data.code());
  const auto gateway = net::local_address(prepared_.gateway.front().get());
  const auto api = net::local_address(prepared_.api.get());
  if (!gateway || !api) return give_up("the listening sockets have no address");
  reconcilers_ = std::make_unique<control::Reconcilers>(
      control_, control::Reconcilers::Uses{.client = *client_,
                                           .host = host_,
                                           .autoscaler = autoscaler_,
                                           .code = *code_,
                                           .publisher = routes_,
                                           .clock = clock_,
                                           .domain = domain_,
                                           .gateway_port = gateway->port});
  api_ = std::make_unique<apiserver::ApiServer>(
      control_, apiserver::ApiServerParts{*client_, *blobs_, live_, clock_},
      apiserver::ApiServerOptions{.token = prepared_.token,
                                  .listen = *api,
                                  .hosts = {},
                                  .version = cli::version(),
                                  .gateway = gateway->to_string(),
                                  .ready = [this] { return phase_ == Phase::kOpen; }});
  api_server_ = std::make_unique<http::Server>(control_, std::move(prepared_.api), *api_,
                                               http::ServerOptions{});
  int index = 0;
  for (auto& listening : prepared_.gateway) {
    workers_.push_back(
        std::make_unique<Worker>(index++, std::move(listening), routes_, autoscaler_));
  }

  const sigset_t signals = ending_signals();
  signals_.reset(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  signal_watch_ = std::make_unique<net::FdWatch>(control_, signals_.get(), [this] { on_signal(); });

  controller_ = std::make_unique<node::ControllerClient>(
      control_, std::move(prepared_.controller.socket),
      node::ControllerClient::Events{
          .on_message = [this](const node::FromController& m) { on_controller(m); },
          .on_gone = [this] { on_controller_gone(); }});
  scheduler_.add_node(kNode,
                      [this](const node::ToController& order) { return controller_->send(order); });
  deadline_.fire = [this] {
    log::error("front", "the Local Controller does not answer");
    exit_code_ = 1;
    end();
  };
  control_.arm(deadline_, control_.now() + kControllerTimeout);
  control_.run();

  for (auto& worker : workers_) {
    worker->executor.stop();
    if (worker->thread.joinable()) worker->thread.join();
  }
  // It has closed its socket, or will not end for us.
  if (prepared_.controller.child > 0) ::waitpid(prepared_.controller.child, nullptr, WNOHANG);
  return exit_code_;
}

void Front::on_controller(const node::FromController& message) {
  const bool welcome = std::holds_alternative<node::Welcome>(message);
  scheduler_.on_message(kNode, message);
  if (!welcome || phase_ != Phase::kGreeting) return;
  phase_ = Phase::kReading;
  deadline_.disarm();
  // Only now: a control plane that does not know its pods yet must not scale.
  autoscaler_.start();
  reconcilers_->start();
  control_.spawn(open_when_synced());
}

// A gateway that does not know its routes yet would answer 404 for functions that
// there are: the doors open when everything declared has been read.
net::Task<void> Front::open_when_synced() {
  while (!reconcilers_->synced()) {
    auto pause = control_.sleep_until(control_.now() + 5ms);
    co_await pause;
  }
  if (phase_ != Phase::kReading) co_return;
  phase_ = Phase::kOpen;
  api_server_->start();
  for (auto& worker : workers_) worker->start();
  announce();
}

void Front::announce() {
  const auto& data = prepared_.data;
  std::fprintf(stderr, "ebb %s is up\n", cli::version());
  std::fprintf(stderr, "  gateway     http://%s   (functions: http://NAME.NAMESPACE.%s)\n",
               workers_.front()->server.address().to_string().c_str(), domain_.c_str());
  std::fprintf(stderr, "  API         http://%s\n", api_server_->address().to_string().c_str());
  std::fprintf(stderr, "  kubeconfig  %s\n", data.kubeconfig().c_str());
  std::fprintf(stderr, "  Ctrl-C finishes the requests in flight and ends everything\n");
}

void Front::on_controller_gone() {
  if (phase_ == Phase::kEnding) {
    control_.stop();
    return;
  }
  exit_code_ = 1;
  log::error("front", "the Local Controller has ended, and all pods with it: start ebb again");
  scheduler_.remove_node(kNode);
  drain();
}

void Front::on_signal() {
  signalfd_siginfo info;
  if (::read(signals_.get(), &info, sizeof info) != sizeof info) return;
  if (phase_ == Phase::kDraining) {
    log::warn("front", "asked twice: not waiting for requests any longer");
    exit_code_ = 1;
    end();
    return;
  }
  drain();
}

// Answers what is in flight, then ends.
void Front::drain() {
  if (phase_ == Phase::kDraining || phase_ == Phase::kEnding) return;
  if (phase_ != Phase::kOpen) {
    end();
    return;
  }
  phase_ = Phase::kDraining;
  log::info("front", "draining");
  const TimePoint deadline = control_.now() + kDrainTimeout;
  still_draining_ = workers_.size() + 1;
  for (auto& worker : workers_) {
    worker->drain(deadline, [this](size_t cut) { control_.post([this, cut] { drained(cut); }); });
  }
  control_.spawn(drain_api(deadline));
}

void Front::drained(size_t cut) {
  cut_ += cut;
  if (--still_draining_ > 0) return;
  if (cut_ > 0) log::warn("front", "{} requests did not end in time and were cut", cut_);
  end();
}

net::Task<void> Front::drain_api(TimePoint deadline) {
  api_->end_watches();
  const size_t cut = co_await api_server_->drain(deadline);
  drained(cut);
}

// Ends the pods, the Local Controller, then this program.
void Front::end() {
  if (phase_ == Phase::kEnding) return;
  phase_ = Phase::kEnding;
  if (!controller_->send(node::Shutdown{})) {
    control_.stop();
    return;
  }
  // Its closing socket ends us.
  deadline_.fire = [this] {
    log::error("front", "the Local Controller did not end in time");
    exit_code_ = 1;
    control_.stop();
  };
  control_.arm(deadline_, control_.now() + kControllerTimeout);
}

int up(const cli::UpOptions& options) {
  log::init("front", options.log_level);
  const int workers = std::max(1U, std::thread::hardware_concurrency());
  auto prepared = prepare(options, workers);
  if (!prepared) {
    std::fprintf(stderr, "ebb: %s\n", prepared.error().message.c_str());
    return 1;
  }
  block_signals();
  Front front(options, std::move(*prepared));
  return front.run();
}

}  // namespace
}  // namespace ebb

int main(int argc, char** argv) { return ebb::cli::run(argc, argv, ebb::up); }
