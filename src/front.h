// The front: gateway, API and control, without rights. One executor with a thread for
// each core, and the control executor on the main thread.
//
// It reaches its Local Controller over a socket, and again when there is a new one:
// requests wait meanwhile.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "apiserver/api_server.h"
#include "apiserver/live_view.h"
#include "base/clock.h"
#include "base/unique_fd.h"
#include "cli/options.h"
#include "control/autoscaler.h"
#include "control/event_recorder.h"
#include "control/outside_metrics.h"
#include "control/pod_metrics.h"
#include "control/policy_folder.h"
#include "control/reconcilers.h"
#include "control/revision_host.h"
#include "control/scheduler.h"
#include "http/server.h"
#include "net/executor.h"
#include "net/fd_watch.h"
#include "net/tls.h"
#include "net/tls_certificate.h"
#include "net/tls_identity.h"
#include "node/busy_pods.h"
#include "node/code_cache.h"
#include "node/controller_client.h"
#include "node/data_folder.h"
#include "node/dns_forwarder.h"
#include "resources/store_client.h"
#include "scheduling/pool_size.h"
#include "serving/gateway.h"
#include "serving/metrics_page.h"
#include "store/disk_thread.h"
#include "store/file_blob_store.h"
#include "store/sqlite_store.h"
#include "upgrade.h"

namespace ebb {

// What is opened while there are rights, for a front to use. Of `sockets` those of HTTPS and
// of the metrics are there if they are wanted; not the lock.
struct Opened {
  node::DataFolder data;
  Inherited sockets;
  std::vector<net::TlsCertificate> certificates;   // of HTTPS
  net::TlsIdentity identity;                       // of the API
  std::unique_ptr<serving::AccessLog> access_log;  // null: not wanted
  std::string token;
  std::string runtimes;  // their folder
  std::string policies;  // likewise
};

// How many cold pods of which runtime. Thread-safe.
class PoolSizes final {
 public:
  PoolSizes(cli::Settings settings, std::string runtimes)
      : settings_(std::move(settings)), runtimes_(std::move(runtimes)) {}
  void set(cli::Settings settings);
  // By the settings, else by the runtime's manifest, which is read once.
  [[nodiscard]] scheduling::PoolSize of(const std::string& runtime);

 private:
  std::mutex mutex_;
  cli::Settings settings_;
  const std::string runtimes_;  // their folder
  std::map<std::string, scheduling::PoolSize> by_manifest_;
};

class Front final {
 public:
  // `supervisor`, `busy`: see node/supervisor.h.
  Front(const cli::UpOptions& options, Opened opened, UniqueFd supervisor,
        std::vector<UniqueFd> busy);
  ~Front();
  // Runs until SIGINT or SIGTERM (which are blocked in all threads), or the end of the
  // supervisor. The exit code.
  int run();

 private:
  struct Worker;
  static constexpr Duration kDrainTimeout = std::chrono::seconds(30);  // at the end

  int give_up(const std::string& why);
  Result<void> make_workers();
  void connect_controller();
  void on_controller(const node::FromController& message);
  void on_controller_gone();
  Result<void> serve_pods(const node::Welcome& node);
  Result<std::vector<UniqueFd>> listen_for_pods(const std::string& host);
  void report_hung();
  void on_supervisor();
  void reload(std::string_view text);
  void on_signal();
  void open();
  void announce();
  void drain();
  void drained(size_t cut);
  void drain_workers(TimePoint deadline, Duration tunnel_grace);
  net::Task<void> drain_api(TimePoint deadline);
  void end();
  // Of fronts before and after it: front_succession.cc.
  void read_predecessors(std::vector<UniqueFd> busy);
  void on_predecessor();
  [[nodiscard]] bool has_predecessor() const;
  void await_predecessors(TimePoint deadline);
  void hand_over();
  net::Task<void> hand_over_task();
  void leave(bool inside);
  void let_go();
  void tell_busy();

  SystemClock clock_;
  Opened opened_;
  UniqueFd supervisor_;
  net::Executor control_{"control"};
  std::unique_ptr<store::SqliteStore> store_;
  store::DiskThread disk_;
  std::unique_ptr<store::FileBlobStore> blobs_;
  std::unique_ptr<resources::StoreClient> client_;
  serving::RoutingPublisher routes_;
  serving::Traffic traffic_;
  serving::Metrics metrics_;
  std::unique_ptr<serving::AccessLog> access_log_;
  control::EventRecorder events_;
  control::PodMetrics pod_metrics_;
  const cli::UpOptions options_;  // as they were at the start
  PoolSizes pools_;
  control::PolicyFolder policies_;
  control::Scheduler scheduler_;
  control::OutsideMetrics outside_;
  control::AutoScaler autoscaler_;
  control::RevisionHost host_;
  std::unique_ptr<node::CodeCache> code_;
  std::unique_ptr<control::Reconcilers> reconcilers_;
  apiserver::LiveView live_;
  std::unique_ptr<apiserver::ApiServer> api_;
  std::optional<net::TlsContexts> api_tls_;
  std::optional<net::TlsContexts> gateway_tls_;  // unset: not wanted
  std::unique_ptr<http::Server> api_server_;
  std::unique_ptr<serving::MetricsPage> metrics_page_;
  std::unique_ptr<http::Server> metrics_server_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<node::ControllerClient> controller_;
  net::Timer reconnect_;
  net::Timer settle_pools_;
  std::unique_ptr<node::DnsForwarder> dns_;
  std::string node_address_;           // where pods find us
  uint16_t pods_gateway_port_ = 0;     // there
  std::optional<net::Address> https_;  // where the gateway speaks it, if it does
  UniqueFd signals_;
  std::unique_ptr<net::FdWatch> signal_watch_;
  std::unique_ptr<net::FdWatch> supervisor_watch_;
  net::Timer deadline_;
  std::vector<std::unique_ptr<node::PredecessorPods>> predecessors_;  // also those that ended
  net::Timer patience_;                                               // with them
  UniqueFd successor_;                                                // to tell it of requests
  UniqueFd for_successor_;                                            // its end
  net::Timer tell_busy_;                                              // looks for what changed
  node::BusyPods told_busy_;
  TimePoint told_busy_at_{};
  enum class Phase {
    kGreeting,  // waits for what the Local Controller has
    kReading,   // reads what was declared
    kOpen,      // gateway and API accept
    kDraining,  // answers what is in flight
    kLeaving,   // likewise, while another front serves
    kEnding,    // waits for the Local Controller to end
  };
  Phase phase_ = Phase::kGreeting;
  bool hands_over_ = false;  // to another front: pods and sockets stay
  bool hurries_ = false;     // told to end while it leaves
  bool awaits_predecessors_ = false;
  TimePoint hung_since_{};  // the Local Controller, as far as is known
  size_t still_accepting_ = 0;
  size_t still_draining_ = 0;
  size_t cut_ = 0;
  int exit_code_ = 0;
};

}  // namespace ebb
