#include "cli/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <sstream>

#include "api/duration.h"
#include "api/kinds.h"
#include "api/validate.h"
#include "cli/kubeconfig.h"

namespace ebb::cli {

namespace {

constexpr int kMaxPool = 10'000;
constexpr int kMaxScale = 100'000;
constexpr const char* kGlobalHelp =
    "Every flag may also be set as an environment variable: --log-level is EBB_LOG_LEVEL.";
constexpr const char* kSeeAlso = "Global options: see `ebb --help`.";

// "-n,--log-level" -> "EBB_LOG_LEVEL".
std::string variable_of(const std::string& names) {
  std::string name = names.substr(names.rfind("--") + 2);
  std::replace(name.begin(), name.end(), '-', '_');
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return "EBB_" + name;
}

template <class T>
CLI::Option* flag(CLI::App* app, const std::string& names, T& value, const std::string& help) {
  return app->add_option(names, value, help)->envname(variable_of(names));
}

CLI::Option* flag(CLI::App* app, const std::string& names, std::vector<std::string>& values,
                  const std::string& help) {
  // One value per flag, so that what follows may be a positional argument.
  auto* option = app->add_option(names, values, help)->envname(variable_of(names));
  return option->allow_extra_args(false)->type_name("KEY=VALUE");
}

CLI::Option* toggle(CLI::App* app, const std::string& names, bool& value, const std::string& help) {
  return app->add_flag(names, value, help)->envname(variable_of(names));
}

// What CLI11 fills: texts that still have to be understood.
struct Raw {
  ConnectionOptions connection;
  UpOptions up;
  std::string gateway = "127.0.0.1:8080";
  std::string api = "127.0.0.1:8081";
  std::string log_level = "info";
  DeployOptions deploy;
  std::string timeout;
  std::string wait_timeout = "2m";
  std::vector<std::string> env;
  std::vector<std::string> annotations;
  bool no_wait = false;
  GetOptions get;
  std::string output;
  DeleteOptions remove;
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

CLI::App* define_deploy(CLI::App& app, Raw& raw) {
  auto* deploy = app.add_subcommand("deploy", "Deploy a folder of code as a service");
  deploy->footer(kSeeAlso);
  DeployOptions& to = raw.deploy;
  deploy->add_option("NAME", to.name, "name of the service")->required();
  flag(deploy, "--runtime", to.runtime, "what runs the code, such as python")->required();
  flag(deploy, "--code", to.code, "folder that holds the code")->required();
  flag(deploy, "--concurrency", to.concurrency, "requests that one pod takes at once; 0: any")
      ->check(CLI::Range(int64_t{0}, api::kMaxContainerConcurrency));
  flag(deploy, "--timeout", raw.timeout, "of one request, such as 30s")->type_name("DURATION");
  flag(deploy, "--env", raw.env, "environment variable; may be repeated");
  flag(deploy, "--min", to.min, "pods that are always kept")->check(CLI::Range(0, kMaxScale));
  flag(deploy, "--max", to.max, "pods at most; 0: any number")->check(CLI::Range(0, kMaxScale));
  flag(deploy, "--annotation", raw.annotations, "of the revision; may be repeated");
  toggle(deploy, "--no-wait", raw.no_wait, "do not wait until the service is ready");
  flag(deploy, "--wait-timeout", raw.wait_timeout, "how long to wait at most")
      ->type_name("DURATION")
      ->capture_default_str();
  return deploy;
}

CLI::App* define_get(CLI::App& app, Raw& raw) {
  auto* get = app.add_subcommand("get", "Show resources");
  get->footer(kSeeAlso);
  get->add_option("KIND", raw.get.kind,
                  "services (ksvc), revisions (rev), routes (rt), configurations (cfg), pods (po) "
                  "or nodes (no)")
      ->required();
  get->add_option("NAME", raw.get.name, "only this one");
  flag(get, "-o,--output", raw.output, "json, name or wide")
      ->check(CLI::IsMember({"json", "name", "wide"}));
  toggle(get, "-A,--all-namespaces", raw.get.all_namespaces, "of all namespaces");
  return get;
}

CLI::App* define_delete(CLI::App& app, Raw& raw) {
  auto* remove = app.add_subcommand("delete", "Delete a resource");
  remove->footer(kSeeAlso);
  remove->add_option("KIND", raw.remove.kind, "such as service")->required();
  remove->add_option("NAME", raw.remove.name, "which one")->required();
  return remove;
}

// --- From texts to values; a Result's error is a message about the usage ---

Result<std::vector<KeyValue>> key_values(const std::vector<std::string>& texts,
                                         const char* option) {
  std::vector<KeyValue> out;
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return fail(Errc::kInvalid, "{}: \"{}\" must have the form KEY=VALUE", option, text);
    }
    out.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return out;
}

Result<net::Address> address(const std::string& text, const char* option) {
  auto parsed = net::Address::parse(text);
  if (!parsed) return fail(Errc::kInvalid, "{}: {}", option, parsed.error().message);
  return parsed;
}

Result<void> check_kind(const std::string& kind) {
  if (api::find_kind(kind) != nullptr) return {};
  return fail(Errc::kInvalid,
              "\"{}\" is not a kind of resource: services, revisions, routes, configurations, "
              "pods or nodes",
              kind);
}

// Names become parts of URLs.
Result<void> check_name(const std::string& name) {
  constexpr size_t kMaxName = 253;
  const bool valid = std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
  if (valid && name.size() <= kMaxName && !name.starts_with('.')) return {};
  return fail(Errc::kInvalid, "\"{}\" is not a name: use a-z, 0-9 and -", name);
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

Result<DeployOptions> deploy_options(const Raw& raw) {
  DeployOptions deploy = raw.deploy;
  if (!api::is_dns1035_label(deploy.name)) {
    return fail(Errc::kInvalid,
                "\"{}\" is not a service name: use a-z, 0-9 and -, start with a letter",
                deploy.name);
  }
  if (auto ok = check_name(deploy.runtime); !ok) return fail(ok.error());
  if (!raw.timeout.empty()) {
    const auto timeout = api::parse_duration(raw.timeout);
    if (!timeout) return fail(Errc::kInvalid, "--timeout: {}", timeout.error().message);
    if (*timeout < std::chrono::seconds(1) || *timeout % std::chrono::seconds(1) != Duration(0)) {
      return fail(Errc::kInvalid, "--timeout: {} must be whole seconds, at least 1s", raw.timeout);
    }
    deploy.timeout = *timeout;
  }
  const auto wait_timeout = api::parse_duration(raw.wait_timeout);
  if (!wait_timeout || *wait_timeout <= Duration(0) || *wait_timeout > std::chrono::hours(24)) {
    return fail(Errc::kInvalid, "--wait-timeout: \"{}\" must be a duration up to 24h",
                raw.wait_timeout);
  }
  deploy.wait_timeout = *wait_timeout;
  if (deploy.min && deploy.max && *deploy.max > 0 && *deploy.min > *deploy.max) {
    return fail(Errc::kInvalid, "--min {} is more than --max {}", *deploy.min, *deploy.max);
  }
  auto env = key_values(raw.env, "--env");
  if (!env) return fail(env.error());
  auto annotations = key_values(raw.annotations, "--annotation");
  if (!annotations) return fail(annotations.error());
  deploy.env = std::move(*env);
  deploy.annotations = std::move(*annotations);
  deploy.wait = !raw.no_wait;
  return deploy;
}

Result<GetOptions> get_options(const Raw& raw) {
  GetOptions get = raw.get;
  if (auto ok = check_kind(get.kind); !ok) return fail(ok.error());
  if (auto ok = check_name(get.name); !ok) return fail(ok.error());
  if (!get.name.empty() && get.all_namespaces) {
    return fail(Errc::kInvalid, "a NAME cannot be combined with --all-namespaces");
  }
  get.output = raw.output == "json"   ? Output::kJson
               : raw.output == "name" ? Output::kName
               : raw.output == "wide" ? Output::kWide
                                      : Output::kTable;
  return get;
}

Result<DeleteOptions> delete_options(const Raw& raw) {
  if (auto ok = check_kind(raw.remove.kind); !ok) return fail(ok.error());
  if (auto ok = check_name(raw.remove.name); !ok) return fail(ok.error());
  return raw.remove;
}

template <class T>
Result<Invocation, EarlyExit> finish(const Raw& raw, Result<T> command) {
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
  const auto* deploy = define_deploy(app, raw);
  const auto* get = define_get(app, raw);
  const auto* remove = define_delete(app, raw);
  const auto* version =
      app.add_subcommand("version", "Show the versions of this program and of the API");
  try {
    app.parse(std::vector<std::string>(args.rbegin(), args.rend()));  // CLI11 takes it reversed
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream err;
    const int code = app.exit(error, out, err);
    return fail(EarlyExit{code == 0 ? kExitOk : kExitUsage, out.str(), err.str()});
  }
  if (up->parsed()) return finish(raw, up_options(raw));
  if (deploy->parsed()) return finish(raw, deploy_options(raw));
  if (get->parsed()) return finish(raw, get_options(raw));
  if (remove->parsed()) return finish(raw, delete_options(raw));
  if (version->parsed()) return finish(raw, Result<VersionOptions>(VersionOptions{}));
  return fail(EarlyExit{kExitUsage, {}, app.help()});
}

}  // namespace ebb::cli
