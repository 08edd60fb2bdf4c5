// Several policies on one trace, side by side: what `ebb simulate` does. Every policy gets
// the same arrivals, durations and machines. Blocking; thread-safe.
//
//   CompareOptions options{.run = {.trace = {.path = "400_inv.csv"}}};
//   options.policies = {"kpa", "adaptive,window=30s", "fixed:10m"};
//   auto comparison = compare(options, PolicyTable());
//   fmt::print("{}", to_table(*comparison));
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
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
  SkippedRows skipped;
  double length_s = 0;            // of what was replayed of it
  std::optional<WallTime> begin;  // its date, as it tells or was said
  std::string start;
  int concurrency = 1;
  int slots = 0;  // of a node; 0: room for every pod
  int min_nodes = 0;
  int max_nodes = 0;
  int pool = 0;  // cold pods that a node keeps
  Duration pod_create{};
  Duration node_boot{};
  Spread spread = Spread::kEquidistant;
  bool per_minute = false;  // the trace has numbers per minute: the spread matters
  bool by_chance = false;   // something is drawn: the seed matters
  // What the trace does not tell, so that it is this for every function.
  std::optional<float> assumed_ms;
  std::optional<float> assumed_mb;
  std::string node_policy;      // as it was named
  std::vector<Report> reports;  // at least one, in the order of the policies, named as they were
};

// All policies and options are checked before anything runs.
[[nodiscard]] Result<Comparison> compare(const CompareOptions& options,
                                         const PolicyTable& policies);

// For people, with the terms explained.
[[nodiscard]] std::string to_table(const Comparison& comparison);
// Without what differs from run to run, such as times of the simulation itself.
[[nodiscard]] std::string to_json(const Comparison& comparison);

// Of these renderings and of sim/page.h.

// What was replayed on what, and what was left out of it; a sentence each.
[[nodiscard]] std::vector<std::string> summary(const Comparison& comparison);
// What went wrong with a policy; while something did, its other figures flatter it: calls
// that never ended are in no wait and no slowdown.
[[nodiscard]] std::vector<std::string> problems(const Report& report);
[[nodiscard]] bool comparable(const Report& report);  // it has no problems
// Those of all policies, with their names.
[[nodiscard]] std::vector<std::string> remarks(const Comparison& comparison);
[[nodiscard]] double held_gb_h(const Report& report);
[[nodiscard]] std::string amount_text(double value);  // "0.084", "12.3", "1,234"
[[nodiscard]] std::string grouped(uint64_t number);   // "259,251"
[[nodiscard]] std::string time_text(double seconds);  // "12.5ms"

}  // namespace ebb::sim
