#include "api/hpa_schema.h"

namespace ebb::api {
namespace {

using T = SchemaField::Type;

const Schema& reference() {
  static const Schema kSchema{"CrossVersionObjectReference",
                              "An object by its kind and name.",
                              {{"apiVersion", T::kString, "Group and version of its kind."},
                               {"kind", T::kString, "Its kind."},
                               {"name", T::kString, "Its name."}}};
  return kSchema;
}

const Schema& identifier() {
  static const Schema kSchema{"MetricIdentifier",
                              "A metric by its name.",
                              {{"name", T::kString, "Its name."},
                               {"selector", T::kAny, "Labels that choose among its series."}}};
  return kSchema;
}

// Quantities may be numbers too, so they are kAny.
std::vector<SchemaField> amounts() {
  return {{"averageUtilization", T::kInteger, "Percent of what the pods request."},
          {"averageValue", T::kAny, "A quantity for each pod."},
          {"value", T::kAny, "A quantity for all pods together."}};
}

const Schema& target() {
  static const Schema kSchema = [] {
    Schema schema{"MetricTarget", "The amount that is aimed at.", amounts()};
    schema.fields.push_back({"type", T::kString, "Utilization, AverageValue or Value."});
    return schema;
  }();
  return kSchema;
}

const Schema& current() {
  static const Schema kSchema{"MetricValueStatus", "The amount as it was measured.", amounts()};
  return kSchema;
}

const SchemaField kMetric{"metric", T::kObject, "Which metric.", &identifier()};
const SchemaField kDescribed{"describedObject", T::kObject, "What it is about.", &reference()};

// The section of one type of metric; `amount` is "target" or "current".
Schema source(std::string_view name, std::vector<SchemaField> fields, bool status) {
  fields.push_back(status ? SchemaField{"current", T::kObject, "Measured.", &current()}
                          : SchemaField{"target", T::kObject, "Aimed at.", &target()});
  return {name, "Where a metric comes from.", std::move(fields)};
}

std::vector<SchemaField> resource_fields(bool container) {
  std::vector<SchemaField> fields{{"name", T::kString, "cpu or memory."}};
  if (container) fields.push_back({"container", T::kString, "Of which container."});
  return fields;
}

struct Sections {
  Schema resource;
  Schema container;
  Schema pods;
  Schema object;
  Schema external;
};

Schema metric(std::string_view name, const Sections& sections) {
  return {name,
          "One metric.",
          {{"type", T::kString, "Resource, ContainerResource, Pods, Object or External."},
           {"resource", T::kObject, "What pods use, of their request.", &sections.resource},
           {"containerResource", T::kObject, "The same of one container.", &sections.container},
           {"pods", T::kObject, "A metric that each pod has.", &sections.pods},
           {"object", T::kObject, "A metric of another object.", &sections.object},
           {"external", T::kObject, "A metric from elsewhere.", &sections.external}}};
}

const Schema& metric_spec() {
  static const Sections kSections{
      source("ResourceMetricSource", resource_fields(false), false),
      source("ContainerResourceMetricSource", resource_fields(true), false),
      source("PodsMetricSource", {kMetric}, false),
      source("ObjectMetricSource", {kMetric, kDescribed}, false),
      source("ExternalMetricSource", {kMetric}, false)};
  static const Schema kSchema = metric("MetricSpec", kSections);
  return kSchema;
}

const Schema& metric_status() {
  static const Sections kSections{
      source("ResourceMetricStatus", resource_fields(false), true),
      source("ContainerResourceMetricStatus", resource_fields(true), true),
      source("PodsMetricStatus", {kMetric}, true),
      source("ObjectMetricStatus", {kMetric, kDescribed}, true),
      source("ExternalMetricStatus", {kMetric}, true)};
  static const Schema kSchema = metric("MetricStatus", kSections);
  return kSchema;
}

const Schema& rules() {
  static const Schema kPolicy{"HPAScalingPolicy",
                              "How much may change in a time.",
                              {{"type", T::kString, "Pods or Percent."},
                               {"value", T::kInteger, "How many, above 0."},
                               {"periodSeconds", T::kInteger, "The time: 1 to 1800."}}};
  static const Schema kSchema{
      "HPAScalingRules",
      "How the number of pods may change in one direction.",
      {{"stabilizationWindowSeconds", T::kInteger,
        "The most cautious wish of so long counts: 0 to 3600; up 0, down 300 if not said."},
       {"selectPolicy", T::kString, "Which policy counts: Max, Min or Disabled."},
       {"policies", T::kObjects, "At least one, if given.", &kPolicy},
       {"tolerance", T::kAny, "A quantity: no change within it; 0.1 if not said."}}};
  return kSchema;
}

const Schema& behavior() {
  static const Schema kSchema{"HorizontalPodAutoscalerBehavior",
                              "How fast the number of pods may change.",
                              {{"scaleUp", T::kObject, "Towards more.", &rules()},
                               {"scaleDown", T::kObject, "Towards fewer.", &rules()}}};
  return kSchema;
}

const Schema& condition() {
  static const Schema kSchema{
      "HorizontalPodAutoscalerCondition",
      "One aspect of its state.",
      {{"type", T::kString, "AbleToScale, ScalingActive or ScalingLimited."},
       {"status", T::kString, "\"True\", \"False\" or \"Unknown\"."},
       {"reason", T::kString, "One word."},
       {"message", T::kString, "For a person."},
       {"lastTransitionTime", T::kString, "When the status changed last."}}};
  return kSchema;
}

}  // namespace

const Schema& hpa_spec_schema() {
  static const Schema kSchema{
      "HorizontalPodAutoscalerSpec",
      "Whom to scale, by what, and within which bounds.",
      {{"scaleTargetRef", T::kObject,
        "A Service, Configuration or Revision of serving.knative.dev/v1.", &reference()},
       {"minReplicas", T::kInteger, "1 if not said; 0 needs an Object or External metric."},
       {"maxReplicas", T::kInteger, "Not below minReplicas."},
       {"metrics", T::kObjects,
        "The one that wants most pods counts; CPU at 80 % of the request if there is none.",
        &metric_spec()},
       {"behavior", T::kObject, "How fast it may change.", &behavior()}}};
  return kSchema;
}

const Schema& hpa_status_schema() {
  static const Schema kSchema{
      "HorizontalPodAutoscalerStatus",
      "What was measured and decided last.",
      {{"observedGeneration", T::kInteger, "The generation of the spec that this is about."},
       {"lastScaleTime", T::kString, "When the number of pods was changed last."},
       {"currentReplicas", T::kInteger, "Pods that there are."},
       {"desiredReplicas", T::kInteger, "Pods that are wanted."},
       {"currentMetrics", T::kObjects, "As measured last.", &metric_status()},
       {"conditions", T::kObjects, "What is the case.", &condition()}}};
  return kSchema;
}

}  // namespace ebb::api
