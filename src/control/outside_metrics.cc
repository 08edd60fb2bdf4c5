#include "control/outside_metrics.h"

#include <algorithm>
#include <utility>

namespace ebb::control {

OutsideSource OutsideMetrics::source(const std::string& name, const std::string& declaration) {
  const auto found = known_.find(declaration);
  std::shared_ptr<OutsideMetric> metric = found == known_.end() ? nullptr : found->second.lock();
  if (!metric) {
    auto spec = parse_outside_metric(declaration);
    if (!spec) return {name, [error = spec.error()]() -> Result<double> { return fail(error); }};
    spec->interval = interval_;
    std::erase_if(known_, [](const auto& one) { return one.second.expired(); });
    if (known_.size() >= kMost) {
      return {name, []() -> Result<double> {
                return fail(Errc::kExhausted, "{} others are asked for already", kMost);
              }};
    }
    // Shared: by all sources of this declaration.
    metric = std::make_shared<OutsideMetric>(executor_, std::move(*spec));
    metric->start();
    known_[declaration] = metric;
  }
  return {name, [metric, &executor = executor_]() -> Result<double> {
            const auto value = metric->value(executor.now());
            if (!value) return fail(value.error());
            return value->value;
          }};
}

size_t OutsideMetrics::asked() const {
  return static_cast<size_t>(std::count_if(known_.begin(), known_.end(),
                                           [](const auto& one) { return !one.second.expired(); }));
}

}  // namespace ebb::control
