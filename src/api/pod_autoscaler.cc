#include "api/pod_autoscaler.h"

#include <fmt/format.h>

#include <array>
#include <cctype>
#include <cmath>

#include "api/json.h"
#include "api/json_fields.h"
#include "api/policy_annotations.h"

namespace ebb::api {
namespace {

// Averages are shown with three decimals.
double rounded(double value) {
  constexpr double kDecimals = 1000;
  return std::round(value * kDecimals) / kDecimals;
}

// The settings that are fields of the spec, too. Those of other names are annotations only.
constexpr std::array<std::string_view, 29> kSettings{
    "autoscaling.knative.dev/class",
    "autoscaling.knative.dev/metric",
    "autoscaling.knative.dev/target",
    "autoscaling.knative.dev/window",
    "autoscaling.knative.dev/activation-scale",
    "autoscaling.knative.dev/min-scale",
    "autoscaling.knative.dev/max-scale",
    "autoscaling.knative.dev/initial-scale",
    "autoscaling.knative.dev/target-utilization-percentage",
    "autoscaling.knative.dev/target-burst-capacity",
    "autoscaling.knative.dev/panic-window-percentage",
    "autoscaling.knative.dev/panic-threshold-percentage",
    "autoscaling.knative.dev/scale-down-delay",
    "autoscaling.knative.dev/scale-to-zero-pod-retention-period",
    "autoscaling.knative.dev/metric-aggregation-algorithm",
    "autoscaling.knative.dev/max-scale-up-rate",
    "autoscaling.knative.dev/max-scale-down-rate",
    "autoscaling.knative.dev/container-concurrency-target-default",
    "autoscaling.knative.dev/requests-per-second-target-default",
    "ebb.dev/policy-wait",
    "ebb.dev/policy-patience",
    "ebb.dev/policy-share",
    "ebb.dev/policy-file",
    "ebb.dev/schedule",
    "ebb.dev/schedule-timezone",
    "ebb.dev/forecast",
    "ebb.dev/forecast-lead",
    "ebb.dev/keep-alive",
    "ebb.dev/service-max-scale",
};

// "ebb.dev/policy-wait" -> "policyWait"
std::string field_of(std::string_view annotation) {
  std::string out;
  bool upper = false;
  for (const char c : annotation.substr(annotation.find('/') + 1)) {
    if (c == '-') {
      upper = true;
    } else {
      out += upper ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
      upper = false;
    }
  }
  return out;
}

const Json& part_of(const Json& object, const char* key) {
  static const Json kNothing = Json::object();
  const auto found = object.find(key);
  return found != object.end() && found->is_object() ? *found : kNothing;
}

// What it is as an annotation: numbers and truth values as they are written.
std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : to_text(value);
}

void compare_spec(const Json& shown, const Json& wanted, ScalingChanges& changes,
                  std::vector<FieldError>& errors) {
  std::map<std::string, std::string> settings;
  for (const auto annotation : kSettings) settings.emplace(field_of(annotation), annotation);
  for (const auto& [field, value] : wanted.items()) {
    const auto before = shown.find(field);
    if (before != shown.end() && *before == value) continue;
    const auto setting = settings.find(field);
    if (setting != settings.end() && value.is_primitive() && !value.is_null()) {
      changes[setting->second] = text_of(value);
    } else if (setting != settings.end() && value.is_null()) {
      changes[setting->second] = std::nullopt;
    } else if (setting != settings.end()) {
      errors.push_back({"spec." + field, "Invalid value: must be a text or a number"});
    } else if (before != shown.end()) {
      errors.push_back({"spec." + field, "Forbidden: it follows from the revision"});
    } else {
      errors.push_back({"spec." + field, "Forbidden: unknown field"});
    }
  }
  // A part of a spec leaves the rest as it is.
  if (!wanted.contains("scaleTargetRef")) return;
  for (const auto& [field, value] : shown.items()) {
    const auto setting = settings.find(field);
    if (setting != settings.end() && !wanted.contains(field)) {
      changes[setting->second] = std::nullopt;
    }
  }
}

}  // namespace

const std::vector<std::string>& scaling_fields() {
  static const std::vector<std::string> kFields = [] {
    std::vector<std::string> out;
    out.reserve(kSettings.size());
    for (const auto annotation : kSettings) out.push_back(field_of(annotation));
    return out;
  }();
  return kFields;
}

ScalingChanges scaling_changes(const Json& shown, const Json& wanted,
                               std::vector<FieldError>& errors) {
  ScalingChanges changes;
  const Json& before = part_of(part_of(shown, "metadata"), "annotations");
  const Json& after = part_of(part_of(wanted, "metadata"), "annotations");
  for (const auto& [key, value] : after.items()) {
    if (!is_scaling_annotation(key)) continue;
    const auto had = before.find(key);
    if (had == before.end() || *had != value) changes[key] = text_of(value);
  }
  for (const auto& [key, value] : before.items()) {
    if (is_scaling_annotation(key) && !after.contains(key)) changes[key] = std::nullopt;
  }
  compare_spec(part_of(shown, "spec"), part_of(wanted, "spec"), changes, errors);
  return changes;
}

std::map<std::string, std::string> with_changes(const Json& object, const ScalingChanges& changes) {
  std::map<std::string, std::string> out;
  for (const auto& [key, value] : part_of(part_of(object, "metadata"), "annotations").items()) {
    if (value.is_string()) out.emplace(key, value.get<std::string>());
  }
  for (const auto& [key, value] : changes) {
    if (value) {
      out[key] = *value;
    } else {
      out.erase(key);
    }
  }
  return out;
}

const Kind& PodAutoscaler::kind() {
  static const Kind kKind{"autoscaling.internal.knative.dev",
                          "v1alpha1",
                          "PodAutoscaler",
                          "podautoscalers",
                          "podautoscaler",
                          {"kpa", "pa"}};
  return kKind;
}

Json PodAutoscaler::to_json() const {
  Json json = Json::object();
  json["apiVersion"] = kind().api_version();
  json["kind"] = kind().kind;
  json["metadata"] = write_meta(meta);
  Json& target = json["spec"]["scaleTargetRef"];
  target["apiVersion"] = "serving.knative.dev/v1";
  target["kind"] = "Revision";
  target["name"] = meta.name;
  json["spec"]["containerConcurrency"] = container_concurrency;
  json["spec"]["reachability"] = reachable ? "Reachable" : "Unreachable";
  for (const auto annotation : kSettings) {
    const std::string_view value = meta.annotation(annotation);
    if (!value.empty()) json["spec"][field_of(annotation)] = value;
  }
  Json& to = json["status"];
  to["desiredScale"] = status.desired_scale;
  to["actualScale"] = status.actual_scale;
  to["starting"] = status.starting;
  to["inFlight"] = status.in_flight;
  to["waiting"] = status.waiting;
  to["concurrency"] = rounded(status.concurrency);
  to["requestsPerSecond"] = rounded(status.requests_per_second);
  to["panic"] = status.panic;
  write(to, "class", status.scaling_class);
  to["reason"] = status.reason;
  to["startSeconds"] = rounded(status.start_seconds);
  write(to, "error", status.error);
  write(to, "decidedAt", status.decided_at);
  write(to, "conditions", write_conditions(status.conditions));
  return json;
}

}  // namespace ebb::api
