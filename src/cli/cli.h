// The `ebb` command: reads the command line and runs what it asks for.
//
//   int main(int argc, char** argv) { return ebb::cli::run(argc, argv, up); }
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cli/console.h"
#include "cli/options.h"

namespace ebb::cli {

// Runs Ebb on this machine until it is told to stop; returns the exit code. Passed in
// by main, so that the client needs nothing of the control plane.
using UpFunction = std::function<int(const UpOptions&)>;

// Returns the exit code: 0 ok, 1 failure, 2 wrong usage.
[[nodiscard]] int run(int argc, char** argv, const UpFunction& up);

// The same with its surroundings passed in. `args` without the program's name.
[[nodiscard]] int run(const std::vector<std::string>& args, const UpFunction& up, Console& console);

// "0.1.0"
[[nodiscard]] const char* version();

}  // namespace ebb::cli
