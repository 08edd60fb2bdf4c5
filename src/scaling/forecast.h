// A policy that raises the floor ahead of load that comes back: by the hour, by the day.
//
// It keeps the largest load of each step (a minute) and asks three models what comes:
// Holt-Winters over an hour, over a day and an hour, and harmonics of the last day. The
// one whose one-step error was smallest is believed, and only where what it says stands
// out of that error and is half a pod at least; never more than was ever seen. It only raises
// (Combine::Role::kRaises): a wrong forecast costs memory, never latency. Its
// models remember a day of minutes. Not thread-safe.
//
//   Forecast policy({.target = 10, .lead = start_time_p99 + tick});
//   policy.observe(metric);
//   policy.decide({.now = now}).desired;   // pods that will be needed within `lead`
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "scaling/harmonic.h"
#include "scaling/holt_winters.h"
#include "scaling/policy.h"

namespace ebb::scaling {

struct ForecastSettings {
  MetricKind metric = MetricKind::kConcurrency;
  double target = 100;                       // load of one pod, above 0
  Duration lead = std::chrono::seconds(60);  // how far ahead pods are to be there
  Duration step = std::chrono::seconds(60);  // of the models; above 0
  int hour = 60;                             // the short season, in steps
  int day = 1440;                            // the long one
  double deviations = 1;                     // of the error that are added on top
  int waves = 8;
};

class Forecast final : public Policy {
 public:
  explicit Forecast(const ForecastSettings& settings);

  void observe(const Metric& metric) override;
  // Valid with 0 while nothing stands out; invalid while nothing is known.
  [[nodiscard]] Decision decide(const Situation& situation) override;

 private:
  struct Guess {
    const char* model = "";
    double load = 0;
    double sigma = 0;
  };
  void close_step(double load);
  void score(double load);
  [[nodiscard]] std::optional<Guess> guess(int ahead) const;

  ForecastSettings settings_;
  HoltWinters hourly_;
  HoltWinters daily_;
  Harmonic harmonic_;
  int64_t harmonic_begin_ = -1;  // the step at which its history begins; -1: none yet
  double harmonic_error_ = 0;    // squared, smoothed
  std::vector<double> history_;  // a ring of one day
  int64_t steps_ = 0;            // closed
  double most_ = 0;              // ever seen
  std::optional<TimePoint> step_begin_;
  TimePoint bucket_{};  // the second that sums up in load_
  double load_ = 0;
  double peak_ = 0;  // of the open step
};

}  // namespace ebb::scaling
