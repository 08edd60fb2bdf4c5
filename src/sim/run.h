// One simulation from what a command line says: opens the trace, makes the policy, runs,
// reports. Blocking; thread-safe.
//
//   RunOptions options{.trace = {.path = "400_inv.csv"}, .policy = "kpa"};
//   options.settings = *parse_settings("window=30s");
//   Result<Outcome> outcome = run(options, PolicyTable());
//   fmt::print("{}", to_text(outcome->report));
#pragma once

#include <functional>
#include <string>

#include "sim/engine.h"
#include "sim/trace_files.h"

namespace ebb::sim {

// Bounds of the options.
inline constexpr int kMostConcurrency = 1000;  // as of a revision
inline constexpr int kMostNodes = 100'000;
inline constexpr int kMostSlots = 10'000;

struct RunOptions {
  TraceFiles trace = {};
  ReadOptions reading = {};
  uint32_t copies = 1;  // of every function
  std::string policy = "kpa";
  PolicySettings settings = {};
  std::string start = "300ms";   // see StartTime::parse
  int concurrency = 1;           // requests in a pod at a time; 0: no limit
  ArrivalOptions arrivals = {};  // `until` is the limit of simulated time
  // The date of its beginning, for schedules; unset: as it tells, else a Monday, 00:00 UTC.
  std::optional<WallTime> begin = {};
  std::optional<ClusterOptions> cluster = {};
  std::string node_policy = "pool";  // see parse_node_policy; goes into `cluster`
};

struct Outcome {
  Trace trace;
  Report report;
};

// The same with the trace and the policies at hand; looks neither at options.trace nor at
// the policies' names.
[[nodiscard]] Result<Report> run_policy(const Trace& trace, const RunOptions& options,
                                        PolicyChoice policy,
                                        std::function<void(double share)> progress = {});

// Errors say which option or which line of which file is wrong, and what would be right.
[[nodiscard]] Result<Outcome> run(const RunOptions& options, const PolicyTable& policies);

}  // namespace ebb::sim
