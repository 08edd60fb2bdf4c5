#include "cli/usage_error.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <optional>
#include <string_view>

#include "base/quote.h"

namespace ebb::cli {

namespace {

constexpr const char* kSeeHelp = "Run with --help for more information.\n";
constexpr size_t kMaxTypos = 2;
constexpr size_t kLettersPerTypo = 3;

// How many letters have to be added, left out or changed. (Levenshtein's distance, row by
// row: Wagner and Fischer, 1974.)
size_t distance(std::string_view from, std::string_view to) {
  std::vector<size_t> row(to.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 0; i < from.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < to.size(); ++j) {
      const size_t changed = diagonal + (from[i] == to[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

// The command that was probably meant; empty if it could be anything.
std::string nearest_command(const CLI::App& app, const std::string& word) {
  std::string best;
  size_t least = std::min(kMaxTypos, word.size() / kLettersPerTypo) + 1;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    const size_t typos = distance(word, command->get_name());
    if (typos >= least) continue;
    least = typos;
    best = command->get_name();
  }
  return best;
}

std::optional<std::string> unknown_command(const CLI::App& app) {
  if (!app.get_subcommands().empty()) return std::nullopt;
  for (const std::string& word : app.remaining()) {
    if (word.starts_with('-')) return std::nullopt;  // the parser names it
    const std::string nearest = nearest_command(app, word);
    return fmt::format(
        "Error: unknown command {}: {}\n", in_quotes(word),
        nearest.empty() ? "`ebb help` lists them" : fmt::format("did you mean \"{}\"?", nearest));
  }
  return std::nullopt;
}

bool is_given(const CLI::Option& option, const std::vector<std::string>& args) {
  return std::any_of(args.begin(), args.end(), [&option](const std::string& arg) {
    for (const std::string& name : option.get_lnames()) {
      if (arg == "--" + name || arg.starts_with("--" + name + "=")) return true;
    }
    for (const std::string& name : option.get_snames()) {
      if (arg.starts_with("-" + name)) return true;
    }
    return false;
  });
}

// The variable whose value was refused, as the message names its flag.
std::optional<std::string> blamed_variable(const CLI::App& app, const CLI::ParseError& error,
                                           const std::vector<std::string>& args) {
  const std::string message = error.what();
  std::vector<const CLI::App*> apps{&app};
  for (const CLI::App* command : app.get_subcommands()) apps.push_back(command);
  for (const CLI::App* one : apps) {
    for (const CLI::Option* option : one->get_options()) {
      const char* value = std::getenv(option->get_envname().c_str());
      if (value == nullptr || option->get_positional() || is_given(*option, args)) continue;
      const std::string name = option->get_name();
      const size_t at = message.find(name);
      if (at == std::string::npos) continue;
      const size_t end = at + name.size();
      if (end < message.size() && message[end] != ':' && message[end] != ' ') continue;
      const bool is_toggle = option->get_items_expected_max() == 0;
      const std::string why =
          is_toggle ? fmt::format("{} must be true or false", in_quotes(value)) : message;
      return fmt::format("Error: {} of the environment: {}\n", option->get_envname(), why);
    }
  }
  return std::nullopt;
}

}  // namespace

std::string usage_error(const CLI::App& app, const CLI::ParseError& error,
                        const std::vector<std::string>& args) {
  if (auto unknown = unknown_command(app)) return *unknown;
  if (auto variable = blamed_variable(app, error, args)) return *variable + kSeeHelp;
  return std::string(error.what()) + "\n" + kSeeHelp;
}

}  // namespace ebb::cli
