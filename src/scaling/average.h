// The plain rule: all the load there is, divided by what one pod should carry.
//
// 100 requests in the system at a target of 10 make exactly 10 pods. No panic, no
// rates: what the rule says is what is wished. The load may be a number from outside;
// while there is none, the last amount stays. Not thread-safe.
//
//   Average policy({.target = 10});
//   policy.observe({.at = now, .concurrency = 100});
//   policy.decide({.now = now}).desired;   // 10
#pragma once

#include <string>

#include "scaling/policy.h"
#include "scaling/sample_mean.h"

namespace ebb::scaling {

// The smallest number of pods that carries `load` at `per_pod` each. Where the
// division misses a whole number by no more than its rounding error, that number is
// taken: 0.3 / 0.1 is 3 pods, and so is 1.1 / 0.1 not 12. No load: 0. A `per_pod`
// that is not above zero carries nothing: 0 too.
[[nodiscard]] int pods_for(double load, double per_pod);

struct AverageSettings {
  MetricKind metric = MetricKind::kConcurrency;
  std::string outside{};                       // the load is Metric::outside of that name
  double target = 100;                         // load of one pod, above 0
  Duration window = std::chrono::seconds(10);  // that the load is averaged over
};

class Average final : public Policy {
 public:
  explicit Average(const AverageSettings& settings);

  void observe(const Metric& metric) override;
  [[nodiscard]] Decision decide(const Situation& situation) override;

 private:
  [[nodiscard]] Decision unknown(const Situation& situation) const;

  AverageSettings settings_;
  SampleMean load_;
  std::string error_;  // why there is no number from outside
};

}  // namespace ebb::scaling
