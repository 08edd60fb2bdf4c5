// The command lines of `ebb invoke`, `logs` and `top`.
#include <CLI/CLI.hpp>

#include "cli/command_line.h"
#include "cli/flags.h"

namespace ebb::cli {

namespace {

constexpr Duration kMaxTimeout = std::chrono::hours(24);

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

class InvokeLine final : public CommandLine {
 public:
  const CLI::App* define(CLI::App& app) override {
    auto* invoke = app.add_subcommand("invoke", "Call a service and show its answer");
    invoke->add_option("NAME", to_.name, "name of the service")->required();
    body_ = flag(invoke, "-d,--body", text_, "what to send: text, @FILE, or - for the input")
                ->type_name("DATA");
    flag(invoke, "-H,--header", headers_,
         "such as 'Content-Type: application/json'; may be repeated")
        ->type_name("K: V");
    flag(invoke, "-X,--method", to_.method, "default: GET, or POST with a body");
    flag(invoke, "--path", to_.path, "path and query")->capture_default_str();
    flag(invoke, "--tag", to_.tag, "call the revision with this tag")->type_name("TAG");
    toggle(invoke, "-i,--include", to_.include, "show the head of the answer too");
    toggle(invoke, "--no-fail", no_fail_, "an answer of 400 or more is no failure");
    flag(invoke, "--gateway", to_.gateway, "where the gateway is (default: what the API says)")
        ->type_name("ADDR:PORT");
    flag(invoke, "--timeout", timeout_, "for the whole call")
        ->type_name("DURATION")
        ->capture_default_str();
    example(invoke,
            "  ebb invoke hello --path '/?name=Ada'\n"
            "  ebb invoke hello -d @order.json -H 'Content-Type: application/json'\n"
            "Exit code: 0 for an answer below 400, else 1.");
    return invoke;
  }

  [[nodiscard]] Result<Command> command(const ConnectionOptions& /*connection*/) const override {
    InvokeOptions invoke = to_;
    if (auto ok = check_service_name(invoke.name); !ok) return fail(ok.error());
    if (!invoke.tag.empty()) {
      if (auto ok = check_service_name(invoke.tag); !ok) {
        return fail(Errc::kInvalid, "--tag: {}", ok.error().message);
      }
    }
    if (body_->count() > 0) invoke.body = text_;
    if (!invoke.path.starts_with('/')) invoke.path.insert(0, "/");
    for (const std::string& header : headers_) {
      const size_t colon = header.find(':');
      if (colon == 0 || colon == std::string::npos) {
        return fail(Errc::kInvalid, "--header: \"{}\" must have the form 'Name: value'", header);
      }
      invoke.headers.emplace_back(trimmed(std::string_view(header).substr(0, colon)),
                                  trimmed(std::string_view(header).substr(colon + 1)));
    }
    if (!invoke.gateway.empty()) {
      if (auto gateway = address(invoke.gateway, "--gateway"); !gateway) {
        return fail(gateway.error());
      }
    }
    const auto timeout = positive_duration(timeout_, "--timeout", kMaxTimeout);
    if (!timeout) return fail(timeout.error());
    invoke.timeout = *timeout;
    invoke.fail = !no_fail_;
    return Command(std::move(invoke));
  }

 private:
  InvokeOptions to_;
  CLI::Option* body_ = nullptr;
  std::string text_;
  std::vector<std::string> headers_;
  std::string timeout_ = "10m";
  bool no_fail_ = false;
};

class LogsLine final : public CommandLine {
 public:
  const CLI::App* define(CLI::App& app) override {
    auto* logs = app.add_subcommand("logs", "Show what a service's pods print");
    logs->add_option("NAME", to_.name, "name of the service; not needed with --pod");
    toggle(logs, "-f,--follow", to_.follow, "go on showing what comes");
    flag(logs, "--since", since_, "only of the last, such as 5m")->type_name("DURATION");
    flag(logs, "--tail", to_.tail, "only the last lines")->check(CLI::Range(0, 1'000'000));
    flag(logs, "--pod", to_.pod, "only of this pod");
    toggle(logs, "--timestamps", to_.timestamps, "begin each line with its time");
    example(logs, "  ebb logs hello --since 5m\n  ebb logs hello -f");
    return logs;
  }
  [[nodiscard]] Result<Command> command(const ConnectionOptions& /*connection*/) const override {
    LogsOptions logs = to_;
    if (logs.name.empty() && logs.pod.empty()) {
      return fail(Errc::kInvalid, "say whose logs: NAME of a service, or --pod");
    }
    if (!logs.name.empty()) {
      if (auto ok = check_service_name(logs.name); !ok) return fail(ok.error());
    }
    if (auto ok = check_name(logs.pod); !ok) return fail(ok.error());
    if (!since_.empty()) {
      const auto since = positive_duration(since_, "--since", std::chrono::hours(24 * 365));
      if (!since) return fail(since.error());
      logs.since = *since;
    }
    return Command(std::move(logs));
  }

 private:
  LogsOptions to_;
  std::string since_;
};

class TopLine final : public CommandLine {
 public:
  const CLI::App* define(CLI::App& app) override {
    auto* top = app.add_subcommand("top", "Show live what functions and nodes do");
    top->add_option("WHAT", to_.what, "pods or nodes: what they use, once, as kubectl top")
        ->check(CLI::IsMember({"pods", "nodes"}));
    toggle(top, "--once", to_.once, "one table, then end; the default without a terminal");
    toggle(top, "-A,--all-namespaces", to_.all_namespaces, "of all namespaces");
    flag(top, "--interval", interval_, "between two looks")
        ->type_name("DURATION")
        ->capture_default_str();
    example(top, "  ebb top\n  ebb top --once\n  ebb top pods\nKeys: q ends.");
    return top;
  }
  [[nodiscard]] Result<Command> command(const ConnectionOptions& /*connection*/) const override {
    TopOptions top = to_;
    const auto interval = positive_duration(interval_, "--interval", std::chrono::hours(1));
    if (!interval) return fail(interval.error());
    if (*interval < std::chrono::milliseconds(100)) {
      return fail(Errc::kInvalid, "--interval: at least 100ms");
    }
    top.interval = *interval;
    return Command(top);
  }

 private:
  TopOptions to_;
  std::string interval_ = "1s";
};

}  // namespace

void add_call_lines(CommandLines& lines) {
  lines.push_back(std::make_unique<InvokeLine>());
  lines.push_back(std::make_unique<LogsLine>());
  lines.push_back(std::make_unique<TopLine>());
}

}  // namespace ebb::cli
