#include "scaling/policy.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace ebb::scaling {

double sane(double value) {
  constexpr double kMost = 1e9;
  return std::abs(value) <= kMost ? value : 0;  // false for what is not a number
}

bool is_sound(const Metric& metric) {
  for (const double value :
       {metric.concurrency, metric.proxied_concurrency, metric.requests, metric.proxied_requests,
        metric.queued, metric.ended, metric.service_seconds}) {
    if (!std::isfinite(value)) return false;
  }
  return true;
}

double load_of(const Metric& metric, MetricKind kind) {
  return sane(kind == MetricKind::kConcurrency ? metric.concurrency - metric.proxied_concurrency
                                               : metric.requests - metric.proxied_requests);
}

const OutsideNumber* outside_number(std::span<const OutsideNumber> told, std::string_view name) {
  const auto found =
      std::find_if(told.begin(), told.end(), [name](const auto& one) { return one.name == name; });
  return found == told.end() ? nullptr : &*found;
}

int to_pods(double pods) {
  constexpr double kMost = std::numeric_limits<int>::max();
  if (std::isnan(pods)) return 0;
  return static_cast<int>(std::clamp(pods, -kMost, kMost));
}

int amount(const Decision& decision, const Bounds& bounds, bool reachable) {
  int pods = std::max(decision.desired, reachable ? bounds.min : 0);
  if (bounds.max > 0) pods = std::min(pods, bounds.max);
  return std::max(pods, 0);
}

}  // namespace ebb::scaling
