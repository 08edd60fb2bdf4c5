// The command lines of `ebb apply`, `get`, `describe` and `delete`.
#include <CLI/CLI.hpp>

#include "cli/command_line.h"
#include "cli/flags.h"

namespace ebb::cli {

namespace {

constexpr const char* kKinds =
    "services (ksvc), revisions (rev), routes (rt), configurations (cfg), pods (po), nodes (no), "
    "events (ev), podautoscalers (kpa) or horizontalpodautoscalers (hpa)";

class ApplyLine final : public CommandLine {
 public:
  const CLI::App* define(CLI::App& app) override {
    auto* apply = app.add_subcommand("apply", "Create or change what files declare");
    flag(apply, "-f,--filename", to_.files,
         "YAML or JSON file, a folder of them, or - for the standard input; may be repeated")
        ->type_name("FILE")
        ->required();
    example(apply,
            "  ebb apply -f service.yaml\n"
            "  cat *.yaml | ebb apply -f -\n"
            "Works as kubectl apply, and both may be used on the same object.");
    return apply;
  }
  [[nodiscard]] Result<Command> command(const ConnectionOptions& connection) const override {
    ApplyOptions apply = to_;
    apply.only_ns = connection.ns;
    return Command(std::move(apply));
  }

 private:
  ApplyOptions to_;
};

class GetLine final : public CommandLine {
 public:
  const CLI::App* define(CLI::App& app) override {
    auto* get = app.add_subcommand("get", "Show resources");
    get->add_option("KIND", to_.kind, std::string(kKinds) + "; or KIND/NAME")->required();
    get->add_option("NAME", to_.name, "only this one");
    flag(get, "-o,--output", output_, "wide, json, yaml or name")
        ->check(CLI::IsMember({"wide", "json", "yaml", "name"}));
    toggle(get, "-w,--watch", to_.watch, "go on showing what changes");
    toggle(get, "-A,--all-namespaces", to_.all_namespaces, "of all namespaces");
    flag(get, "-l,--selector", to_.selector, "only with these labels, such as app=web,tier!=test");
    example(get,
            "  ebb get services\n"
            "  ebb get pods -l serving.knative.dev/service=hello -w\n"
            "  ebb get service hello -o yaml");
    return get;
  }
  [[nodiscard]] Result<Command> command(const ConnectionOptions& /*connection*/) const override {
    GetOptions get = to_;
    if (auto ok = split_kind(get.kind, get.name); !ok) return fail(ok.error());
    if (auto ok = check_kind(get.kind); !ok) return fail(ok.error());
    if (auto ok = check_name(get.name); !ok) return fail(ok.error());
    if (!get.name.empty() && get.all_namespaces) {
      return fail(Errc::kInvalid, "a NAME cannot be combined with --all-namespaces");
    }
    if (!get.name.empty() && !get.selector.empty()) {
      return fail(Errc::kInvalid, "a NAME cannot be combined with --selector");
    }
    get.output = output_ == "json"   ? Output::kJson
                 : output_ == "yaml" ? Output::kYaml
                 : output_ == "name" ? Output::kName
                 : output_ == "wide" ? Output::kWide
                                     : Output::kTable;
    return Command(std::move(get));
  }

 private:
  GetOptions to_;
  std::string output_;
};

class DescribeLine final : public CommandLine {
 public:
  const CLI::App* define(CLI::App& app) override {
    auto* describe =
        app.add_subcommand("describe", "Show all about one resource: what happens, and why");
    describe->add_option("KIND", to_.kind, "service, revision or pod; or KIND/NAME")->required();
    describe->add_option("NAME", to_.name, "which one");
    example(describe, "  ebb describe service hello");
    return describe;
  }
  [[nodiscard]] Result<Command> command(const ConnectionOptions& /*connection*/) const override {
    DescribeOptions describe = to_;
    if (auto ok = split_kind(describe.kind, describe.name); !ok) return fail(ok.error());
    if (auto ok = check_kind(describe.kind); !ok) return fail(ok.error());
    if (auto ok = check_name(describe.name); !ok) return fail(ok.error());
    if (describe.name.empty()) return fail(Errc::kInvalid, "NAME is required: say which one");
    return Command(std::move(describe));
  }

 private:
  DescribeOptions to_;
};

class DeleteLine final : public CommandLine {
 public:
  const CLI::App* define(CLI::App& app) override {
    auto* remove = app.add_subcommand("delete", "Delete resources");
    remove->add_option("KIND", to_.kind, "such as service");
    remove->add_option("NAME", to_.names, "which ones");
    flag(remove, "-f,--filename", to_.files, "what this file or folder names; - is the input")
        ->type_name("FILE");
    flag(remove, "-l,--selector", to_.selector, "all with these labels");
    toggle(remove, "--all", to_.all, "all of the namespace");
    toggle(remove, "--no-wait", no_wait_, "do not wait until they are gone");
    flag(remove, "--wait-timeout", wait_timeout_, "how long to wait at most")
        ->type_name("DURATION")
        ->capture_default_str();
    example(remove,
            "  ebb delete service hello\n"
            "  ebb delete service/hello service/other\n"
            "  ebb delete -f service.yaml\n"
            "  ebb delete services -l team=red");
    return remove;
  }
  [[nodiscard]] Result<Command> command(const ConnectionOptions& /*connection*/) const override {
    DeleteOptions remove = to_;
    if (auto ok = split_kind(remove.kind, remove.names); !ok) return fail(ok.error());
    remove.wait = !no_wait_;
    const auto wait_timeout = positive_duration(wait_timeout_, "--wait-timeout", kMaxWait);
    if (!wait_timeout) return fail(wait_timeout.error());
    remove.wait_timeout = *wait_timeout;
    const int ways = (remove.files.empty() ? 0 : 1) + (remove.names.empty() ? 0 : 1) +
                     (remove.selector.empty() ? 0 : 1) + (remove.all ? 1 : 0);
    if (ways != 1 || remove.kind.empty() == remove.files.empty()) {
      return fail(Errc::kInvalid,
                  "say what to delete: KIND NAME, KIND --selector, KIND --all, or --filename");
    }
    if (remove.files.empty()) {
      if (auto ok = check_kind(remove.kind); !ok) return fail(ok.error());
    }
    for (const std::string& name : remove.names) {
      if (auto ok = check_name(name); !ok) return fail(ok.error());
      if (name.empty()) return fail(Errc::kInvalid, "an empty NAME names nothing");
    }
    return Command(std::move(remove));
  }

 private:
  DeleteOptions to_;
  bool no_wait_ = false;
  std::string wait_timeout_ = "2m";
};

}  // namespace

void add_resource_lines(CommandLines& lines) {
  lines.push_back(std::make_unique<ApplyLine>());
  lines.push_back(std::make_unique<GetLine>());
  lines.push_back(std::make_unique<DescribeLine>());
  lines.push_back(std::make_unique<DeleteLine>());
}

}  // namespace ebb::cli
