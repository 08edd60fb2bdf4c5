// What the user asked for: the command line as values. Every flag may also be set as
// an environment variable: --log-level is EBB_LOG_LEVEL. A flag wins.
//
//   auto invocation = parse(args);
//   if (!invocation) return show(invocation.error());   // help, or a usage error
//   std::visit(..., invocation->command);
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "api/object.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "control/revision_gc.h"
#include "control/scale_limits.h"
#include "net/address.h"
#include "scheduling/pool_size.h"
#include "serving/gateway.h"

namespace ebb::sim {
struct CompareOptions;
}

namespace ebb::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;

// What stands for the latest ready revision.
inline constexpr std::string_view kLatest = "@latest";

using KeyValue = std::pair<std::string, std::string>;

// What can change while Ebb runs (SIGHUP).
struct Settings {
  log::Level log_level = log::Level::kInfo;
  // Cold pods of each runtime in use; unset: by its manifest.
  std::optional<scheduling::PoolSize> pool;
  std::map<std::string, scheduling::PoolSize> pools;  // the same for single runtimes
};

// PEM files; see net/tls_certificate.h.
struct CertificateFiles {
  std::string certificate;
  std::string key;
};

// See up_settings.h.
struct UpOptions {
  std::string data;  // folder of everything that is kept
  net::Address gateway{.host = "127.0.0.1", .port = 8080};
  net::Address api{.host = "127.0.0.1", .port = 8081};
  std::optional<net::Address> metrics;         // where /metrics needs no token
  std::optional<net::Address> https;           // the gateway by TLS
  std::vector<CertificateFiles> certificates;  // for it: at least one
  bool https_redirect = false;                 // requests by plain HTTP are sent there
  std::string domain = "localhost";
  log::Format log_format = log::Format::kText;
  std::string runtimes;    // folder of the runtimes; empty: the installed ones
  std::string policies;    // folder of the scaling policies in Lua; empty: DATA/policies
  std::string access_log;  // file; empty: none
  bool isolation = true;
  Duration metrics_interval = std::chrono::seconds(15);  // between two readings of a pod's use
  bool pod_network = true;                               // false: all pods have only their loopback
  bool scale_to_zero = true;                       // false: one pod of each revision in use stays
  bool preload = false;                            // true: where a revision does not say, "auto"
  std::map<std::string, std::string> autoscaling;  // default annotations
  control::ScaleLimits limits;
  control::RevisionGcSettings gc;
  serving::GatewaySettings requests;
  Settings settings;
  // Where they came from, to be read again: the file, and what flags said.
  std::string config;
  api::Json flags;
};

struct DeployOptions {
  std::string name;
  std::string runtime;
  std::string code;  // folder
  std::optional<int> concurrency;
  std::optional<Duration> timeout;  // of one request; whole seconds
  std::vector<KeyValue> env;
  std::vector<std::string> unset_env;  // names of variables to take away
  std::optional<int> min;
  std::optional<int> max;
  std::string memory;                    // quantity; here and below empty: as it is
  std::string cpu;                       // quantity
  std::string network;                   // "none" or "egress"
  std::optional<int> port;               // where a program listens
  std::string port_name;                 // "h2c" or "http1"; empty: http1
  std::vector<KeyValue> annotations;     // of the revision template
  bool install = true;                   // what requirements.txt or package.json name
  std::vector<std::string> pip_options;  // passed on as they are
  std::vector<std::string> npm_options;
  bool call = true;  // measures two calls at the end
  bool wait = true;
  Duration wait_timeout{};  // how long to wait for the service to be ready
};

struct ApplyOptions {
  std::vector<std::string> files;  // a file, a folder, or "-"
  std::string only_ns;             // no object may be of another; empty: any
};

enum class Output { kTable, kWide, kJson, kYaml, kName };

struct GetOptions {
  std::string kind;  // as typed; known to find_kind
  std::string name;  // empty: all
  bool all_namespaces = false;
  std::string selector;  // of labels; empty: all
  bool watch = false;
  Output output = Output::kTable;
};

struct DescribeOptions {
  std::string kind;
  std::string name;
};

// By kind and names, by kind and selector (or all), or by what files name.
struct DeleteOptions {
  std::string kind;
  std::vector<std::string> names;
  std::string selector;
  bool all = false;
  std::vector<std::string> files;
  bool wait = true;
  Duration wait_timeout{};
};

struct InvokeOptions {
  std::string name;
  std::optional<std::string> body;  // text, "@FILE" or "-"
  std::vector<KeyValue> headers;
  std::string method;  // empty: GET, or POST with a body
  std::string path = "/";
  bool include = false;  // shows the answer's head too
  bool fail = true;      // 4xx and 5xx are failures
  std::string gateway;   // ADDR:PORT; empty: what the API says
  std::string tag;       // of the route; empty: the route itself
  Duration timeout{};
};

struct LogsOptions {
  std::string name;  // of the service; empty: of the pod alone
  std::string pod;   // only of this one
  bool follow = false;
  std::optional<Duration> since;
  std::optional<int> tail;  // lines
  bool timestamps = false;
};

struct TrafficOptions {
  std::string name;
  std::vector<std::pair<std::string, int>> revisions;  // or "@latest"; sum 100
  std::vector<KeyValue> tags;                          // tag -> revision or "@latest"
  std::vector<std::string> untag;
  bool wait = true;
  Duration wait_timeout{};
};

struct RollbackOptions {
  std::string name;
  std::string to;  // empty: see planned_rollback
  bool wait = true;
  Duration wait_timeout{};
};

struct TopOptions {
  std::string what;  // "pods", "nodes": what they use; empty: what revisions do
  bool once = false;
  bool all_namespaces = false;
  Duration interval{};
};

struct BackupOptions {
  std::string file;
};

struct RestoreOptions {
  std::string file;
  std::string data;  // folder
};

struct SimulateOptions {
  enum class Output { kTable, kJson, kHtml };
  // Shared: a variant needs complete types, and so no other command sees sim/.
  std::shared_ptr<const sim::CompareOptions> compare;
  Output output = Output::kTable;
};

struct PolicyCheckOptions {
  std::string file;
};

struct RuntimesOptions {};

struct VersionOptions {};

// How the API is found; see find_connection.
struct ConnectionOptions {
  std::string server;  // URL
  std::string token;
  std::string certificate_authority;  // path
  std::string kubeconfig;             // path
  std::string data;                   // folder of `ebb up`
  std::string ns;                     // empty: the kubeconfig's
};

using Command = std::variant<UpOptions, DeployOptions, ApplyOptions, GetOptions, DescribeOptions,
                             DeleteOptions, InvokeOptions, LogsOptions, TrafficOptions,
                             RollbackOptions, TopOptions, BackupOptions, RestoreOptions,
                             PolicyCheckOptions, SimulateOptions, RuntimesOptions, VersionOptions>;

struct Invocation {
  ConnectionOptions connection;
  Command command;
};

// The program ends here: help or a completion script was asked for, or the command line
// is wrong.
struct EarlyExit {
  int code = kExitOk;
  std::string out;
  std::string err;
};

// `args` without the program's name.
[[nodiscard]] Result<Invocation, EarlyExit> parse(const std::vector<std::string>& args);

}  // namespace ebb::cli
