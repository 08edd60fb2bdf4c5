#include "api/hpa.h"

#include <array>

#include "api/json_fields.h"

namespace ebb::api {
namespace {

void read_reference(FieldReader& f, ObjectReference& to) {
  f.read("apiVersion", to.api_version);
  f.read("kind", to.kind);
  f.read("name", to.name);
  to.extra = f.rest();
}

Json write_reference(const ObjectReference& from) {
  Json json = object_with(from.extra);
  write(json, "apiVersion", from.api_version);
  write(json, "kind", from.kind);
  write(json, "name", from.name);
  return json;
}

// An object if it is there at all.
template <class T, class Convert>
void read_optional(FieldReader& f, const char* key, std::optional<T>& to, Convert convert) {
  f.read_object(
      key, to, [&](FieldReader& fields, std::optional<T>& out) { convert(fields, out.emplace()); });
}

void read_target(FieldReader& f, MetricTarget& to) {
  f.read("type", to.type);
  f.read("averageUtilization", to.average_utilization);
  f.read_quantity("averageValue", to.average_value);
  f.read_quantity("value", to.value);
  to.extra = f.rest();
}

Json write_target(const MetricTarget& from) {
  Json json = object_with(from.extra);
  write(json, "type", from.type);
  write(json, "averageUtilization", from.average_utilization);
  write(json, "averageValue", from.average_value);
  write(json, "value", from.value);
  return json;
}

// Resources are named in the section itself, other metrics in a section of their own.
struct SourceShape {
  const char* key;
  const char* type;
  std::optional<MetricSource> MetricSpec::* member;
  bool has_metric;
};
constexpr std::array<SourceShape, 5> kSources{{
    {"resource", "Resource", &MetricSpec::resource, false},
    {"containerResource", "ContainerResource", &MetricSpec::container_resource, false},
    {"pods", "Pods", &MetricSpec::pods, true},
    {"object", "Object", &MetricSpec::object, true},
    {"external", "External", &MetricSpec::external, true},
}};

void read_source(FieldReader& f, const SourceShape& shape, const char* amounts, MetricSource& to) {
  if (shape.has_metric) {
    f.read_object("metric", to, [](FieldReader& metric, MetricSource& out) {
      metric.read("name", out.name);
      metric.read_text("selector", out.selector);
      out.metric_extra = metric.rest();
    });
  } else {
    f.read("name", to.name);
  }
  if (shape.member == &MetricSpec::container_resource) f.read("container", to.container);
  if (shape.member == &MetricSpec::object) {
    read_optional(f, "describedObject", to.described_object, read_reference);
  }
  f.read_object(amounts, to.target, read_target);
  to.extra = f.rest();
}

Json write_source(const SourceShape& shape, const char* amounts, const MetricSource& from) {
  Json json = object_with(from.extra);
  if (shape.has_metric) {
    Json& metric = json["metric"] = object_with(from.metric_extra);
    write(metric, "name", from.name);
    if (!from.selector.empty()) metric["selector"] = object_with(from.selector);
  } else {
    write(json, "name", from.name);
  }
  write(json, "container", from.container);
  if (from.described_object) json["describedObject"] = write_reference(*from.described_object);
  json[amounts] = write_target(from.target);
  return json;
}

// `amounts`: "target" in a spec, "current" in a status.
void read_metrics(FieldReader& f, const char* key, const char* amounts,
                  std::vector<MetricSpec>& to) {
  f.read_array(key, to, [amounts](FieldReader& m, MetricSpec& metric) {
    m.read("type", metric.type);
    for (const SourceShape& shape : kSources) {
      read_optional(m, shape.key, metric.*shape.member,
                    [&](FieldReader& fields, MetricSource& source) {
                      read_source(fields, shape, amounts, source);
                    });
    }
    metric.extra = m.rest();
  });
}

void write_metrics(Json& to, const char* key, const char* amounts,
                   const std::vector<MetricSpec>& metrics) {
  for (const auto& metric : metrics) {
    Json one = object_with(metric.extra);
    write(one, "type", metric.type);
    for (const SourceShape& shape : kSources) {
      const auto& source = metric.*shape.member;
      if (source) one[shape.key] = write_source(shape, amounts, *source);
    }
    to[key].push_back(std::move(one));
  }
}

void read_rules(FieldReader& f, ScalingRules& to) {
  f.read("stabilizationWindowSeconds", to.stabilization_window_seconds);
  f.read("selectPolicy", to.select_policy);
  std::vector<ScalingPolicy> policies;
  const bool given = f.read_array("policies", policies, [](FieldReader& p, ScalingPolicy& policy) {
    p.read("type", policy.type);
    p.read("value", policy.value);
    p.read("periodSeconds", policy.period_seconds);
    policy.extra = p.rest();
  });
  if (given) to.policies = std::move(policies);
  f.read_quantity("tolerance", to.tolerance);
  to.extra = f.rest();
}

Json write_rules(const ScalingRules& from) {
  Json json = object_with(from.extra);
  write(json, "stabilizationWindowSeconds", from.stabilization_window_seconds);
  write(json, "selectPolicy", from.select_policy);
  write(json, "tolerance", from.tolerance);
  if (!from.policies) return json;
  Json& policies = json["policies"] = Json::array();
  for (const auto& policy : *from.policies) {
    Json one = object_with(policy.extra);
    write(one, "type", policy.type);
    one["value"] = policy.value;
    one["periodSeconds"] = policy.period_seconds;
    policies.push_back(std::move(one));
  }
  return json;
}

void read_behavior(FieldReader& f, ScalingBehavior& to) {
  read_optional(f, "scaleUp", to.scale_up, read_rules);
  read_optional(f, "scaleDown", to.scale_down, read_rules);
  to.extra = f.rest();
}

Json write_behavior(const ScalingBehavior& from) {
  Json json = object_with(from.extra);
  if (from.scale_up) json["scaleUp"] = write_rules(*from.scale_up);
  if (from.scale_down) json["scaleDown"] = write_rules(*from.scale_down);
  return json;
}

void read_spec(FieldReader& f, HorizontalPodAutoscaler::Spec& to) {
  f.read_object("scaleTargetRef", to.scale_target, read_reference);
  f.read("minReplicas", to.min_replicas);
  f.read("maxReplicas", to.max_replicas);
  read_metrics(f, "metrics", "target", to.metrics);
  read_optional(f, "behavior", to.behavior, read_behavior);
  to.extra = f.rest();
}

Json write_spec(const HorizontalPodAutoscaler::Spec& from) {
  Json json = object_with(from.extra);
  json["scaleTargetRef"] = write_reference(from.scale_target);
  write(json, "minReplicas", from.min_replicas);
  json["maxReplicas"] = from.max_replicas;
  write_metrics(json, "metrics", "target", from.metrics);
  if (from.behavior) json["behavior"] = write_behavior(*from.behavior);
  return json;
}

void read_status(FieldReader& f, HorizontalPodAutoscaler::Status& to) {
  f.read("observedGeneration", to.observed_generation);
  f.read("lastScaleTime", to.last_scale_time);
  f.read("currentReplicas", to.current_replicas);
  f.read("desiredReplicas", to.desired_replicas);
  read_metrics(f, "currentMetrics", "current", to.current_metrics);
  f.read_array("conditions", to.conditions, read_condition);
  to.extra = f.rest();
}

Json write_status(const HorizontalPodAutoscaler::Status& from) {
  // Kubernetes always tells both numbers; nothing at all before the first look.
  if (from == HorizontalPodAutoscaler::Status()) return Json::object();
  Json json = object_with(from.extra);
  if (from.observed_generation != 0) json["observedGeneration"] = from.observed_generation;
  write(json, "lastScaleTime", from.last_scale_time);
  json["currentReplicas"] = from.current_replicas;
  json["desiredReplicas"] = from.desired_replicas;
  write_metrics(json, "currentMetrics", "current", from.current_metrics);
  write(json, "conditions", write_conditions(from.conditions));
  return json;
}

}  // namespace

const MetricSource* MetricSpec::source() const {
  for (const SourceShape& shape : kSources) {
    if (type != shape.type) continue;
    const auto& found = this->*shape.member;
    return found ? &*found : nullptr;
  }
  return nullptr;
}

const Kind& HorizontalPodAutoscaler::kind() {
  static const Kind kKind{"autoscaling",
                          "v2",
                          "HorizontalPodAutoscaler",
                          "horizontalpodautoscalers",
                          "horizontalpodautoscaler",
                          {"hpa"}};
  return kKind;
}

Result<HorizontalPodAutoscaler> HorizontalPodAutoscaler::from_json(const Json& json) {
  std::vector<FieldError> errors;
  HorizontalPodAutoscaler out;
  FieldReader f(json, "", errors);
  read_type(f, kind(), errors);
  f.read_object("metadata", out.meta, read_meta);
  f.read_object("spec", out.spec, read_spec);
  f.read_object("status", out.status, read_status);
  out.extra = f.rest();
  if (!errors.empty()) return fail(to_error(errors));
  return out;
}

Json HorizontalPodAutoscaler::to_json() const {
  Json json = object_with(extra);
  json["apiVersion"] = kind().api_version();
  json["kind"] = kind().kind;
  json["metadata"] = write_meta(meta);
  json["spec"] = write_spec(spec);
  write(json, "status", write_status(status));
  return json;
}

}  // namespace ebb::api
