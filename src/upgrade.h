// Replacing the running program by a new version of it, in the supervisor's process: the
// sockets that it listens on and its lock stay open over exec(2), so that no connection is
// refused meanwhile.
//
//   Inherited inherited = take_inherited();      // first of all; empty after a usual start
//   ...
//   if (auto version = check_program(self); version) {
//     Error error = execute_again(self, inherited);   // returns only if that failed
//   }
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "node/supervisor.h"

namespace ebb {

struct Inherited {
  std::vector<UniqueFd> gateway;  // one listening socket per executor
  std::vector<UniqueFd> https;    // likewise
  std::vector<UniqueFd> pods;     // likewise, in the pods' network
  UniqueFd api;
  UniqueFd metrics;
  UniqueFd lock;  // of the data folder
  std::vector<node::LeavingFront> leaving;
};

// The program that runs and how it was called.
struct Program {
  std::string path;
  std::vector<std::string> arguments;  // with its name
};
[[nodiscard]] Program this_program(int argc, char** argv);

// What the version before has left open for us. Takes the note of it out of the environment.
[[nodiscard]] Inherited take_inherited();
// Runs what lies at the program's path now as it was called, to look whether it would start:
// it must end well within 10 s. Returns the version that it printed.
[[nodiscard]] Result<std::string> check_program(const Program& program);
// We are that: to read options, settings and files, print the version, and end.
[[nodiscard]] bool only_checks();
// Becomes it. The descriptors stay open here if that fails.
[[nodiscard]] Error execute_again(const Program& program, const Inherited& inherited,
                                  const std::vector<node::LeavingFront>& leaving);

}  // namespace ebb
