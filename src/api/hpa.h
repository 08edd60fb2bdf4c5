// The HorizontalPodAutoscaler of autoscaling/v2: which revisions are scaled by what
// their pods use, or by metrics of other origin. Its algorithm is scaling/hpa.h.
//
// from_json and to_json work as those of types.h: what has no member is kept in `extra`.
// Quantities ("500m", "100Mi") stay texts. Plain values.
//
//   auto hpa = api::HorizontalPodAutoscaler::from_json(json);
//   api::apply_defaults(*hpa);
//   auto errors = api::validate(*hpa);
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/object.h"

namespace ebb::api {

// An object by its kind and name.
struct ObjectReference {
  std::string api_version;
  std::string kind;
  std::string name;
  std::string extra;
  friend bool operator==(const ObjectReference&, const ObjectReference&) = default;
};

struct MetricTarget {
  std::string type;                            // "Utilization", "AverageValue", "Value"
  std::optional<int64_t> average_utilization;  // percent of the request
  std::string average_value;                   // quantity, per pod; here and below empty: not set
  std::string value;                           // quantity, in all
  std::string extra;
  friend bool operator==(const MetricTarget&, const MetricTarget&) = default;
};

// The section of a metric that goes by its type.
struct MetricSource {
  std::string name;       // of the resource, or of the metric
  std::string container;  // ContainerResource
  std::string selector;   // of the metric: a label selector, as the text of a JSON object
  std::optional<ObjectReference> described_object;  // Object
  MetricTarget target;
  std::string metric_extra;  // of "metric"
  std::string extra;
  friend bool operator==(const MetricSource&, const MetricSource&) = default;
};

struct MetricSpec {
  std::string type;  // "Resource", "ContainerResource", "Pods", "Object", "External"
  // Validated: exactly the one that `type` names.
  std::optional<MetricSource> resource;
  std::optional<MetricSource> container_resource;
  std::optional<MetricSource> pods;
  std::optional<MetricSource> object;
  std::optional<MetricSource> external;
  std::string extra;

  // That of `type`; nullptr if it is not there.
  [[nodiscard]] const MetricSource* source() const;
  friend bool operator==(const MetricSpec&, const MetricSpec&) = default;
};

struct ScalingPolicy {
  std::string type;  // "Pods", "Percent"
  int64_t value = 0;
  int64_t period_seconds = 0;
  std::string extra;
  friend bool operator==(const ScalingPolicy&, const ScalingPolicy&) = default;
};

// One direction of `behavior`. What is not set is as Kubernetes has it.
struct ScalingRules {
  std::optional<int64_t> stabilization_window_seconds;
  std::string select_policy;  // "Max", "Min", "Disabled"
  std::optional<std::vector<ScalingPolicy>> policies;
  std::string tolerance;  // quantity
  std::string extra;
  friend bool operator==(const ScalingRules&, const ScalingRules&) = default;
};

struct ScalingBehavior {
  std::optional<ScalingRules> scale_up;
  std::optional<ScalingRules> scale_down;
  std::string extra;
  friend bool operator==(const ScalingBehavior&, const ScalingBehavior&) = default;
};

struct HorizontalPodAutoscaler {
  struct Spec {
    ObjectReference scale_target;  // "scaleTargetRef"
    std::optional<int64_t> min_replicas;
    int64_t max_replicas = 0;
    std::vector<MetricSpec> metrics;
    std::optional<ScalingBehavior> behavior;
    std::string extra;
    friend bool operator==(const Spec&, const Spec&) = default;
  };
  struct Status {
    int64_t observed_generation = 0;
    std::string last_scale_time;  // RFC 3339
    int64_t current_replicas = 0;
    int64_t desired_replicas = 0;
    std::vector<MetricSpec> current_metrics;  // "current" in place of "target"
    std::vector<Condition> conditions;
    std::string extra;
    friend bool operator==(const Status&, const Status&) = default;
  };
  ObjectMeta meta;
  Spec spec;
  Status status;
  std::string extra;

  static const Kind& kind();
  static Result<HorizontalPodAutoscaler> from_json(const Json& json);
  [[nodiscard]] Json to_json() const;
  friend bool operator==(const HorizontalPodAutoscaler&, const HorizontalPodAutoscaler&) = default;
};

// One replica at least; CPU at 80 % of the request if there is no metric. What `behavior`
// leaves out is not filled in.
void apply_defaults(HorizontalPodAutoscaler& hpa);

// In the words of Kubernetes (pkg/apis/autoscaling/validation). Targets are Services,
// Configurations and Revisions of serving.knative.dev/v1; a minimum of 0 needs an Object
// or External metric.
[[nodiscard]] std::vector<FieldError> validate(const HorizontalPodAutoscaler& hpa);
// Everything may change.
[[nodiscard]] std::vector<FieldError> validate_update(const HorizontalPodAutoscaler& before,
                                                      const HorizontalPodAutoscaler& after);

// Columns of `kubectl get hpa`, of any JSON: "Service/hello", and
// "cpu: 12%/80%, memory: <unknown>/100Mi + 1 more...".
[[nodiscard]] std::string reference_text(const Json& hpa);
[[nodiscard]] std::string targets_text(const Json& hpa);

}  // namespace ebb::api
