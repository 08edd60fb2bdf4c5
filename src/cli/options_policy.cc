// The command line of `ebb policy`.
#include <CLI/CLI.hpp>

#include "cli/command_line.h"
#include "cli/flags.h"

namespace ebb::cli {

namespace {

class PolicyLine final : public CommandLine {
 public:
  const CLI::App* define(CLI::App& app) override {
    auto* policy = app.add_subcommand("policy", "Try out a scaling policy in Lua");
    policy->require_subcommand(1);
    example(policy, "  ebb policy check gentle.lua");
    auto* check = policy->add_subcommand("check", "Say what a policy answers, or what is wrong");
    check->add_option("FILE", to_.file, "the policy")->required();
    example(check,
            "  ebb policy check gentle.lua\n"
            "Asks it about a few situations from rest to overload. Exit code 1 if it fails, with\n"
            "the file and the line. It needs no running Ebb. docs/scaling.md has the rules.");
    return policy;
  }
  [[nodiscard]] Result<Command> command(const ConnectionOptions& /*connection*/) const override {
    return Command(to_);
  }

 private:
  PolicyCheckOptions to_;
};

}  // namespace

void add_policy_lines(CommandLines& lines) { lines.push_back(std::make_unique<PolicyLine>()); }

}  // namespace ebb::cli
