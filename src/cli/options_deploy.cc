// The command line of `ebb deploy`.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>

#include "api/duration.h"
#include "api/quantity.h"
#include "api/validate.h"
#include "cli/command_line.h"
#include "cli/flags.h"

namespace ebb::cli {

namespace {

constexpr int kMaxScale = 100'000;

template <class T>
Result<void> check_quantity(const std::string& text, const char* option,
                            Result<T> (*parse)(std::string_view)) {
  if (text.empty()) return {};
  const auto quantity = parse(text);
  if (!quantity) return fail(Errc::kInvalid, "{}: {}", option, quantity.error().message);
  return {};
}

// "KEY=VALUE", or "KEY-" for one that goes.
Result<void> read_env(const std::vector<std::string>& texts, DeployOptions& into) {
  std::vector<std::string> given;
  for (const std::string& text : texts) {
    const bool goes = text.size() > 1 && text.ends_with('-') && text.find('=') == std::string::npos;
    if (goes) {
      into.unset_env.push_back(text.substr(0, text.size() - 1));
    } else {
      given.push_back(text);
    }
  }
  auto pairs = key_values(given, "--env");
  if (!pairs) return fail(Errc::kInvalid, "{}, or KEY-", pairs.error().message);
  for (const auto& [key, value] : *pairs) {
    if (std::find(into.unset_env.begin(), into.unset_env.end(), key) != into.unset_env.end()) {
      return fail(Errc::kInvalid, "--env: {} is both set and taken away", key);
    }
  }
  into.env = std::move(*pairs);
  return {};
}

// "PORT", "NAME:PORT" or "h2c", as kn has it.
Result<void> read_port(const std::string& text, DeployOptions& into) {
  constexpr int kDefaultPort = 8080;
  constexpr int kMaxPort = 65535;
  if (text.empty()) return {};
  const size_t colon = text.find(':');
  const bool named = colon != std::string::npos || text == "h2c" || text == "http1";
  into.port_name = named ? text.substr(0, colon) : "";
  const std::string number = colon != std::string::npos ? text.substr(colon + 1)
                             : named                    ? std::to_string(kDefaultPort)
                                                        : text;
  int port = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), port);
  const bool known = !named || into.port_name == "h2c" || into.port_name == "http1";
  if (!known || error != std::errc() || end != number.data() + number.size() || port < 1 ||
      port > kMaxPort) {
    return fail(Errc::kInvalid,
                "--port: \"{}\" must be a number within 1 and {}, perhaps behind \"h2c:\" or "
                "\"http1:\", such as h2c:8080",
                text, kMaxPort);
  }
  into.port = port;
  return {};
}

class DeployLine final : public CommandLine {
 public:
  const CLI::App* define(CLI::App& app) override {
    auto* deploy = app.add_subcommand("deploy", "Deploy a folder of code as a service");
    deploy->add_option("NAME", to_.name, "name of the service")->required();
    flag(deploy, "--runtime", to_.runtime, "what runs the code, such as python, node or exec")
        ->required();
    flag(deploy, "--code", to_.code, "folder that holds the code")->required();
    env_flag_ = flag(deploy, "--env", env_,
                     "environment variable, or KEY- to take one away; may be repeated");
    flag(deploy, "--concurrency", to_.concurrency, "requests that one pod takes at once; 0: any")
        ->check(CLI::Range(int64_t{0}, api::kMaxContainerConcurrency));
    flag(deploy, "--min", to_.min, "pods that are always kept")->check(CLI::Range(0, kMaxScale));
    flag(deploy, "--max", to_.max, "pods at most; 0: any number")->check(CLI::Range(0, kMaxScale));
    flag(deploy, "--timeout", timeout_, "of one request, such as 30s")->type_name("DURATION");
    flag(deploy, "--memory", to_.memory, "limit of one pod, such as 128Mi")->type_name("QUANTITY");
    flag(deploy, "--cpu", to_.cpu, "limit of one pod, such as 500m")->type_name("QUANTITY");
    flag(deploy, "--network", to_.network, "what a pod reaches: none or egress")
        ->check(CLI::IsMember({"none", "egress"}));
    flag(
        deploy, "--port", port_,
        "where a program listens (default 8080); h2c:PORT for one that speaks HTTP/2, as gRPC does")
        ->type_name("[NAME:]PORT");
    annotation_flag_ =
        flag(deploy, "--annotation", annotations_, "of the revision; may be repeated");
    flag(deploy, "--pip-option", to_.pip_options,
         "option for `pip install`, such as --find-links=wheels; may be repeated")
        ->type_name("OPTION");
    flag(deploy, "--npm-option", to_.npm_options, "option for `npm install`; may be repeated")
        ->type_name("OPTION");
    toggle(deploy, "--no-install", no_install_,
           "do not install what requirements.txt or package.json name");
    toggle(deploy, "--no-call", no_call_, "do not call the service at the end");
    toggle(deploy, "--no-wait", no_wait_, "do not wait until the service is ready");
    flag(deploy, "--wait-timeout", wait_timeout_, "how long to wait at most")
        ->type_name("DURATION")
        ->capture_default_str();
    example(deploy,
            "  ebb deploy hello --runtime python --code ./hello --env GREETING=Hi --max 10\n"
            "  ebb deploy api --runtime python --code ./api --pip-option=--find-links=wheels\n"
            "Installs what requirements.txt (with pip) or package.json (with npm) beside the\n"
            "code name, into a copy of it; paths in their options are relative to the code.\n"
            "A flag that is not given leaves what an earlier deploy set.");
    return deploy;
  }

  [[nodiscard]] Result<Command> command(const ConnectionOptions& /*connection*/) const override {
    DeployOptions deploy = to_;
    if (auto ok = check_service_name(deploy.name); !ok) return fail(ok.error());
    if (auto ok = check_name(deploy.runtime); !ok) return fail(ok.error());
    if (!timeout_.empty()) {
      const auto timeout = api::parse_duration(timeout_);
      if (!timeout) return fail(Errc::kInvalid, "--timeout: {}", timeout.error().message);
      if (*timeout < std::chrono::seconds(1) || *timeout % std::chrono::seconds(1) != Duration(0)) {
        return fail(Errc::kInvalid, "--timeout: {} must be whole seconds, at least 1s", timeout_);
      }
      deploy.timeout = *timeout;
    }
    const auto wait_timeout = positive_duration(wait_timeout_, "--wait-timeout", kMaxWait);
    if (!wait_timeout) return fail(wait_timeout.error());
    deploy.wait_timeout = *wait_timeout;
    if (deploy.min && deploy.max && *deploy.max > 0 && *deploy.min > *deploy.max) {
      return fail(Errc::kInvalid, "--min {} is more than --max {}", *deploy.min, *deploy.max);
    }
    if (auto ok = check_quantity(deploy.memory, "--memory", api::parse_bytes); !ok) {
      return fail(ok.error());
    }
    if (auto ok = check_quantity(deploy.cpu, "--cpu", api::parse_millicores); !ok) {
      return fail(ok.error());
    }
    if (auto ok = read_port(port_, deploy); !ok) return fail(ok.error());
    if (auto ok = read_env(by_line(*env_flag_, env_), deploy); !ok) return fail(ok.error());
    auto annotations = key_values(by_line(*annotation_flag_, annotations_), "--annotation");
    if (!annotations) return fail(annotations.error());
    deploy.annotations = std::move(*annotations);
    deploy.install = !no_install_;
    deploy.call = !no_call_;
    deploy.wait = !no_wait_;
    return Command(std::move(deploy));
  }

 private:
  DeployOptions to_;
  std::string timeout_;
  std::string port_;
  std::string wait_timeout_ = "2m";
  std::vector<std::string> env_;
  std::vector<std::string> annotations_;
  CLI::Option* env_flag_ = nullptr;
  CLI::Option* annotation_flag_ = nullptr;
  bool no_install_ = false;
  bool no_call_ = false;
  bool no_wait_ = false;
};

}  // namespace

void add_deploy_line(CommandLines& lines) { lines.push_back(std::make_unique<DeployLine>()); }

}  // namespace ebb::cli
