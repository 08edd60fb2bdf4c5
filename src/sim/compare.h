// Several policies on one trace, side by side: what `ebb simulate` does. Every policy gets
// the same arrivals, durations and machines. Blocking; thread-safe.
//
//   CompareOptions options{.run = {.trace = {.path = "400_inv.csv"}}};
//   options.policies = {"kpa", "adaptive,window=30s", "fixed:10m"};
//   auto comparison = compare(options, PolicyTable());
//   fmt::print("{}", to_table(*comparison));
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "sim/run.h"

namespace ebb::sim {

struct CompareOptions {
  RunOptions run = {};                // its policy and settings are not looked at
  std::vector<std::string> policies;  // see parse_wish; at least one, each once
  // MiB of a node; 0: not said. Slots are then what the functions take on average.
  double node_memory_mb = 0;
  // Told now and then: which policy, how much of its run is done.
  std::function<void(const std::string& policy, double share)> progress = {};
};

// Of the shares of cold calls, over the functions that were called.
struct ColdShares {
  double p50 = 0;
  double p75 = 0;
  double p99 = 0;
};
[[nodiscard]] ColdShares cold_shares(const Report& report);

struct Comparison {
  std::string trace;  // its path
  std::string start;
  int slots = 0;                // of a node; 0: room for every pod
  std::vector<Report> reports;  // in the order of the policies, whose labels they bear
};

// All policies and options are checked before anything runs.
[[nodiscard]] Result<Comparison> compare(const CompareOptions& options,
                                         const PolicyTable& policies);

[[nodiscard]] std::string to_table(const Comparison& comparison);
// Without what differs from run to run, such as times of the simulation itself.
[[nodiscard]] std::string to_json(const Comparison& comparison);

}  // namespace ebb::sim
