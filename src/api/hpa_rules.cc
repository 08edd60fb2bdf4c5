// Defaults and validation of HorizontalPodAutoscalers.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <initializer_list>

#include "api/hpa.h"
#include "api/quantity.h"
#include "api/validate.h"

namespace ebb::api {
namespace {

using Errors = std::vector<FieldError>;

constexpr int64_t kDefaultMinReplicas = 1;
constexpr int64_t kDefaultUtilization = 80;
constexpr int64_t kMaxStabilizationSeconds = 3600;
constexpr int64_t kMaxPeriodSeconds = 1800;
constexpr int64_t kMaxReplicas = 1'000'000;
constexpr size_t kMaxMetrics = 32;
constexpr size_t kMaxPolicies = 32;
constexpr std::string_view kTargetVersion = "serving.knative.dev/v1";

using Names = std::initializer_list<std::string_view>;

void required(Errors& errors, std::string path, std::string_view why) {
  errors.push_back({std::move(path), fmt::format("Required value: {}", why)});
}

void forbidden(Errors& errors, std::string path, std::string_view why) {
  errors.push_back({std::move(path), fmt::format("Forbidden: {}", why)});
}

void invalid(Errors& errors, std::string path, std::string_view value, std::string_view why) {
  errors.push_back({std::move(path), fmt::format("Invalid value: \"{}\": {}", value, why)});
}

void invalid(Errors& errors, std::string path, int64_t value, std::string_view why) {
  errors.push_back({std::move(path), fmt::format("Invalid value: {}: {}", value, why)});
}

void check_supported(Errors& errors, std::string path, std::string_view value, Names supported) {
  if (std::find(supported.begin(), supported.end(), value) != supported.end()) return;
  std::string all;
  for (const auto one : supported) {
    all += fmt::format("{}\"{}\"", all.empty() ? "" : ", ", one);
  }
  errors.push_back({std::move(path),
                    fmt::format("Unsupported value: \"{}\": supported values: {}", value, all)});
}

void check_target_reference(Errors& errors, const ObjectReference& target) {
  const std::string path = "spec.scaleTargetRef";
  if (target.kind.empty()) {
    required(errors, path + ".kind", "Service, Configuration or Revision");
  } else {
    check_supported(errors, path + ".kind", target.kind, {"Service", "Configuration", "Revision"});
  }
  // Else "Service" would be that of the core group, which cannot be scaled.
  if (target.api_version != kTargetVersion) {
    invalid(errors, path + ".apiVersion", target.api_version,
            fmt::format("must be \"{}\"", kTargetVersion));
  }
  if (target.name.empty()) {
    required(errors, path + ".name", "name is required");
  } else if (!is_dns1035_label(target.name)) {
    invalid(errors, path + ".name", target.name, "is not the name of an object");
  }
  refuse_unknown_fields(errors, path, target.extra);
}

// "" is not set, which others check.
void check_positive(Errors& errors, const std::string& path, const std::string& quantity) {
  if (quantity.empty()) return;
  const auto value = parse_thousandths(quantity);
  if (!value) {
    invalid(errors, path, quantity, value.error().message);
  } else if (*value == 0) {
    invalid(errors, path, quantity, "must be positive");
  }
}

void check_target(Errors& errors, const std::string& path, const MetricTarget& target) {
  if (target.type.empty()) {
    required(errors, path + ".type", "must specify a metric target type");
  } else if (target.type != "Utilization" && target.type != "Value" &&
             target.type != "AverageValue") {
    invalid(errors, path + ".type", target.type,
            "must be either Utilization, Value, or AverageValue");
  }
  check_positive(errors, path + ".value", target.value);
  check_positive(errors, path + ".averageValue", target.average_value);
  if (target.average_utilization && *target.average_utilization < 1) {
    invalid(errors, path + ".averageUtilization", *target.average_utilization,
            "must be greater than 0");
  }
  refuse_unknown_fields(errors, path, target.extra);
}

void check_resource(Errors& errors, const std::string& path, const MetricSource& source,
                    bool of_container) {
  if (source.name.empty()) {
    required(errors, path + ".name", "must specify a resource name");
  } else {
    check_supported(errors, path + ".name", source.name, {"cpu", "memory"});
  }
  if (of_container && source.container.empty()) {
    required(errors, path + ".container", "must specify a container");
  }
  const MetricTarget& target = source.target;
  check_target(errors, path + ".target", target);
  if (target.average_utilization && !target.average_value.empty()) {
    forbidden(errors, path + ".target.averageValue",
              "may not set both a target raw value and a target utilization");
  }
  if (!target.average_utilization && target.average_value.empty()) {
    required(errors, path + ".target.averageUtilization",
             "must set either a target raw value or a target utilization");
  }
}

void check_metric_name(Errors& errors, const std::string& path, const MetricSource& source) {
  if (source.name.empty()) {
    required(errors, path + ".metric.name", "must specify a metric name");
  }
  refuse_unknown_fields(errors, path + ".metric", source.metric_extra);
  check_target(errors, path + ".target", source.target);
}

void check_pods(Errors& errors, const std::string& path, const MetricSource& source) {
  check_metric_name(errors, path, source);
  if (source.target.average_value.empty()) {
    required(errors, path + ".target.averageValue", "must specify a positive target averageValue");
  }
}

// Object and External: one of both amounts.
void check_value(Errors& errors, const std::string& path, const MetricSource& source,
                 std::string_view both, std::string_view none) {
  check_metric_name(errors, path, source);
  const MetricTarget& target = source.target;
  if (!target.value.empty() && !target.average_value.empty()) {
    forbidden(errors, path + ".target.value", both);
  }
  if (target.value.empty() && target.average_value.empty()) {
    required(errors, path + ".target.averageValue", none);
  }
}

void check_object(Errors& errors, const std::string& path, const MetricSource& source) {
  if (!source.described_object || source.described_object->kind.empty()) {
    required(errors, path + ".describedObject.kind", "must specify the kind of the object");
  }
  if (!source.described_object || source.described_object->name.empty()) {
    required(errors, path + ".describedObject.name", "must specify the name of the object");
  }
  check_value(errors, path, source, "may not set both a target value and averageValue",
              "must set either a target value or averageValue");
}

struct Section {
  const char* type;
  const char* key;
  const std::optional<MetricSource>& source;
};

void check_metric(Errors& errors, const std::string& path, const MetricSpec& metric) {
  const std::array<Section, 5> sections{
      {{"Object", "object", metric.object},
       {"Pods", "pods", metric.pods},
       {"Resource", "resource", metric.resource},
       {"External", "external", metric.external},
       {"ContainerResource", "containerResource", metric.container_resource}}};
  if (metric.type.empty()) {
    required(errors, path + ".type", "must specify a metric source type");
  } else {
    check_supported(errors, path + ".type", metric.type,
                    {"Object", "Pods", "Resource", "External", "ContainerResource"});
  }
  for (const Section& section : sections) {
    const std::string at = path + "." + section.key;
    const bool expected = metric.type == section.type;
    if (expected && !section.source) {
      required(errors, at, "must populate information for the given metric source");
    }
    if (!expected && section.source && !metric.type.empty()) {
      forbidden(errors, at, "must populate the given metric source only");
    }
    if (section.source) refuse_unknown_fields(errors, at, section.source->extra);
  }
  refuse_unknown_fields(errors, path, metric.extra);
  const MetricSource* source = metric.source();
  if (source == nullptr) return;
  if (metric.type == "Resource") check_resource(errors, path + ".resource", *source, false);
  if (metric.type == "ContainerResource") {
    check_resource(errors, path + ".containerResource", *source, true);
  }
  if (metric.type == "Pods") check_pods(errors, path + ".pods", *source);
  if (metric.type == "Object") check_object(errors, path + ".object", *source);
  if (metric.type == "External") {
    check_value(errors, path + ".external", *source,
                "may not set both a target value for metric and a per-pod target",
                "must set either a target value for metric or a per-pod target");
  }
}

void check_policy(Errors& errors, const std::string& path, const ScalingPolicy& policy) {
  check_supported(errors, path + ".type", policy.type, {"Pods", "Percent"});
  if (policy.value <= 0 || policy.value > kMaxReplicas) {
    invalid(errors, path + ".value", policy.value,
            policy.value <= 0 ? "must be greater than zero" : "must be at most 1000000");
  }
  if (policy.period_seconds <= 0) {
    invalid(errors, path + ".periodSeconds", policy.period_seconds, "must be greater than zero");
  } else if (policy.period_seconds > kMaxPeriodSeconds) {
    invalid(errors, path + ".periodSeconds", policy.period_seconds,
            fmt::format("must be less than or equal to {}", kMaxPeriodSeconds));
  }
  refuse_unknown_fields(errors, path, policy.extra);
}

void check_rules(Errors& errors, const std::string& path, const ScalingRules& rules) {
  if (const auto window = rules.stabilization_window_seconds) {
    if (*window < 0) {
      invalid(errors, path + ".stabilizationWindowSeconds", *window,
              "must be greater than or equal to zero");
    } else if (*window > kMaxStabilizationSeconds) {
      invalid(errors, path + ".stabilizationWindowSeconds", *window,
              fmt::format("must be less than or equal to {}", kMaxStabilizationSeconds));
    }
  }
  if (!rules.select_policy.empty()) {
    check_supported(errors, path + ".selectPolicy", rules.select_policy,
                    {"Disabled", "Max", "Min"});
  }
  if (!rules.tolerance.empty()) {
    if (const auto value = parse_thousandths(rules.tolerance); !value) {
      invalid(errors, path + ".tolerance", rules.tolerance, value.error().message);
    }
  }
  if (rules.policies) {
    if (rules.policies->empty()) {
      required(errors, path + ".policies", "must specify at least one Policy");
    }
    if (rules.policies->size() > kMaxPolicies) {
      errors.push_back({path + ".policies", fmt::format("Too many: {}: must have at most {} items",
                                                        rules.policies->size(), kMaxPolicies)});
    }
    for (size_t i = 0; i < rules.policies->size(); ++i) {
      check_policy(errors, fmt::format("{}.policies[{}]", path, i), (*rules.policies)[i]);
    }
  }
  refuse_unknown_fields(errors, path, rules.extra);
}

void check_replicas(Errors& errors, const HorizontalPodAutoscaler::Spec& spec) {
  const int64_t least = spec.min_replicas.value_or(kDefaultMinReplicas);
  if (least < 0) {
    invalid(errors, "spec.minReplicas", least, "must be greater than or equal to 0");
  }
  if (spec.max_replicas < 1) {
    invalid(errors, "spec.maxReplicas", spec.max_replicas, "must be greater than 0");
  } else if (spec.max_replicas < least) {
    invalid(errors, "spec.maxReplicas", spec.max_replicas,
            "must be greater than or equal to `minReplicas`");
  } else if (spec.max_replicas > kMaxReplicas) {
    invalid(errors, "spec.maxReplicas", spec.max_replicas, "must be at most 1000000");
  }
  const bool from_zero =
      std::any_of(spec.metrics.begin(), spec.metrics.end(), [](const MetricSpec& metric) {
        return metric.type == "Object" || metric.type == "External";
      });
  if (least == 0 && !from_zero) {
    forbidden(errors, "spec.metrics",
              "must specify at least one Object or External metric to support scaling to zero "
              "replicas");
  }
}

}  // namespace

void apply_defaults(HorizontalPodAutoscaler& hpa) {
  auto& spec = hpa.spec;
  if (!spec.min_replicas) spec.min_replicas = kDefaultMinReplicas;
  if (!spec.metrics.empty()) return;
  MetricSpec& metric = spec.metrics.emplace_back();
  metric.type = "Resource";
  MetricSource& cpu = metric.resource.emplace();
  cpu.name = "cpu";
  cpu.target.type = "Utilization";
  cpu.target.average_utilization = kDefaultUtilization;
}

std::vector<FieldError> validate(const HorizontalPodAutoscaler& hpa) {
  Errors errors;
  const auto& spec = hpa.spec;
  check_object_meta(errors, hpa.meta);
  check_target_reference(errors, spec.scale_target);
  check_replicas(errors, spec);
  if (spec.metrics.size() > kMaxMetrics) {
    errors.push_back({"spec.metrics", fmt::format("Too many: {}: must have at most {} items",
                                                  spec.metrics.size(), kMaxMetrics)});
  }
  for (size_t i = 0; i < spec.metrics.size(); ++i) {
    check_metric(errors, fmt::format("spec.metrics[{}]", i), spec.metrics[i]);
  }
  if (spec.behavior) {
    if (spec.behavior->scale_up) {
      check_rules(errors, "spec.behavior.scaleUp", *spec.behavior->scale_up);
    }
    if (spec.behavior->scale_down) {
      check_rules(errors, "spec.behavior.scaleDown", *spec.behavior->scale_down);
    }
    refuse_unknown_fields(errors, "spec.behavior", spec.behavior->extra);
  }
  refuse_unknown_fields(errors, "spec", spec.extra);
  refuse_unknown_fields(errors, "", hpa.extra);
  return errors;
}

std::vector<FieldError> validate_update(const HorizontalPodAutoscaler& /*before*/,
                                        const HorizontalPodAutoscaler& /*after*/) {
  return {};
}

}  // namespace ebb::api
