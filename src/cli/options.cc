#include "cli/options.h"

#include <CLI/CLI.hpp>
#include <sstream>

#include "cli/command_line.h"
#include "cli/flags.h"
#include "cli/kubeconfig.h"

namespace ebb::cli {

namespace {

constexpr int kMaxPool = 10'000;
constexpr const char* kGlobalHelp =
    "Every flag may also be set as an environment variable: --log-level is EBB_LOG_LEVEL.";

// What CLI11 fills: texts that still have to be understood.
struct Raw {
  ConnectionOptions connection;
  UpOptions up;
  std::string gateway = "127.0.0.1:8080";
  std::string api = "127.0.0.1:8081";
  std::string log_level = "info";
};

void define_globals(CLI::App& app, Raw& raw) {
  ConnectionOptions& to = raw.connection;
  app.require_subcommand(0, 1);  // none: shows the help
  app.fallthrough();
  app.footer(kGlobalHelp);
  flag(&app, "--data", to.data,
       std::string("folder of `ebb up` and of its kubeconfig (default ") + kDefaultDataDir + ")");
  flag(&app, "--server", to.server, "URL of the API, instead of a kubeconfig's")->type_name("URL");
  flag(&app, "--token", to.token, "token for the API; better set as EBB_TOKEN");
  flag(&app, "--kubeconfig", to.kubeconfig,
       "file that names the API (default: of --data, else $KUBECONFIG, else of the default data "
       "folder)");
  flag(&app, "-n,--namespace", to.ns, "namespace (default: the kubeconfig's)");
}

CLI::App* define_up(CLI::App& app, Raw& raw) {
  auto* up = app.add_subcommand("up", "Run Ebb on this machine");
  up->footer("--data DIR says where everything is kept. " + std::string(kSeeAlso));
  raw.up.domain = "localhost";
  flag(up, "--gateway", raw.gateway, "where functions are reached; port 0 picks one")
      ->type_name("ADDR:PORT")
      ->capture_default_str();
  flag(up, "--api", raw.api, "where the API is reached; port 0 picks one")
      ->type_name("ADDR:PORT")
      ->capture_default_str();
  flag(up, "--domain", raw.up.domain, "functions are at NAME.NAMESPACE.DOMAIN")
      ->capture_default_str();
  flag(up, "--pool", raw.up.pool,
       "cold pods per runtime (default: as each runtime's manifest says)")
      ->check(CLI::Range(0, kMaxPool));
  flag(up, "--runtimes", raw.up.runtimes, "folder of the runtimes");
  flag(up, "--log-level", raw.log_level, "debug, info, warn or error")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
      ->capture_default_str();
  return up;
}

Result<UpOptions> up_options(const Raw& raw) {
  UpOptions up = raw.up;
  up.data = raw.connection.data.empty() ? kDefaultDataDir : raw.connection.data;
  auto gateway = address(raw.gateway, "--gateway");
  if (!gateway) return fail(gateway.error());
  auto api = address(raw.api, "--api");
  if (!api) return fail(api.error());
  up.gateway = *gateway;
  up.api = *api;
  up.log_level = raw.log_level == "debug"  ? log::Level::kDebug
                 : raw.log_level == "info" ? log::Level::kInfo
                 : raw.log_level == "warn" ? log::Level::kWarn
                                           : log::Level::kError;
  return up;
}

Result<Invocation, EarlyExit> finish(const Raw& raw, Result<Command> command) {
  if (command) {
    if (auto ok = check_name(raw.connection.ns); !ok) command = fail(ok.error());
  }
  if (!command) {
    return fail(EarlyExit{kExitUsage, {}, "Error: " + command.error().message + "\n"});
  }
  return Invocation{raw.connection, std::move(*command)};
}

}  // namespace

Result<Invocation, EarlyExit> parse(const std::vector<std::string>& args) {
  CLI::App app("Functions that scale to zero and back.", "ebb");
  Raw raw;
  define_globals(app, raw);
  const auto* up = define_up(app, raw);
  const auto lines = all_command_lines();
  std::vector<const CLI::App*> commands;
  for (const auto& line : lines) commands.push_back(line->define(app));
  try {
    app.parse(std::vector<std::string>(args.rbegin(), args.rend()));  // CLI11 takes it reversed
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream err;
    const int code = app.exit(error, out, err);
    return fail(EarlyExit{code == 0 ? kExitOk : kExitUsage, out.str(), err.str()});
  }
  if (up->parsed()) {
    auto options = up_options(raw);
    if (!options) return finish(raw, fail(options.error()));
    return finish(raw, Command(std::move(*options)));
  }
  for (size_t i = 0; i < lines.size(); ++i) {
    if (!commands[i]->parsed()) continue;
    auto text = lines[i]->text(app);
    if (!text) return fail(EarlyExit{kExitUsage, {}, "Error: " + text.error().message + "\n"});
    if (!text->empty()) return fail(EarlyExit{kExitOk, std::move(*text), {}});
    return finish(raw, lines[i]->command(raw.connection));
  }
  return fail(EarlyExit{kExitUsage, {}, app.help()});
}

}  // namespace ebb::cli
