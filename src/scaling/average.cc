#include "scaling/average.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ebb::scaling {

int pods_for(double load, double per_pod) {
  constexpr double kRounding = 1e-9;  // of the quotient ...
  constexpr double kMost = 1e-6;      // ... and in pods
  if (!(load > 0) || !(per_pod > 0)) return 0;
  const double exact = load / per_pod;
  const double nearest = std::round(exact);
  const bool whole =
      nearest >= 1 && std::abs(exact - nearest) <= std::min(kRounding * nearest, kMost);
  return to_pods(whole ? nearest : std::ceil(exact));
}

Average::Average(const AverageSettings& settings) : settings_(settings), load_(settings.window) {}

void Average::observe(const Metric& metric) {
  if (settings_.outside.empty()) {
    if (is_sound(metric)) {
      load_.record(metric.at, metric.period, load_of(metric, settings_.metric));
    }
    return;
  }
  const OutsideNumber* number = outside_number(metric.outside, settings_.outside);
  if (number == nullptr) {
    error_ = "nobody asks for it";
    return;
  }
  error_ = number->error;
  if (error_.empty() && !std::isfinite(number->value)) error_ = "it is not a number";
  // Beyond that a sum of them would lose the small ones, and in the end be infinite.
  constexpr double kMost = 1e15;
  if (error_.empty() && std::abs(number->value) > kMost) error_ = "it is beyond 1e15";
  if (error_.empty()) load_.record(metric.at, metric.period, number->value);
}

Decision Average::unknown(const Situation& situation) const {
  Decision decision;
  if (!error_.empty()) decision.error = fmt::format("metric {}: {}", settings_.outside, error_);
  if (situation.explain) {
    decision.reason = error_.empty() ? "no metrics in the window: the last amount stays"
                                     : decision.error + ": the last amount stays";
  }
  if (busy(situation) && situation.ready + situation.starting < 1) {
    decision.valid = true;
    decision.desired = 1;
    if (situation.explain) decision.reason += ", raised to 1: a request is in the system";
  }
  return decision;
}

Decision Average::decide(const Situation& situation) {
  if (!error_.empty() || load_.stale(situation.now)) return unknown(situation);
  Decision decision;
  decision.valid = true;
  decision.stable = load_.mean();
  decision.panic_value = decision.stable;
  decision.desired = pods_for(decision.stable, settings_.target);
  const bool raised = decision.desired < 1 && busy(situation);
  if (situation.explain) {
    decision.reason = fmt::format("{} {:.1f} / target {:.1f} -> {}{}",
                                  settings_.outside.empty() ? "average" : settings_.outside,
                                  decision.stable, settings_.target, decision.desired,
                                  raised ? ", raised to 1: a request is in the system" : "");
  }
  if (raised) decision.desired = 1;
  return decision;
}

}  // namespace ebb::scaling
