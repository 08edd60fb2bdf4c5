// Replays a trace on one machine whose memory is short: each call takes an idle instance
// of its function or starts one, for which idle ones of others may have to go. Compares
// rules of eviction (scaling/greedy_dual.h) by the execution time that cold starts add.
//
// The model is that of Fuerst and Sharma ("FaasCache", ASPLOS 2021): a warm call takes
// the function's mean, a cold one its maximum; a call that finds no room although
// nothing idle is left is dropped.
//
//   const auto result = run_memory(trace, {.memory_mb = 60 * 1024});
//   result.added_share();      // 0.147
#pragma once

#include <cstdint>

#include "scaling/greedy_dual.h"
#include "sim/arrivals.h"
#include "sim/trace.h"

namespace ebb::sim {

struct MemoryOptions {
  double memory_mb = 0;
  scaling::EvictionRule rule = scaling::EvictionRule::kGreedyDual;
  Duration keep{};  // an idle instance goes after that time anyway; 0: never
  // Priorities are set at the end of an execution instead of its start, with the clock of
  // that moment: not the paper's way, and better with long executions.
  bool rank_when_idle = false;
  ArrivalOptions arrivals{.service = Service::kMean};  // only the times are used
};

struct MemoryResult {
  uint64_t calls = 0;
  uint64_t cold = 0;
  uint64_t dropped = 0;
  uint64_t evictions = 0;
  double warm_seconds = 0;   // what the calls that were served would have taken warm
  double added_seconds = 0;  // on top of that, by cold starts
  double peak_mb = 0;

  [[nodiscard]] double added_share() const {
    return warm_seconds > 0 ? added_seconds / warm_seconds : 0;
  }
};

[[nodiscard]] MemoryResult run_memory(const Trace& trace, const MemoryOptions& options);

}  // namespace ebb::sim
