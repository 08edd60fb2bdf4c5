// Replays a trace where each function has its own instances and memory is no limit: how
// often is a call cold, and what does keeping instances cost? The question that
// keep-alive policies answer, at the speed of a loop: functions do not meet, so each is
// replayed by itself, without a queue of events.
//
//   KeepAliveOptions options;
//   options.policy = [](const Function&) { return std::make_unique<FixedKeepAlive>(10min); };
//   const KeepAliveResult result = run_keep_alive(trace, options);
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "scaling/keep_alive.h"
#include "sim/arrivals.h"
#include "sim/trace.h"

namespace ebb::sim {

// One policy object per function.
using KeepAliveMaker = std::function<std::unique_ptr<scaling::KeepAlive>(const Function&)>;

struct KeepAliveOptions {
  KeepAliveMaker policy = {};
  ArrivalOptions arrivals = {};
  // An instance takes any number of calls at once, so a function has one at most. Else
  // one call at a time, and as many instances as calls overlap.
  bool one_instance = false;
  Duration cold_start{};  // by which a cold call keeps its instance longer
};

struct KeepAliveResult {
  uint64_t calls = 0;
  uint64_t cold = 0;      // calls that no loaded instance was free for
  uint64_t prewarms = 0;  // instances that were loaded ahead, by plan
  // Of instances that were loaded and had no call, until the end of the trace.
  double idle_seconds = 0;
  double idle_mb_seconds = 0;
  double busy_mb_seconds = 0;
  // The share of cold calls of each function that was called, ascending.
  std::vector<float> cold_shares;

  [[nodiscard]] double cold_share() const {
    return calls == 0 ? 0 : static_cast<double>(cold) / static_cast<double>(calls);
  }
  // The cold share that a share p of the functions does not exceed.
  [[nodiscard]] double cold_share_at(double p) const;
};

[[nodiscard]] KeepAliveResult run_keep_alive(const Trace& trace, const KeepAliveOptions& options);

}  // namespace ebb::sim
