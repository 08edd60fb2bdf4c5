#include "scaling/hpa.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "scaling/hpa_replicas.h"
#include "scaling/policy.h"

namespace ebb::scaling {

namespace {

using Source = HpaMetricSpec::Source;
using Type = HpaMetricSpec::Type;

const char* failure_of(Source source) {
  switch (source) {
    case Source::kResource:
      return "FailedGetResourceMetric";
    case Source::kContainerResource:
      return "FailedGetContainerResourceMetric";
    case Source::kPods:
      return "FailedGetPodsMetric";
    case Source::kObject:
      return "FailedGetObjectMetric";
    case Source::kExternal:
      return "FailedGetExternalMetric";
  }
  return "";
}

Result<void> validate_metric(const HpaMetricSpec& metric) {
  const bool resource =
      metric.source == Source::kResource || metric.source == Source::kContainerResource;
  const bool whole = metric.source == Source::kObject || metric.source == Source::kExternal;
  if (metric.target <= 0) {
    return fail(Errc::kInvalid, "metric {}: the target must be above 0", metric.name);
  }
  if (resource && metric.name != "cpu" && metric.name != "memory") {
    return fail(Errc::kInvalid, "metric {}: a resource is cpu or memory", metric.name);
  }
  if (metric.source == Source::kContainerResource && metric.container.empty()) {
    return fail(Errc::kInvalid, "metric {}: which container?", metric.name);
  }
  if (metric.type == Type::kUtilization && !resource) {
    return fail(Errc::kInvalid, "metric {}: Utilization is for resources", metric.name);
  }
  if (metric.type == Type::kValue && !whole) {
    return fail(Errc::kInvalid, "metric {}: Value is for Object and External", metric.name);
  }
  return {};
}

Result<void> validate_rules(const char* direction, const HpaRules& rules) {
  constexpr Duration kMostPeriod = std::chrono::seconds(1800);
  constexpr Duration kMostWindow = std::chrono::seconds(3600);
  if (rules.window < Duration(0) || rules.window > kMostWindow) {
    return fail(Errc::kInvalid, "{}: stabilizationWindowSeconds must be in [0, 3600]", direction);
  }
  if (rules.rates.empty()) {
    return fail(Errc::kInvalid, "{}: at least one policy is needed", direction);
  }
  for (const auto& rate : rules.rates) {
    if (rate.value <= 0) {
      return fail(Errc::kInvalid, "{}: a policy's value must be above 0", direction);
    }
    if (rate.period <= Duration(0) || rate.period > kMostPeriod) {
      return fail(Errc::kInvalid, "{}: periodSeconds must be in [1, 1800]", direction);
    }
  }
  if (rules.tolerance && !(*rules.tolerance >= 0)) {
    return fail(Errc::kInvalid, "{}: the tolerance must be at least 0", direction);
  }
  return {};
}

}  // namespace

Result<void> validate(const HpaSpec& spec) {
  if (spec.min < 0) return fail(Errc::kInvalid, "minReplicas must be at least 0");
  if (spec.max < 1 || spec.max < spec.min) {
    return fail(Errc::kInvalid, "maxReplicas must be at least 1 and not below minReplicas");
  }
  if (spec.metrics.empty()) return fail(Errc::kInvalid, "at least one metric is needed");
  const bool sees_zero =
      std::any_of(spec.metrics.begin(), spec.metrics.end(), [](const HpaMetricSpec& metric) {
        return metric.source == Source::kObject || metric.source == Source::kExternal;
      });
  if (spec.min == 0 && !sees_zero) {
    return fail(Errc::kInvalid,
                "minReplicas 0 needs an Object or External metric: without pods nothing else "
                "has a sample");
  }
  for (const auto& metric : spec.metrics) {
    if (auto good = validate_metric(metric); !good) return good;
  }
  if (!spec.behavior) return {};
  if (auto good = validate_rules("scaleUp", spec.behavior->up); !good) return good;
  return validate_rules("scaleDown", spec.behavior->down);
}

HpaResult Hpa::decide(const HpaInput& input) {
  HpaResult result;
  result.desired = input.current;
  if (input.current == 0 && spec_.min != 0) {
    result.scaling_active = {false, "ScalingDisabled"};
    result.text = "0 replicas were set while the minimum is above: scaling is off";
    return result;
  }
  if (recommendations_.empty()) recommendations_.push_back({input.now, input.current});
  if (input.current > spec_.max || input.current < spec_.min) {
    result.valid = true;
    result.proposed = input.current;
    result.desired = std::clamp(input.current, spec_.min, spec_.max);
    result.text = fmt::format("{} replicas are {} -> {}", input.current,
                              input.current > spec_.max ? "above the maximum" : "below the minimum",
                              result.desired);
    record_change(input.now, result.desired - input.current);
    return result;
  }

  int invalid = 0;
  std::string first_error;
  for (size_t i = 0; i < spec_.metrics.size(); ++i) {
    static const HpaReading kNothing{.error = "nothing was read"};
    const HpaReading& reading = i < input.readings.size() ? input.readings[i] : kNothing;
    const auto proposal = replicas_for(spec_, spec_.metrics[i], input, reading);
    if (!proposal) {
      if (invalid++ == 0) {
        first_error = proposal.error().message;
        result.scaling_active = {false, failure_of(spec_.metrics[i].source)};
      }
    } else if (!result.valid || proposal->replicas > result.proposed) {
      result.valid = true;
      result.proposed = proposal->replicas;
      result.text = proposal->text;
    }
  }
  // A metric that nobody knows might ask for what runs.
  if (!result.valid || (invalid > 0 && result.proposed < input.current)) {
    result.valid = false;
    result.desired = input.current;
    result.text = first_error;
    return result;
  }
  result.scaling_active = {true, "ValidMetricFound"};
  normalize(input, result);
  record_change(input.now, result.desired - input.current);
  return result;
}

void Hpa::normalize(const HpaInput& input, HpaResult& result) {
  const int steady = stabilized(input, result.proposed, result);
  result.desired = limited(input, steady, result);
  if (steady != result.proposed) result.text += fmt::format(", stabilized at {}", steady);
  if (result.desired != steady) {
    result.text +=
        fmt::format(", limited to {} ({})", result.desired, result.scaling_limited.reason);
  }
}

int Hpa::stabilized(const HpaInput& input, int desired, HpaResult& result) {
  const Duration up_window = spec_.behavior ? spec_.behavior->up.window : Duration(0);
  const Duration down_window =
      spec_.behavior ? spec_.behavior->down.window : spec_.downscale_stabilization;
  int lowest = desired;   // within the window for rises
  int highest = desired;  // within the window for falls
  for (const Timed& past : recommendations_) {
    if (past.at > input.now - up_window) lowest = std::min(lowest, past.value);
    if (past.at > input.now - down_window) highest = std::max(highest, past.value);
  }
  const Duration longest = std::max(up_window, down_window);
  while (!recommendations_.empty() && recommendations_.front().at <= input.now - longest) {
    recommendations_.pop_front();
  }
  recommendations_.push_back({input.now, desired});
  result.able_to_scale = {true, "ReadyForNewScale"};
  int steady = 0;
  if (!spec_.behavior) {
    steady = highest;
    if (steady != desired) result.able_to_scale.reason = "ScaleDownStabilized";
  } else {
    steady = std::min(std::max(input.current, lowest), highest);
    if (steady != desired) {
      result.able_to_scale.reason =
          desired >= input.current ? "ScaleUpStabilized" : "ScaleDownStabilized";
    }
  }
  return steady;
}

int Hpa::limited(const HpaInput& input, int desired, HpaResult& result) const {
  int least = spec_.min;
  int most = spec_.max;
  const char* too_few = "TooFewReplicas";
  const char* too_many = "TooManyReplicas";
  if (!spec_.behavior) {
    const int rate = input.current > spec_.max / 2 ? spec_.max : std::max(2 * input.current, 4);
    if (most > rate) {
      most = rate;
      too_many = "ScaleUpLimit";
    }
  } else if (desired > input.current) {
    const int rate = rate_limit(spec_.behavior->up, input.current, input.now, 1);
    if (most > rate) {
      most = rate;
      too_many = "ScaleUpLimit";
    }
  } else if (desired < input.current) {
    const int rate = rate_limit(spec_.behavior->down, input.current, input.now, -1);
    if (least < rate) {
      least = rate;
      too_few = "ScaleDownLimit";
    }
  }
  if (desired < least) {
    result.scaling_limited = {true, too_few};
    return least;
  }
  if (desired > most) {
    result.scaling_limited = {true, too_many};
    return most;
  }
  result.scaling_limited = {false, "DesiredWithinRange"};
  return desired;
}

// As far as the rates let the replicas go in the direction of `sign`.
int Hpa::rate_limit(const HpaRules& rules, int current, TimePoint now, int sign) const {
  if (rules.select == HpaRules::Select::kDisabled) return current;
  std::optional<int> limit;
  for (const auto& rate : rules.rates) {
    const double start = current - changed_within(now, rate.period, sign);
    const double share = static_cast<double>(rate.value) / 100;
    double reach = 0;
    if (rate.unit == HpaRules::Unit::kPods) {
      reach = start + sign * static_cast<double>(rate.value);
    } else {
      reach = sign > 0 ? std::ceil(start * (1 + share)) : std::trunc(start * (1 - share));
    }
    const int pods = to_pods(reach);
    const bool farthest = (rules.select == HpaRules::Select::kMax) == (sign > 0);
    if (!limit) limit = pods;
    limit = farthest ? std::max(*limit, pods) : std::min(*limit, pods);
  }
  return sign > 0 ? std::max(current, limit.value_or(current))
                  : std::min(current, limit.value_or(current));
}

// The replicas added (sign 1) or, below zero, removed (sign -1) within the period.
int Hpa::changed_within(TimePoint now, Duration period, int sign) const {
  int sum = 0;
  for (const Timed& change : changes_) {
    if (change.at > now - period && change.value * sign > 0) sum += change.value;
  }
  return sum;
}

void Hpa::record_change(TimePoint at, int change) {
  if (change == 0 || !spec_.behavior) return;
  Duration longest{};
  for (const auto* rules : {&spec_.behavior->up, &spec_.behavior->down}) {
    for (const auto& rate : rules->rates) longest = std::max(longest, rate.period);
  }
  while (!changes_.empty() && changes_.front().at <= at - longest) changes_.pop_front();
  changes_.push_back({at, change});
}

}  // namespace ebb::scaling
