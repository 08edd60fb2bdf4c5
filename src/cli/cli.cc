#include "cli/cli.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/table.h"

namespace ebb::cli {

namespace {

constexpr Duration kVersionTimeout = std::chrono::seconds(2);

int fail_with(const Error& error, Console& console) {
  console.err << "Error: " << error.message << "\n";
  return kExitFailure;
}

Result<std::unique_ptr<ApiClient>> open(const Connection& connection) {
  return ApiClient::open(connection.server, connection.token, connection.ca);
}

// Runs a client command against the API that the options lead to.
template <class Command>
int with_api(const ConnectionOptions& options, Console& console, Command command) {
  const auto connection = find_connection(options);
  if (!connection) return fail_with(connection.error(), console);
  const auto client = open(*connection);
  if (!client) return fail_with(client.error(), console);
  // A reader that ends early (`ebb logs | head`) is seen as an error of the stream.
  std::signal(SIGPIPE, SIG_IGN);
  const Result<void> done = command(**client, connection->ns);
  return done ? kExitOk : fail_with(done.error(), console);
}

// The API's version too, if one can be found.
int show_versions(const ConnectionOptions& options, Console& console) {
  console.out << "ebb " << version() << "\n";
  const auto connection = find_connection(options);
  if (!connection) return kExitOk;
  const auto client = open(*connection);
  if (!client) return kExitOk;
  const auto info = (*client)->get("/apis/ebb.dev/v1/info", (*client)->now() + kVersionTimeout);
  if (info) console.out << "server " << text_at(*info, {"version"}) << "\n";
  return kExitOk;
}

struct Run {
  const ConnectionOptions& connection;
  const UpFunction& up;
  Console& console;

  int operator()(const UpOptions& options) const { return up(options); }
  int operator()(const DeployOptions& options) const {
    return with_api(connection, console, [&](ApiClient& client, const std::string& ns) {
      return deploy(options, ns, client, console);
    });
  }
  int operator()(const GetOptions& options) const {
    return with_api(connection, console, [&](ApiClient& client, const std::string& ns) {
      const SystemClock clock;
      return get(options, ns, client, clock, console);
    });
  }
  int operator()(const DeleteOptions& options) const {
    return with_api(connection, console, [&](ApiClient& client, const std::string& ns) {
      return remove(options, ns, client, console);
    });
  }
  int operator()(const ApplyOptions& options) const {
    return with_api(connection, console, [&](ApiClient& client, const std::string& ns) {
      return apply(options, ns, client, console);
    });
  }
  int operator()(const DescribeOptions& options) const {
    return with_api(connection, console, [&](ApiClient& client, const std::string& ns) {
      const SystemClock clock;
      return describe(options, ns, client, clock, console);
    });
  }
  int operator()(const InvokeOptions& options) const {
    return with_api(connection, console, [&](ApiClient& client, const std::string& ns) {
      return invoke(options, ns, client, console);
    });
  }
  int operator()(const LogsOptions& options) const {
    return with_api(connection, console, [&](ApiClient& client, const std::string& ns) {
      return logs(options, ns, client, console);
    });
  }
  int operator()(const TrafficOptions& options) const {
    return with_api(connection, console, [&](ApiClient& client, const std::string& ns) {
      return set_traffic(options, ns, client, console);
    });
  }
  int operator()(const RollbackOptions& options) const {
    return with_api(connection, console, [&](ApiClient& client, const std::string& ns) {
      return roll_back(options, ns, client, console);
    });
  }
  int operator()(const TopOptions& options) const {
    return with_api(connection, console, [&](ApiClient& client, const std::string& ns) {
      return top(options, ns, client, console);
    });
  }
  int operator()(const BackupOptions& options) const {
    return with_api(connection, console, [&](ApiClient& client, const std::string& /*ns*/) {
      return backup(options, client, console);
    });
  }
  int operator()(const RestoreOptions& options) const {
    const auto done = restore(options, console);
    return done ? kExitOk : fail_with(done.error(), console);
  }
  int operator()(const SimulateOptions& options) const {
    const auto done = simulate(options, console);
    return done ? kExitOk : fail_with(done.error(), console);
  }
  int operator()(const PolicyCheckOptions& options) const {
    const auto done = check_policy(options, console);
    return done ? kExitOk : fail_with(done.error(), console);
  }
  int operator()(const RuntimesOptions& /*options*/) const {
    return with_api(connection, console, [&](ApiClient& client, const std::string& /*ns*/) {
      return runtimes(client, console);
    });
  }
  int operator()(const VersionOptions& /*options*/) const {
    return show_versions(connection, console);
  }
};

// Hands on what is left of the output. What was lost is told if `tell`, but not where the
// reader has left, as `ebb logs | head` does.
int end_of_output(Console& console, bool tell) {
  const auto written = flush_output(console);
  if (written) return kExitOk;
  if (tell && console.out_errno != EPIPE)
    console.err << "Error: " << written.error().message << "\n";
  return kExitFailure;
}

}  // namespace

const char* version() { return EBB_VERSION; }

int run(const std::vector<std::string>& args, const UpFunction& up, Console& console) {
  const auto invocation = parse(args);
  if (!invocation) {
    console.out << invocation.error().out;
    console.err << invocation.error().err;
    return invocation.error().code;
  }
  return std::visit(Run{invocation->connection, up, console}, invocation->command);
}

int run(int argc, char** argv, const UpFunction& up) {
  const auto is_set = [](const char* variable) {
    const char* value = std::getenv(variable);
    return value != nullptr && *value != '\0';
  };
  Console console{std::cout, std::cerr};
  console.err_is_terminal = ::isatty(STDERR_FILENO) == 1;
  console.out_is_terminal = ::isatty(STDOUT_FILENO) == 1;
  console.colors = console.out_is_terminal && !is_set("NO_COLOR");
  std::cerr.tie(nullptr);  // else it hands on the output, and why that failed is not known
  const std::vector<std::string> args(argv + std::min(argc, 1), argv + argc);
  const int code = run(args, up, console);
  return std::max(code, end_of_output(console, code == kExitOk));
}

}  // namespace ebb::cli
