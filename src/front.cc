#include "front.h"

#include <fcntl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <thread>

#include "base/log.h"
#include "cli/cli.h"
#include "cli/up_reload.h"
#include "cli/up_settings.h"
#include "control/scale_metrics.h"
#include "front_worker.h"
#include "net/descriptor_reserve.h"
#include "net/listener.h"
#include "node/packet.h"
#include "node/runtime.h"
#include "node/supervisor.h"

namespace ebb {
namespace {

using namespace std::chrono_literals;

constexpr auto kControllerTimeout = 10s;  // for the Local Controller to greet, or to end
constexpr auto kReconnect = 20ms;         // while there is no Local Controller
constexpr Duration kSettlePools = std::chrono::minutes(10);
constexpr auto kApiProtocols = std::to_array<std::string_view>({"http/1.1"});
constexpr const char* kNode = "local";
constexpr const char* kLog = "front";

sigset_t ending_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}

}  // namespace

void PoolSizes::set(cli::Settings settings) {
  const std::lock_guard lock(mutex_);
  settings_ = std::move(settings);
  by_manifest_.clear();
}

scheduling::PoolSize PoolSizes::of(const std::string& runtime) {
  const std::lock_guard lock(mutex_);
  if (const auto found = settings_.pools.find(runtime); found != settings_.pools.end()) {
    return found->second;
  }
  if (settings_.pool) return *settings_.pool;
  const auto [known, first] = by_manifest_.try_emplace(runtime);
  if (first) {
    // Without one there are no pods either: the Local Controller says why.
    if (const auto manifest = node::Runtime::load(runtimes_ + "/" + runtime)) {
      known->second = scheduling::PoolSize::of_manifest(static_cast<int>(manifest->pool));
    }
  }
  return known->second;
}

Front::Front(const cli::UpOptions& options, Opened opened, UniqueFd supervisor,
             std::vector<UniqueFd> busy)
    : opened_(std::move(opened)),
      supervisor_(std::move(supervisor)),
      traffic_(opened_.sockets.gateway.size()),
      metrics_(traffic_, opened_.sockets.gateway.size()),
      events_(clock_),
      pod_metrics_(clock_),
      options_(options),
      pools_(options.settings, opened_.runtimes),
      policies_(opened_.policies),
      scheduler_({.pods_folder = opened_.data.pods(),
                  .pool_of = [this](const std::string& runtime) { return pools_.of(runtime); },
                  .events = &events_},
                 clock_),
      outside_(control_, options.metrics_interval),
      autoscaler_(control_, traffic_, scheduler_, clock_,
                  {.enable_scale_to_zero = options.scale_to_zero,
                   .events = &events_,
                   .policies = &policies_,
                   .pods = &pod_metrics_}),
      host_(traffic_, scheduler_, autoscaler_, clock_, options.autoscaling, &policies_, &outside_,
            options.preload ? scheduling::Preload::kAutomatic : scheduling::Preload::kNever),
      live_({scheduler_, autoscaler_, events_, pod_metrics_, clock_}, cli::version()) {
  autoscaler_.set_limits(options.limits);
  read_predecessors(std::move(busy));
}

// What waits yet uses the members, and the members their executors.
Front::~Front() { control_.end_tasks(); }

// Ends before anything runs.
int Front::give_up(const std::string& why) {
  log::error(kLog, "{}", why);
  return 1;
}

int Front::run() {
  net::allow_many_descriptors();
  if (::access(opened_.data.store().c_str(), R_OK | W_OK | X_OK) != 0) {
    return give_up(
        fmt::format("user {}, as which Ebb serves, cannot enter the data folder {}: "
                    "choose a folder that other users may enter",
                    ::getuid(), opened_.data.root));
  }
  auto store = store::SqliteStore::open(control_, opened_.data.store() + "/state.db");
  if (!store) return give_up(store.error().message);
  store_ = std::move(*store);
  client_ = std::make_unique<resources::StoreClient>(*store_, clock_);
  auto blobs = store::FileBlobStore::open(control_, disk_, opened_.data.blobs());
  if (!blobs) return give_up(blobs.error().message);
  blobs_ = std::move(*blobs);
  code_ = std::make_unique<node::CodeCache>(control_, *blobs_, disk_, opened_.data.code());
  const auto gateway = net::local_address(opened_.sockets.gateway.front().get());
  const auto api = net::local_address(opened_.sockets.api.get());
  if (!gateway || !api) return give_up("the listening sockets have no address");
  if (!opened_.sockets.https.empty()) {
    const auto https = net::local_address(opened_.sockets.https.front().get());
    if (!https) return give_up(https.error().message);
    https_ = *https;
  }
  control::GatewayPorts ports{.http = gateway->port};
  if (options_.https_redirect && https_) ports.https = https_->port;
  reconcilers_ = std::make_unique<control::Reconcilers>(
      control_,
      control::Reconcilers::Uses{.client = *client_,
                                 .host = host_,
                                 .autoscaler = autoscaler_,
                                 .code = *code_,
                                 .publisher = routes_,
                                 .clock = clock_,
                                 .domain = options_.domain,
                                 .ports = ports,
                                 .gc = options_.gc,
                                 .events = &events_,
                                 .disk = {.blobs = blobs_.get(),
                                          .thread = &disk_,
                                          .logs = opened_.data.logs(),
                                          .in_use = [this] { return scheduler_.code_in_use(); }}});
  metrics_.add_collector([this](serving::Exposition& out) {
    control::write_metrics(out, scheduler_, autoscaler_);
    control::write_usage(out, scheduler_, pod_metrics_);
  });
  api_ = std::make_unique<apiserver::ApiServer>(
      control_, apiserver::ApiServerParts{*client_, *blobs_, live_, clock_},
      apiserver::ApiServerOptions{
          .token = opened_.token,
          .listen = *api,
          .hosts = net::tls_names_of(*api),
          .version = cli::version(),
          .gateway = gateway->to_string(),
          .https = https_ ? https_->to_string() : "",
          .ready = [this] { return phase_ == Phase::kOpen; },
          .metrics = [this] { return metrics_.exposition(); },
          .state = opened_.data.store() + "/state.db",
          .logs = opened_.data.logs(),
          .runtimes = [this] { return node::list_runtimes(opened_.runtimes); }});
  auto api_tls = net::TlsContext::server(
      {{opened_.identity.certificate_pem, opened_.identity.key_pem}}, kApiProtocols);
  if (!api_tls) return give_up(api_tls.error().message);
  api_tls_.emplace(std::move(*api_tls));
  http::ServerOptions secure;
  secure.tls = &*api_tls_;
  api_server_ =
      std::make_unique<http::Server>(control_, std::move(opened_.sockets.api), *api_, secure);
  access_log_ = std::move(opened_.access_log);
  if (access_log_) {
    access_log_->start();
    metrics_.add_collector([this](serving::Exposition& out) {
      out.family("ebb_access_log_dropped_total", "counter",
                 "Lines of the access log that could not be written.");
      out.sample("ebb_access_log_dropped_total", {}, static_cast<double>(access_log_->dropped()));
    });
  }
  if (auto made = make_workers(); !made) return give_up(made.error().message);
  if (opened_.sockets.metrics) {
    metrics_page_ = std::make_unique<serving::MetricsPage>(metrics_);
    metrics_server_ = std::make_unique<http::Server>(control_, std::move(opened_.sockets.metrics),
                                                     *metrics_page_, http::ServerOptions{});
  }

  const sigset_t signals = ending_signals();
  signals_.reset(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  signal_watch_ = std::make_unique<net::FdWatch>(control_, signals_.get(), [this] { on_signal(); });

  ::fcntl(supervisor_.get(), F_SETFL, O_NONBLOCK);
  supervisor_watch_ =
      std::make_unique<net::FdWatch>(control_, supervisor_.get(), [this] { on_supervisor(); });

  settle_pools_.fire = [this] {
    control_.arm(settle_pools_, control_.now() + kSettlePools);
    scheduler_.resize_pools();
  };
  control_.arm(settle_pools_, control_.now() + kSettlePools);
  reconnect_.fire = [this] { connect_controller(); };
  connect_controller();
  control_.run();

  for (auto& worker : workers_) {
    worker->executor.stop();
    if (worker->thread.joinable()) worker->thread.join();
  }
  return exit_code_;
}

Result<void> Front::make_workers() {
  serving::GatewaySettings settings = options_.requests;
  if (!opened_.sockets.https.empty()) {
    auto tls = net::TlsContext::server(opened_.certificates, serving::kProtocols);
    if (!tls) return fail(tls.error());
    gateway_tls_.emplace(std::move(*tls));
    if (options_.https_redirect) settings.https_port = https_->port;
  }
  for (size_t i = 0; i < opened_.sockets.gateway.size(); ++i) {
    const serving::GatewayParts parts{.routes = routes_,
                                      .waker = autoscaler_,
                                      .clock = clock_,
                                      .counters = metrics_.gateway(i),
                                      .access_log = access_log_.get()};
    workers_.push_back(
        std::make_unique<Worker>(std::move(opened_.sockets.gateway[i]), parts, settings));
    if (gateway_tls_) {
      workers_.back()->add_https(std::move(opened_.sockets.https[i]), parts, settings,
                                 *gateway_tls_);
    }
  }
  return {};
}

// The supervisor starts a Local Controller whenever there is none, so this ends well.
void Front::connect_controller() {
  if (phase_ == Phase::kEnding) return;
  auto socket = node::ControllerClient::open(opened_.data.controller_socket());
  if (!socket) {
    control_.arm(reconnect_, control_.now() + kReconnect);
    return;
  }
  controller_ = std::make_unique<node::ControllerClient>(
      control_, std::move(*socket),
      node::ControllerClient::Events{
          .on_message = [this](const node::FromController& m) { on_controller(m); },
          .on_gone = [this] { on_controller_gone(); },
          .on_hung = [this] { report_hung(); }});
  scheduler_.add_node(kNode,
                      [this](const node::ToController& order) { return controller_->send(order); });
  deadline_.fire = [this] { report_hung(); };
  control_.arm(deadline_, control_.now() + kControllerTimeout);
}

void Front::on_controller(const node::FromController& message) {
  const bool welcome = std::holds_alternative<node::Welcome>(message);
  scheduler_.on_message(kNode, message);
  pod_metrics_.on_message(kNode, message);
  if (!welcome || phase_ == Phase::kEnding) return;
  hung_since_ = {};
  deadline_.disarm();
  if (auto served = serve_pods(std::get<node::Welcome>(message)); !served) {
    log::warn(kLog, "functions cannot reach each other: {}", served.error().message);
  }
  if (phase_ != Phase::kGreeting) return;
  phase_ = Phase::kReading;
  // Only now: a control plane that does not know its pods yet must not scale.
  autoscaler_.start();
  reconcilers_->start([this] { open(); });
}

// The supervisor ends it and starts another.
void Front::report_hung() {
  // One of another version understands nobody but the front before, which has requests there.
  if (hung_since_ == TimePoint{}) hung_since_ = control_.now();
  if (has_predecessor() && control_.now() < hung_since_ + kDrainTimeout) {
    control_.arm(deadline_, control_.now() + kReconnect);
    return;
  }
  static_cast<void>(node::send_packet(supervisor_.get(), node::kControllerHung));
}

// Gateway and resolver inside the pods' network, on free ports: the Local Controller
// leads the known ones there. They outlive it where the next one has the same address.
Result<void> Front::serve_pods(const node::Welcome& node) {
  if (node.node_address.empty() && node.network_problem.empty()) return {};  // not wanted
  if (node.node_address.empty()) return fail(Errc::kUnavailable, "{}", node.network_problem);
  if (node.node_address != node_address_) {
    auto listening = listen_for_pods(node.node_address);
    if (!listening) return fail(listening.error());
    const auto address = net::local_address(listening->front().get());
    if (!address) return fail(address.error());
    auto dns = node::DnsForwarder::open(control_,
                                        {.listen = node.node_address, .domain = options_.domain});
    if (!dns) return fail(dns.error());
    dns_ = std::move(*dns);
    for (size_t i = 0; i < workers_.size(); ++i) {
      workers_[i]->serve_pods(std::make_shared<UniqueFd>(std::move((*listening)[i])));
    }
    node_address_ = node.node_address;
    pods_gateway_port_ = address->port;
  }
  const node::ServePods ports{.gateway = pods_gateway_port_,
                              .public_gateway = workers_.front()->server.address().port,
                              .dns = dns_->port()};
  if (!controller_->send(ports)) return fail(Errc::kUnavailable, "the Local Controller has gone");
  return {};
}

// The sockets of the front before, if it listened there, else new ones, which the supervisor
// keeps for the next front: nobody is refused meanwhile.
Result<std::vector<UniqueFd>> Front::listen_for_pods(const std::string& host) {
  std::vector<UniqueFd> kept = std::exchange(opened_.sockets.pods, {});
  const auto at = kept.size() == workers_.size() ? net::local_address(kept.front().get())
                                                 : fail(Errc::kNotFound, "none");
  if (at && at->host == host) return kept;
  auto listening = net::bind_shared({.host = host}, static_cast<int>(workers_.size()));
  if (!listening) return listening;
  constexpr size_t kInPacket = 8;
  for (size_t i = 0; i < listening->size(); i += kInPacket) {
    std::vector<int> some;
    for (size_t j = i; j < std::min(i + kInPacket, listening->size()); ++j) {
      some.push_back((*listening)[j].get());
    }
    static_cast<void>(node::send_packet(
        supervisor_.get(), i == 0 ? node::kFrontSockets : node::kFrontMoreSockets, some));
  }
  return listening;
}

// The supervisor has checked all of it.
void Front::reload(std::string_view text) {
  const auto told = cli::UpReload::parse(text);
  auto wanted = told ? cli::up_options(told->settings) : fail(told.error());
  if (wanted && gateway_tls_ && !told->certificates.empty()) {
    auto tls = net::TlsContext::server(told->certificates, serving::kProtocols);
    if (tls) {
      gateway_tls_->set(std::move(*tls));
    } else {
      wanted = fail(tls.error());
    }
  }
  if (!wanted) {
    log::error(kLog, "the settings stay as they are: {}", wanted.error().message);
    return;
  }
  if (access_log_) access_log_->reopen();
  log::set_level(wanted->settings.log_level);
  pools_.set(wanted->settings);
  scheduler_.resize_pools();
  autoscaler_.set_limits(wanted->limits);
  host_.set_defaults(wanted->autoscaling);
  reconcilers_->set_gc(wanted->gc);
  const std::string later = cli::needs_restart(options_, *wanted);
  log::info(kLog, "the settings were read again{}{}",
            later.empty() ? "" : "; take effect at the next start: ", later);
}

// Its pods are gone with it. Requests that wait are served by pods of the next one.
void Front::on_controller_gone() {
  scheduler_.remove_node(kNode);  // nobody sends to it from here on
  pod_metrics_.remove_node(kNode);
  control_.post([this] {  // this is called by what is destroyed
    controller_.reset();
    if (phase_ == Phase::kEnding) {
      control_.stop();
      return;
    }
    deadline_.disarm();
    connect_controller();
  });
}

void Front::on_supervisor() {
  std::array<char, 64> buffer;
  std::vector<UniqueFd> files;
  const auto packet = node::receive_packet(supervisor_.get(), buffer, &files);
  if (packet && !*packet) return;
  if (!packet || (*packet)->empty()) {
    // It was killed. The next one starts a front that takes the pods over.
    log::error(kLog, "the supervisor has gone");
    ::_exit(1);
  }
  if (**packet == node::kHandOver) hand_over();
  if (**packet != node::kReload || files.empty()) return;
  if (const auto text = node::read_text_file(files.front().get(), node::kMaxReload)) {
    reload(*text);
  } else {
    log::error(kLog, "the settings stay as they are: {}", text.error().message);
  }
}

// A gateway that does not know its routes yet would answer 404 for functions that
// there are: the doors open when everything declared has been read.
void Front::open() {
  if (phase_ != Phase::kReading) return;
  phase_ = Phase::kOpen;
  api_server_->start();
  if (metrics_server_) metrics_server_->start();
  for (auto& worker : workers_) worker->start();
  static_cast<void>(node::send_packet(supervisor_.get(), node::kFrontOpen));
  announce();
}

void Front::announce() {
  const auto& data = opened_.data;
  std::fprintf(stderr, "ebb %s is up\n", cli::version());
  const uint16_t port = workers_.front()->server.address().port;
  const std::string where =
      options_.https_redirect && https_
          ? fmt::format("https://NAME.NAMESPACE.{}:{}", options_.domain, https_->port)
          : fmt::format("http://NAME.NAMESPACE.{}:{}", options_.domain, port);
  std::fprintf(stderr, "  gateway     http://%s   (functions: %s)\n",
               workers_.front()->server.address().to_string().c_str(), where.c_str());
  if (gateway_tls_) {
    std::fprintf(stderr, "  https       https://%s\n",
                 workers_.front()->https->address().to_string().c_str());
  }
  std::fprintf(stderr, "  API         https://%s\n", api_server_->address().to_string().c_str());
  if (metrics_server_) {
    std::fprintf(stderr, "  metrics     http://%s/metrics\n",
                 metrics_server_->address().to_string().c_str());
  }
  std::fprintf(stderr, "  kubeconfig  %s\n", data.kubeconfig().c_str());
  std::fprintf(stderr, "  Ctrl-C finishes the requests in flight and ends everything\n");
}

void Front::on_signal() {
  signalfd_siginfo info;
  if (::read(signals_.get(), &info, sizeof info) != sizeof info) return;
  if (phase_ == Phase::kDraining && hands_over_) {
    hands_over_ = false;  // what was begun goes on, and then all ends
    static_cast<void>(node::send_packet(supervisor_.get(), node::kFrontDraining));
    return;
  }
  if (phase_ == Phase::kLeaving && !std::exchange(hurries_, true)) {
    deadline_.fire = [this] { end(); };
    control_.arm(deadline_, control_.now() + kDrainTimeout);
    return;
  }
  if (phase_ == Phase::kDraining || phase_ == Phase::kLeaving) {
    log::warn(kLog, "asked twice: not waiting for requests any longer");
    exit_code_ = 1;
    end();
    return;
  }
  drain();
}

// Answers what is in flight, then ends.
void Front::drain() {
  if (phase_ == Phase::kEnding) return;
  const TimePoint deadline = control_.now() + kDrainTimeout;
  if (phase_ != Phase::kOpen) {
    phase_ = Phase::kDraining;
    still_draining_ = 1;
    await_predecessors(deadline);
    drained(0);
    return;
  }
  phase_ = Phase::kDraining;
  log::info(kLog, "draining");
  static_cast<void>(node::send_packet(supervisor_.get(), node::kFrontDraining));
  still_draining_ = 1;
  drain_workers(deadline, http::Exchange::kTunnelGrace);
  await_predecessors(deadline);
  control_.spawn(drain_api(deadline));
}

void Front::drain_workers(TimePoint deadline, Duration tunnel_grace) {
  still_draining_ += workers_.size();
  for (auto& worker : workers_) {
    worker->drain(deadline, tunnel_grace,
                  [this](size_t cut) { control_.post([this, cut] { drained(cut); }); });
  }
}

void Front::drained(size_t cut) {
  cut_ += cut;
  if (--still_draining_ > 0) return;
  if (cut_ > 0) log::warn(kLog, "{} requests did not end in time and were cut", cut_);
  if (cut_ > 0 && phase_ == Phase::kLeaving) exit_code_ = 1;
  end();
}

net::Task<void> Front::drain_api(TimePoint deadline) {
  api_->end_watches();
  const size_t cut = co_await api_server_->drain(deadline);
  drained(cut);
}

// Ends the pods, the Local Controller, then this program; of a hand-over only that.
void Front::end() {
  if (phase_ == Phase::kEnding) return;
  phase_ = Phase::kEnding;
  if (hands_over_ || !controller_ || !controller_->send(node::Shutdown{})) {
    control_.stop();
    return;
  }
  // Its closing socket ends us.
  deadline_.fire = [this] {
    log::error(kLog, "the Local Controller did not end in time");
    exit_code_ = 1;
    control_.stop();
  };
  control_.arm(deadline_, control_.now() + kControllerTimeout);
}

}  // namespace ebb
