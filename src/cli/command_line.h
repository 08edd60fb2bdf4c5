// What one command's line looks like, and what it means. One file for each group of
// commands: options_NAME.cc.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/options.h"

namespace CLI {
class App;
}

namespace ebb::cli {

class CommandLine {
 public:
  virtual ~CommandLine() = default;
  // Adds the command to the program's; fills members of this object when parsed.
  virtual const CLI::App* define(CLI::App& app) = 0;
  // For commands about the command line itself: what to print. Empty for all others.
  [[nodiscard]] virtual Result<std::string> text(CLI::App& /*app*/) const { return std::string(); }
  // What was asked for. An error is a message about the usage.
  [[nodiscard]] virtual Result<Command> command(const ConnectionOptions& connection) const = 0;
};

using CommandLines = std::vector<std::unique_ptr<CommandLine>>;

// Each adds its commands in the order in which help shows them.
void add_up_line(CommandLines& lines);
void add_deploy_line(CommandLines& lines);
void add_resource_lines(CommandLines& lines);  // apply, get, describe, delete
void add_call_lines(CommandLines& lines);      // invoke, logs, top
void add_traffic_lines(CommandLines& lines);   // traffic, rollback
void add_simulate_line(CommandLines& lines);
void add_policy_lines(CommandLines& lines);   // policy check
void add_program_lines(CommandLines& lines);  // runtimes, backup, restore, version, ...

[[nodiscard]] CommandLines all_command_lines();

}  // namespace ebb::cli
