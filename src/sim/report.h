// What a simulation found. A value, with its rendering for people and for programs.
//
//   fmt::print("{}", to_text(report));
//   write_file(path, to_json(report, trace, {.functions = true}));
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/histogram.h"
#include "sim/timeline.h"
#include "sim/trace.h"

namespace ebb::sim {

// Waits below this count as none.
inline constexpr double kLeastWait = 1e-6;  // s
// Executions shorter than this count as this long in slowdowns.
inline constexpr double kLeastService = 1e-3;  // s

struct FunctionReport {
  uint32_t calls = 0;
  uint32_t cold = 0;         // given to a pod that was still starting
  uint32_t pods = 0;         // started for it
  float held_s = 0;          // pod-seconds from being handed out to the end
  float busy_s = 0;          // of those with at least one request inside
  SmallHistogram waits;      // buckets of LogBuckets(kLeastWait), s
  SmallHistogram slowdowns;  // buckets of LogBuckets(1, 1)

  [[nodiscard]] double wait(double p) const;
  [[nodiscard]] double slowdown(double p) const;
};

struct Report {
  std::string policy;
  uint64_t seed = 0;
  size_t functions = 0;  // in the trace
  size_t functions_called = 0;
  double simulated_s = 0;  // until the last request ended

  uint64_t calls = 0;  // arrivals
  uint64_t completed = 0;
  uint64_t unfinished = 0;  // still in the system at the end of the simulation
  uint64_t cold = 0;
  Histogram waits{kLeastWait};  // s from arrival to the start of the execution
  Histogram cold_waits{kLeastWait};
  Histogram slowdowns{1, 1};        // (wait + service) / service
  double slowdown_geomean_p99 = 1;  // over functions

  uint64_t pods_started = 0;
  int peak_pods = 0;
  double mean_starts_per_s = 0;
  double peak_starts_per_s = 0;  // in the busiest second
  double held_mb_s = 0;          // memory of pods from being handed out to the end
  double busy_mb_s = 0;          // the part with a request inside
  double cold_pod_s = 0;         // of pods in pools
  double node_s = 0;
  uint64_t nodes_started = 0;
  int peak_nodes = 0;

  uint64_t policy_errors = 0;  // decisions that a policy of the user's failed to make
  std::string first_policy_error;

  uint64_t decisions = 0;  // how often a policy was asked
  uint64_t samples = 0;    // how often it was told
  uint64_t events = 0;
  double wall_s = 0;  // CPU time of the simulation, on one core

  std::vector<FunctionReport> by_function;
  std::vector<TimelineBin> timeline;

  [[nodiscard]] double cold_share() const {
    return calls == 0 ? 0 : static_cast<double>(cold) / static_cast<double>(calls);
  }
  // Memory held over memory busy: 1 is perfect.
  [[nodiscard]] double normalized_memory() const {
    return busy_mb_s > 0 ? held_mb_s / busy_mb_s : 0;
  }
  // The share of the memory held that no request used.
  [[nodiscard]] double waste() const { return held_mb_s > 0 ? 1 - busy_mb_s / held_mb_s : 0; }
  [[nodiscard]] double calls_per_s() const {
    return wall_s > 0 ? static_cast<double>(calls) / wall_s : 0;
  }
};

[[nodiscard]] std::string to_text(const Report& report);

struct JsonOptions {
  bool functions = false;  // one entry for each that was called
  bool timing = true;      // wall_s and what follows from it, which differ from run to run
};
// One object, with a line break at its end.
[[nodiscard]] std::string to_json(const Report& report, const Trace& trace,
                                  const JsonOptions& options = {});

}  // namespace ebb::sim
