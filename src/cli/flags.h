// How a command's flags are described: each has an environment variable of its name
// (--log-level: EBB_LOG_LEVEL), and the checks that several commands share. For the
// .cc files that describe command lines.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cli/options.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace ebb::cli {

inline constexpr const char* kSeeAlso = "Global options: see `ebb --help`.";

// "-n,--log-level" -> "EBB_LOG_LEVEL".
[[nodiscard]] std::string variable_of(const std::string& names);

// Flags with one value, or with one each time they are given.
CLI::Option* flag(CLI::App* app, const std::string& names, std::string& value,
                  const std::string& help);
CLI::Option* flag(CLI::App* app, const std::string& names, int& value, const std::string& help);
CLI::Option* flag(CLI::App* app, const std::string& names, std::optional<int>& value,
                  const std::string& help);
CLI::Option* flag(CLI::App* app, const std::string& names, std::vector<std::string>& values,
                  const std::string& help);
// A flag without a value.
CLI::Option* toggle(CLI::App* app, const std::string& names, bool& value, const std::string& help);
// What --help ends with.
void example(CLI::App* app, const std::string& lines);

// --- From texts to values; an error is a message about the usage ---

inline constexpr Duration kMaxWait = std::chrono::hours(24);  // of --wait-timeout
[[nodiscard]] Result<std::vector<KeyValue>> key_values(const std::vector<std::string>& texts,
                                                       const char* option);
// The values of a flag that may be repeated, where its environment variable has one in each
// line.
[[nodiscard]] std::vector<std::string> by_line(const CLI::Option& flag,
                                               const std::vector<std::string>& values);
[[nodiscard]] Result<net::Address> address(const std::string& text, const char* option);
// More than zero, at most `most`.
[[nodiscard]] Result<Duration> positive_duration(const std::string& text, const char* option,
                                                 Duration most);
// Names become parts of URLs. An empty one is fine.
[[nodiscard]] Result<void> check_name(const std::string& name);
[[nodiscard]] Result<void> check_service_name(const std::string& name);
[[nodiscard]] Result<void> check_kind(const std::string& kind);
// Where the first word, `kind`, is KIND/NAME, all words have to be, of one kind: takes them
// apart. kInvalid with the word that is wrong.
[[nodiscard]] Result<void> split_kind(std::string& kind, std::vector<std::string>& names);
[[nodiscard]] Result<void> split_kind(std::string& kind, std::string& name);

}  // namespace ebb::cli
