// The command lines of `ebb runtimes`, `backup`, `restore`, `version`, `completion` and
// `help`.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/quote.h"
#include "cli/command_line.h"
#include "cli/completion.h"
#include "cli/flags.h"

namespace ebb::cli {

namespace {

class RuntimesLine final : public CommandLine {
 public:
  const CLI::App* define(CLI::App& app) override {
    auto* runtimes = app.add_subcommand("runtimes", "List what can run code");
    example(runtimes, "  ebb runtimes\nSTARTS FROM: files of which the code needs one.");
    return runtimes;
  }
  [[nodiscard]] Result<Command> command(const ConnectionOptions& /*connection*/) const override {
    return Command(RuntimesOptions{});
  }
};

class BackupLine final : public CommandLine {
 public:
  const CLI::App* define(CLI::App& app) override {
    auto* backup = app.add_subcommand("backup", "Save what is declared, and its code, to a file");
    backup->add_option("FILE", to_.file, "the tar file to write; - for the standard output")
        ->required();
    example(backup,
            "  ebb backup ebb-backup.tar\n"
            "  ebb backup - | gzip > ebb-backup.tar.gz\n"
            "Ebb goes on serving meanwhile. The file holds the functions' code and variables,\n"
            "so keep it as safe as the data folder; the API's token is not in it.");
    return backup;
  }
  [[nodiscard]] Result<Command> command(const ConnectionOptions& /*connection*/) const override {
    return Command(to_);
  }

 private:
  BackupOptions to_;
};

class RestoreLine final : public CommandLine {
 public:
  const CLI::App* define(CLI::App& app) override {
    auto* restore = app.add_subcommand("restore", "Fill an empty data folder from a backup");
    restore->add_option("FILE", to_.file, "what `ebb backup` wrote")->required();
    example(restore,
            "  ebb restore ebb-backup.tar --data /var/lib/ebb\n"
            "Run it as the user who runs `ebb up`, before `ebb up`.");
    return restore;
  }
  [[nodiscard]] Result<Command> command(const ConnectionOptions& connection) const override {
    RestoreOptions restore = to_;
    if (connection.data.empty()) return fail(Errc::kInvalid, "--data says which folder to fill");
    restore.data = connection.data;
    return Command(std::move(restore));
  }

 private:
  RestoreOptions to_;
};

class VersionLine final : public CommandLine {
 public:
  const CLI::App* define(CLI::App& app) override {
    auto* version =
        app.add_subcommand("version", "Show the versions of this program and of the API");
    example(version, "  ebb version");
    return version;
  }
  [[nodiscard]] Result<Command> command(const ConnectionOptions& /*connection*/) const override {
    return Command(VersionOptions{});
  }
};

class CompletionLine final : public CommandLine {
 public:
  const CLI::App* define(CLI::App& app) override {
    auto* completion = app.add_subcommand("completion", "Print a script that completes commands");
    completion->add_option("SHELL", shell_, "bash or zsh")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh"}));
    example(completion,
            "  ebb completion bash > /etc/bash_completion.d/ebb\n"
            "  source <(ebb completion zsh)");
    return completion;
  }
  [[nodiscard]] Result<std::string> text(CLI::App& app) const override {
    return completion_script(app, shell_ == "zsh" ? Shell::kZsh : Shell::kBash);
  }
  [[nodiscard]] Result<Command> command(const ConnectionOptions& /*connection*/) const override {
    return Command(VersionOptions{});  // not reached: text() has answered
  }

 private:
  std::string shell_;
};

class HelpLine final : public CommandLine {
 public:
  const CLI::App* define(CLI::App& app) override {
    auto* help = app.add_subcommand("help", "Show how a command is used");
    help->add_option("COMMAND", command_, "which one; without: all of them");
    example(help, "  ebb help deploy\n  ebb help policy check");
    return help;
  }
  [[nodiscard]] Result<std::string> text(CLI::App& app) const override {
    if (command_.empty()) {
      app.clear();  // else it shows the help of the command that was parsed: of this one
      return app.help();
    }
    const CLI::App* found = &app;
    std::string before;
    for (const std::string& word : command_) {
      before += (before.empty() ? "" : " ") + found->get_name();
      const auto inner =
          found->get_subcommands([&word](const CLI::App* one) { return one->get_name() == word; });
      if (inner.empty()) {
        return fail(Errc::kInvalid, "{} is not a command: `ebb help` lists them",
                    in_quotes(fmt::format("{}", fmt::join(command_, " "))));
      }
      found = inner.front();
    }
    return found->help(before);
  }
  [[nodiscard]] Result<Command> command(const ConnectionOptions& /*connection*/) const override {
    return Command(VersionOptions{});  // not reached: text() has answered
  }

 private:
  std::vector<std::string> command_;  // "policy", "check"
};

}  // namespace

void add_program_lines(CommandLines& lines) {
  lines.push_back(std::make_unique<RuntimesLine>());
  lines.push_back(std::make_unique<BackupLine>());
  lines.push_back(std::make_unique<RestoreLine>());
  lines.push_back(std::make_unique<VersionLine>());
  lines.push_back(std::make_unique<CompletionLine>());
  lines.push_back(std::make_unique<HelpLine>());
}

CommandLines all_command_lines() {
  CommandLines lines;
  add_up_line(lines);
  add_deploy_line(lines);
  add_resource_lines(lines);
  add_call_lines(lines);
  add_traffic_lines(lines);
  add_simulate_line(lines);
  add_policy_lines(lines);
  add_program_lines(lines);
  return lines;
}

}  // namespace ebb::cli
