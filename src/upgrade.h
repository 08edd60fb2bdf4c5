// Replacing the running program by a new version of it, in the supervisor's process: the
// sockets that it listens on and its lock stay open over exec(2), so that no connection is
// refused meanwhile.
//
//   Inherited inherited = take_inherited();      // first of all; empty after a usual start
//   ...
//   if (auto usable = check_program(self); usable) {
//     Error error = execute_again(self, inherited);   // returns only if that failed
//   }
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace ebb {

struct Inherited {
  std::vector<UniqueFd> gateway;  // one listening socket per executor
  std::vector<UniqueFd> https;    // likewise
  UniqueFd api;
  UniqueFd metrics;
  UniqueFd lock;  // of the data folder
};

// The program that runs and how it was called, as of the first call.
struct Program {
  std::string path;
  std::vector<std::string> arguments;  // with its name
};
[[nodiscard]] Program this_program(int argc, char** argv);

// What the version before has left open for us. Takes the note of it out of the environment.
[[nodiscard]] Inherited take_inherited();
// Runs what lies at the program's path now with --version; it must end well within 10 s.
// Returns what it printed.
[[nodiscard]] Result<std::string> check_program(const Program& program);
// Becomes it. The descriptors stay open here if that fails.
[[nodiscard]] Error execute_again(const Program& program, const Inherited& inherited);

}  // namespace ebb
