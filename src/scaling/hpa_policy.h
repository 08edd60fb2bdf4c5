// A HorizontalPodAutoscaler (scaling/hpa.h) as a Policy: what pods use comes in through
// Metric::pods, and with a zero window it may go to zero.
//
// By itself the algorithm cannot reach zero: without pods no resource has a sample.
// Here the last request decides that: `zero_after` after it the last pod (the last `min`)
// may go, while the way down to it is the algorithm's; and while a request is in the system
// the wish is at least 1, whatever the metrics say. External
// metrics named "concurrency" and "rps" read the revision's own load; Object and External
// metrics of other names are Metric::outside, and while one of them is above zero or not
// known, the wish is not 0 for want of requests. Decides every Hpa::kDecidePeriod, or at
// the next call while nothing could be decided, and repeats itself in between. Not
// thread-safe.
//
//   HpaPolicy policy({.spec = {.max = 10}, .cpu_request = 1000}, now);
//   policy.observe({.at = now, .pods = {{.pod = 1, .cpu_millis = 950}}});
//   policy.decide({.now = now, .ready = 1}).desired;   // 2
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "scaling/hpa.h"
#include "scaling/policy.h"
#include "scaling/sample_mean.h"

namespace ebb::scaling {

struct HpaPolicySettings {
  HpaSpec spec{};              // taken as valid
  int64_t cpu_request = 0;     // of one pod, thousandths of a core; 0: none
  int64_t memory_request = 0;  // of one pod, bytes; 0: none
  std::optional<Duration> zero_after = std::chrono::seconds(300);  // unset: never to zero
};

// One decision with what it was made from.
struct HpaSeen {
  HpaInput input;
  HpaResult result;
};

// Whether the metric is a number from outside.
[[nodiscard]] bool is_outside(const HpaMetricSpec& metric);

class HpaPolicy final : public Policy {
 public:
  HpaPolicy(HpaPolicySettings settings, TimePoint now);

  void observe(const Metric& metric) override;
  [[nodiscard]] Decision decide(const Situation& situation) override;

  // The last decision of the algorithm; null: there was none since the last time at zero.
  // Shared: with who shows it, on another thread.
  [[nodiscard]] const std::shared_ptr<const HpaSeen>& seen() const { return seen_; }

 private:
  [[nodiscard]] HpaInput input_of(const Situation& situation) const;
  [[nodiscard]] HpaReading reading_of(const HpaMetricSpec& metric, TimePoint now) const;
  // Of the first metric from outside that has none.
  [[nodiscard]] std::string outside_error(const HpaInput& input) const;

  HpaPolicySettings settings_;
  Hpa hpa_;
  std::vector<PodUsage> pods_;  // as measured last
  TimePoint pods_at_{};
  std::vector<OutsideNumber> outside_;
  std::shared_ptr<const HpaSeen> seen_;
  SampleMean concurrency_;
  SampleMean requests_;
  TimePoint last_active_;
  TimePoint next_{};
  Decision last_;
  int known_ = 0;  // the last wish that was valid, since the last time at zero
};

}  // namespace ebb::scaling
