#include "cli/options.h"

#include <CLI/CLI.hpp>
#include <sstream>

#include "cli/command_line.h"
#include "cli/flags.h"
#include "cli/kubeconfig.h"
#include "cli/usage_error.h"

namespace ebb::cli {

namespace {

constexpr const char* kGlobalHelp =
    "Every flag may also be set as an environment variable: --log-level is EBB_LOG_LEVEL.";

void define_globals(CLI::App& app, ConnectionOptions& to) {
  app.require_subcommand(0, 1);  // none: shows the help
  app.fallthrough();
  app.footer(kGlobalHelp);
  flag(&app, "--data", to.data,
       std::string("folder of `ebb up` and of its kubeconfig (default ") + kDefaultDataDir + ")")
      ->check([](const std::string& folder) {
        return folder.empty() ? std::string("it must name a folder") : std::string();
      });
  flag(&app, "--server", to.server, "URL of the API, instead of a kubeconfig's")->type_name("URL");
  flag(&app, "--token", to.token, "token for the API; better set as EBB_TOKEN");
  flag(&app, "--certificate-authority", to.certificate_authority,
       "certificate that the API's is signed by: tls/ca.crt of its data folder")
      ->type_name("FILE");
  flag(&app, "--kubeconfig", to.kubeconfig,
       "file that names the API (default: of --data, else $KUBECONFIG, else of the default data "
       "folder)");
  flag(&app, "-n,--namespace", to.ns, "namespace (default: the kubeconfig's)");
}

Result<Invocation, EarlyExit> finish(const ConnectionOptions& connection, Result<Command> command) {
  if (command) {
    if (auto ok = check_name(connection.ns); !ok) command = fail(ok.error());
  }
  if (!command) {
    return fail(EarlyExit{kExitUsage, {}, "Error: " + command.error().message + "\n"});
  }
  return Invocation{connection, std::move(*command)};
}

// Commands with a callback look at the environment when they are given; those without one
// always do, and EBB_OUTPUT=yaml, which `ebb get` takes, is none of `ebb simulate`'s.
void heed_own_variables(CLI::App& app) {
  for (CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    command->parse_complete_callback([] {});
    heed_own_variables(*command);
  }
}

}  // namespace

Result<Invocation, EarlyExit> parse(const std::vector<std::string>& args) {
  CLI::App app("Functions that scale to zero and back.", "ebb");
  ConnectionOptions connection;
  define_globals(app, connection);
  bool show_version = false;
  // Without a variable: EBB_VERSION is a likely name for something else.
  app.add_flag("--version", show_version, "as `ebb version`");
  const auto lines = all_command_lines();
  std::vector<const CLI::App*> commands;
  for (const auto& line : lines) commands.push_back(line->define(app));
  heed_own_variables(app);
  try {
    app.parse(std::vector<std::string>(args.rbegin(), args.rend()));  // CLI11 takes it reversed
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream err;
    const bool is_error = app.exit(error, out, err) != 0;
    if (is_error) return fail(EarlyExit{kExitUsage, out.str(), usage_error(app, error, args)});
    return fail(EarlyExit{kExitOk, out.str(), err.str()});
  }
  if (show_version) return finish(connection, Command(VersionOptions{}));
  for (size_t i = 0; i < lines.size(); ++i) {
    if (!commands[i]->parsed()) continue;
    auto text = lines[i]->text(app);
    if (!text) return fail(EarlyExit{kExitUsage, {}, "Error: " + text.error().message + "\n"});
    if (!text->empty()) return fail(EarlyExit{kExitOk, std::move(*text), {}});
    return finish(connection, lines[i]->command(connection));
  }
  return fail(EarlyExit{kExitUsage, {}, app.help()});
}

}  // namespace ebb::cli
