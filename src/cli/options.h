// What the user asked for: the command line as values. Every flag may also be set as
// an environment variable: --log-level is EBB_LOG_LEVEL. A flag wins.
//
//   auto invocation = parse(args);
//   if (!invocation) return show(invocation.error());   // help, or a usage error
//   std::visit(..., invocation->command);
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "net/address.h"

namespace ebb::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;

using KeyValue = std::pair<std::string, std::string>;

struct UpOptions {
  std::string data;  // folder of everything that is kept
  net::Address gateway;
  net::Address api;
  std::string domain;
  int pool = -1;         // cold pods per runtime; -1: as each runtime's manifest says
  std::string runtimes;  // folder of the runtimes; empty: the installed ones
  log::Level log_level = log::Level::kInfo;
};

struct DeployOptions {
  std::string name;
  std::string runtime;
  std::string code;  // folder
  std::optional<int> concurrency;
  std::optional<Duration> timeout;  // of one request; whole seconds
  std::vector<KeyValue> env;
  std::optional<int> min;
  std::optional<int> max;
  std::vector<KeyValue> annotations;  // of the revision template
  bool wait = true;
  Duration wait_timeout{};  // how long to wait for the service to be ready
};

enum class Output { kTable, kWide, kJson, kName };

struct GetOptions {
  std::string kind;  // as typed; known to api::find_kind
  std::string name;  // empty: all
  bool all_namespaces = false;
  Output output = Output::kTable;
};

struct DeleteOptions {
  std::string kind;
  std::string name;
};

struct VersionOptions {};

// How the API is found; see find_connection.
struct ConnectionOptions {
  std::string server;  // URL
  std::string token;
  std::string kubeconfig;  // path
  std::string data;        // folder of `ebb up`
  std::string ns;          // empty: the kubeconfig's
};

struct Invocation {
  ConnectionOptions connection;
  std::variant<UpOptions, DeployOptions, GetOptions, DeleteOptions, VersionOptions> command;
};

// The program ends here: help was asked for, or the command line is wrong.
struct EarlyExit {
  int code = kExitOk;
  std::string out;
  std::string err;
};

// `args` without the program's name.
[[nodiscard]] Result<Invocation, EarlyExit> parse(const std::vector<std::string>& args);

}  // namespace ebb::cli
