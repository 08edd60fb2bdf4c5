#include "control/hpa_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "api/policy_annotations.h"
#include "api/quantity.h"
#include "control/policy_plan.h"

namespace ebb::control {
namespace {

using Source = scaling::HpaMetricSpec::Source;
using Type = scaling::HpaMetricSpec::Type;
using Rules = scaling::HpaRules;

constexpr int64_t kThousandths = 1000;
constexpr int64_t kPercent = 100;

Source source_of(const std::string& type) {
  if (type == "ContainerResource") return Source::kContainerResource;
  if (type == "Pods") return Source::kPods;
  if (type == "Object") return Source::kObject;
  if (type == "External") return Source::kExternal;
  return Source::kResource;
}

// As Kubernetes' controller: by the amount that is set, whatever the target's type says.
Result<scaling::HpaMetricSpec> to_metric(const api::MetricSpec& metric) {
  const api::MetricSource* source = metric.source();
  if (source == nullptr) return fail(Errc::kInvalid, "a metric without its section");
  scaling::HpaMetricSpec out;
  out.source = source_of(metric.type);
  out.name = source->name;
  out.container = source->container;
  const api::MetricTarget& target = source->target;
  if (target.average_utilization) {
    out.type = Type::kUtilization;
    out.target = *target.average_utilization;
    return out;
  }
  const bool whole = !target.value.empty();
  out.type = whole ? Type::kValue : Type::kAverageValue;
  const auto amount = api::parse_thousandths(whole ? target.value : target.average_value);
  if (!amount) return fail(amount.error());
  out.target = *amount;
  return out;
}

Result<void> apply_rules(const api::ScalingRules& from, Rules& to) {
  if (from.stabilization_window_seconds) {
    to.window = std::chrono::seconds(*from.stabilization_window_seconds);
  }
  if (from.select_policy == "Min") to.select = Rules::Select::kMin;
  if (from.select_policy == "Disabled") to.select = Rules::Select::kDisabled;
  if (!from.tolerance.empty()) {
    const auto tolerance = api::parse_thousandths(from.tolerance);
    if (!tolerance) return fail(tolerance.error());
    to.tolerance = static_cast<double>(*tolerance) / kThousandths;
  }
  if (!from.policies) return {};
  to.rates.clear();
  for (const auto& policy : *from.policies) {
    to.rates.push_back({.unit = policy.type == "Pods" ? Rules::Unit::kPods : Rules::Unit::kPercent,
                        .value = static_cast<int>(policy.value),
                        .period = std::chrono::seconds(policy.period_seconds)});
  }
  return {};
}

// "1500m" or "2": what clients read as a quantity.
std::string quantity(int64_t thousandths) {
  return thousandths % kThousandths == 0 ? std::to_string(thousandths / kThousandths)
                                         : fmt::format("{}m", thousandths);
}

int64_t request_of(const scaling::HpaPod& pod, const std::string& resource,
                   const std::string& container) {
  int64_t sum = 0;
  for (const auto& one : pod.containers) {
    if (!container.empty() && one.name != container) continue;
    sum += resource == "cpu" ? one.cpu_request : one.memory_request;
  }
  return sum;
}

// What a metric read, in the shape of its section.
std::optional<api::MetricSpec> to_current(const api::MetricSpec& spec,
                                          const scaling::HpaReading& reading,
                                          const scaling::HpaInput& input) {
  const api::MetricSource* source = spec.source();
  if (source == nullptr || !reading.error.empty()) return std::nullopt;
  const bool whole = spec.type == "Object" || spec.type == "External";
  if (!whole && reading.samples.empty()) return std::nullopt;
  api::MetricSource current;
  current.name = source->name;
  current.container = source->container;
  current.selector = source->selector;
  current.described_object = source->described_object;
  if (whole) {
    const bool each = source->target.value.empty();
    const int64_t pods = std::max(1, input.current);
    (each ? current.target.average_value : current.target.value) =
        quantity(each ? reading.total / pods : reading.total);
  } else {
    int64_t used = 0;
    int64_t requested = 0;
    for (const auto& sample : reading.samples) {
      used += sample.value;
      if (sample.pod < input.pods.size()) {
        requested += request_of(input.pods[sample.pod], source->name, source->container);
      }
    }
    current.target.average_value = quantity(used / static_cast<int64_t>(reading.samples.size()));
    if (source->target.average_utilization && requested > 0) {
      current.target.average_utilization = static_cast<int64_t>(
          static_cast<double>(used) * kPercent / static_cast<double>(requested));
    }
  }
  api::MetricSpec out;
  out.type = spec.type;
  auto& section = spec.type == "Resource"            ? out.resource
                  : spec.type == "ContainerResource" ? out.container_resource
                  : spec.type == "Pods"              ? out.pods
                  : spec.type == "Object"            ? out.object
                                                     : out.external;
  section = std::move(current);
  return out;
}

const char* message_of(std::string_view reason) {
  struct Message {
    std::string_view reason;
    const char* text;
  };
  static constexpr std::array<Message, 9> kMessages{{
      {"SucceededGetScale", "the number of pods is known"},
      {"ReadyForNewScale", "no earlier recommendation holds the number of pods"},
      {"ScaleDownStabilized", "a higher recommendation of the last minutes still holds"},
      {"ScaleUpStabilized", "a lower recommendation of the last minutes still holds"},
      {"DesiredWithinRange", "the metrics ask for a number within the bounds"},
      {"TooFewReplicas", "the metrics ask for fewer pods than the minimum"},
      {"TooManyReplicas", "the metrics ask for more pods than the maximum"},
      {"ScaleUpLimit", "the metrics ask for more pods than may be added at a time"},
      {"ScaleDownLimit", "the metrics ask for fewer pods than may be left at a time"},
  }};
  for (const auto& message : kMessages) {
    if (message.reason == reason) return message.text;
  }
  return "";
}

void set(std::vector<api::Condition>& conditions, const char* type,
         const scaling::HpaCondition& condition, const std::string& message, WallTime now) {
  if (condition.reason.empty()) return;  // nothing was said of it
  api::set_condition(
      conditions,
      {.type = type,
       .status = condition.status ? api::Condition::Status::kTrue : api::Condition::Status::kFalse,
       .reason = condition.reason,
       .message = message,
       .last_transition_time = {}},
      now);
}

}  // namespace

Result<scaling::HpaSpec> to_hpa_spec(const api::HorizontalPodAutoscaler& hpa) {
  scaling::HpaSpec spec;
  spec.min = static_cast<int>(hpa.spec.min_replicas.value_or(1));
  spec.max = static_cast<int>(hpa.spec.max_replicas);
  if (!hpa.spec.metrics.empty()) spec.metrics.clear();
  for (const auto& metric : hpa.spec.metrics) {
    auto one = to_metric(metric);
    if (!one) return fail(one.error());
    spec.metrics.push_back(std::move(*one));
  }
  if (const auto& behavior = hpa.spec.behavior) {
    auto& rules = spec.behavior.emplace();
    if (behavior->scale_up) {
      if (auto done = apply_rules(*behavior->scale_up, rules.up); !done) return fail(done.error());
    }
    if (behavior->scale_down) {
      if (auto done = apply_rules(*behavior->scale_down, rules.down); !done) {
        return fail(done.error());
      }
    }
  }
  if (auto valid = scaling::validate(spec); !valid) return fail(valid.error());
  return spec;
}

void check_hpa(const api::HorizontalPodAutoscaler& hpa, std::vector<api::FieldError>& errors) {
  const std::string path = "metadata.annotations";
  check_outside(api::parse_outside_metrics(hpa.meta.annotations, path, errors), path, errors);
}

bool scales(const api::HorizontalPodAutoscaler& hpa, const scheduling::PodTemplate& revision) {
  const api::ObjectReference& target = hpa.spec.scale_target;
  if (hpa.meta.ns != revision.ns || target.name.empty()) return false;
  if (target.kind == "Revision") return target.name == revision.name;
  if (target.kind == "Configuration") return target.name == revision.configuration;
  return target.kind == "Service" && target.name == revision.service;
}

api::HorizontalPodAutoscaler::Status to_status(const api::HorizontalPodAutoscaler& hpa,
                                               const scaling::HpaInput& input,
                                               const scaling::HpaResult& decided, WallTime now) {
  auto status = hpa.status;
  status.current_metrics.clear();
  // Readers go by the position, so one that is not known keeps its place.
  const size_t metrics = std::min(hpa.spec.metrics.size(), input.readings.size());
  for (size_t i = 0; i < metrics; ++i) {
    auto current = to_current(hpa.spec.metrics[i], input.readings[i], input);
    api::MetricSpec unknown;
    unknown.type = hpa.spec.metrics[i].type;
    status.current_metrics.push_back(current ? std::move(*current) : std::move(unknown));
  }
  auto able = decided.able_to_scale;
  if (able.reason.empty()) able.reason = "SucceededGetScale";
  set(status.conditions, "AbleToScale", able, message_of(able.reason), now);
  set(status.conditions, "ScalingActive", decided.scaling_active, decided.text, now);
  const auto& limited = decided.scaling_limited;
  set(status.conditions, "ScalingLimited", limited, message_of(limited.reason), now);
  return status;
}

}  // namespace ebb::control
