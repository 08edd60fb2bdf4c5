// How long an instance stays loaded after it has ended an execution, and when it is
// loaded again ahead of the next one. For schedulers that start an instance on demand
// and keep it, instead of averaging load over a window.
//
// One object per function (or per application): it is told how long each idle time was
// and plans the next. `FixedKeepAlive` is what most platforms do; `HybridHistogram`
// learns from the idle times (Shahrad et al., "Serverless in the Wild", USENIX ATC
// 2020, section 4.2). Pure; not thread-safe.
//
//   HybridHistogram policy({.range = std::chrono::hours(4)});
//   policy.idle_ended(std::chrono::minutes(30));      // before each execution but the first
//   IdlePlan plan = policy.plan();                    // after each execution
//   if (plan.loaded_at(std::chrono::minutes(29))) ... // warm if called then
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "base/clock.h"

namespace ebb::scaling {

// Longer than any idle time, and short enough to be added to a time.
inline constexpr Duration kNeverUnload = std::chrono::hours(24 * 365 * 50);

// Times from the end of an execution. Loaded until `unload_after`, and again from
// `prewarm_at` until `keep_until`; no gap if prewarm_at <= unload_after.
struct IdlePlan {
  Duration unload_after{};
  Duration prewarm_at{};
  Duration keep_until{};

  [[nodiscard]] constexpr bool has_gap() const { return prewarm_at > unload_after; }
  // Whether a request that comes so long after the last execution finds it loaded.
  // Both ends of a span count as loaded.
  [[nodiscard]] constexpr bool loaded_at(Duration idle) const {
    if (!has_gap()) return idle <= keep_until;
    return idle <= unload_after || (idle >= prewarm_at && idle <= keep_until);
  }
  // For how long it was loaded and idle when the next request comes after `idle`.
  [[nodiscard]] constexpr Duration loaded_time(Duration idle) const {
    const Duration end = idle < keep_until ? idle : keep_until;
    if (!has_gap()) return end;
    if (idle <= unload_after) return idle;
    return unload_after + (end > prewarm_at ? end - prewarm_at : Duration(0));
  }
  friend bool operator==(const IdlePlan&, const IdlePlan&) = default;
};

class KeepAlive {
 public:
  virtual ~KeepAlive() = default;
  // The time between an execution's end and the next request; 0 if they overlapped.
  virtual void idle_ended(Duration idle) = 0;
  [[nodiscard]] virtual IdlePlan plan() const = 0;
};

// The same time for every function.
class FixedKeepAlive final : public KeepAlive {
 public:
  explicit FixedKeepAlive(Duration keep) : keep_(keep) {}
  void idle_ended(Duration /*idle*/) override {}
  [[nodiscard]] IdlePlan plan() const override {
    return {.unload_after = keep_, .prewarm_at = Duration(0), .keep_until = keep_};
  }

 private:
  Duration keep_;
};

struct HybridSettings {
  Duration range = std::chrono::hours(4);  // of the histogram, in bins of a minute
  Duration fallback = Duration(0);         // kept while no pattern is known; 0: range
  uint32_t min_samples = 10;               // the paper names no number
  double min_variation = 2;                // of the bin counts (standard deviation / mean)
  double head = 0.05;                      // the share of idle times that may be missed
  double tail = 0.99;                      // by loading late, covered by keeping long
  double margin = 0.1;                     // earlier than the head, later than the tail
  double forecast_margin = 0.15;           // around a forecast idle time
  double max_out_of_range = 0.5;           // share of idle times that asks for a forecast
};

// Few idle times known, or spread over all bins alike: the fallback. A clear shape:
// unloaded at once, loaded again before the head of the distribution, kept until after
// its tail. Mostly longer than the range: a forecast of the next one from the last few
// (first-order autoregression, where the paper takes ARIMA).
//
// At most 4 bytes per bin up to the longest idle time seen; plan() is O(1).
class HybridHistogram final : public KeepAlive {
 public:
  explicit HybridHistogram(const HybridSettings& settings = {});
  void idle_ended(Duration idle) override;
  [[nodiscard]] IdlePlan plan() const override;

 private:
  // The bin up to which a share of the samples lies, kept up to date with each one.
  struct Percentile {
    uint32_t bin = 0;
    uint64_t below = 0;  // samples in bins before it
  };
  void move(Percentile& percentile, double share, uint32_t added);
  [[nodiscard]] bool has_shape() const;
  [[nodiscard]] double forecast_minutes() const;

  HybridSettings settings_;
  uint32_t range_;  // bins
  std::vector<uint32_t> bins_;
  uint64_t in_range_ = 0;
  uint64_t out_of_range_ = 0;
  double squares_ = 0;  // of the bin counts, summed
  Percentile head_;
  Percentile tail_;
  std::vector<float> recent_;  // idle minutes, oldest first; only once one was out of range
};

}  // namespace ebb::scaling
