// The discrete-event simulator: replays a trace through policies, pods and nodes, request
// by request. Everything that decides is production's code (scaling/, scheduling/); what
// is modelled here is what requests and pods do with time.
//
// A function's requests take slots in its pods as with production's Throttler: the first
// pod with room, starting ones included unless starts are slow and another pod is ready, else a
// queue, oldest first. Once a second each
// function where something happens is sampled, every 2 s its policy decides; from zero
// and in a crowd pods start at once. Deterministic: the same options give the same report.
//
//   EngineOptions options{.policy = *PolicyTable().make("kpa", {}, 1), .concurrency = 1};
//   options.start.typical = std::chrono::milliseconds(300);
//   const Report report = run_engine(trace, options);
#pragma once

#include <functional>
#include <optional>

#include "sim/arrivals.h"
#include "sim/cluster.h"
#include "sim/policy_choice.h"
#include "sim/report.h"
#include "sim/start_time.h"
#include "sim/trace.h"

namespace ebb::sim {

struct EngineOptions {
  PolicyChoice policy = {};
  ArrivalOptions arrivals = {};
  int concurrency = 1;  // requests in a pod at a time; 0: no limit
  StartTime start = {};
  std::optional<ClusterOptions> cluster = {};  // nullopt: room for every pod, at once
  // The date of the trace's beginning, for schedules: a Monday.
  WallTime begin{std::chrono::hours(24 * 4)};
  // After the end of the trace, for what waits to get its turn. While something still waits
  // then, all that is in the system counts as unfinished.
  Duration drain = std::chrono::hours(1);
  // false: IdlePromise is not made use of. The report is the same but for `decisions`,
  // `samples` and `events`.
  bool skip_idle = true;
  std::function<void(double share)> progress = {};  // told now and then, if it is set
};

[[nodiscard]] Report run_engine(const Trace& trace, const EngineOptions& options);

}  // namespace ebb::sim
