// Scripts that let a shell complete `ebb`, made from the description of the command
// line itself. Names of resources are asked for with `ebb get KIND -o name`, and runtimes with
// `ebb runtimes`.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace ebb::cli {

enum class Shell { kBash, kZsh };

[[nodiscard]] std::string completion_script(const CLI::App& app, Shell shell);

}  // namespace ebb::cli
