// What is said about a command line that the parser refuses: in its own words, or in
// better ones where a user would not know what they mean.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace ebb::cli {

// `app` as it is after it refused `args`. Lines of text.
[[nodiscard]] std::string usage_error(const CLI::App& app, const CLI::ParseError& error,
                                      const std::vector<std::string>& args);

}  // namespace ebb::cli
