#include "api/hpa.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/json.h"
#include "api/kinds.h"
#include "api/schema.h"

namespace ebb::api {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Every field there is.
constexpr const char* kFull = R"({
  "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
  "metadata": {"name": "hello", "namespace": "default"},
  "spec": {
    "scaleTargetRef": {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "hello"},
    "minReplicas": 2, "maxReplicas": 10,
    "metrics": [
      {"type": "Resource", "resource": {"name": "cpu",
         "target": {"type": "Utilization", "averageUtilization": 50}}},
      {"type": "ContainerResource", "containerResource": {"name": "memory",
         "container": "user-container", "target": {"type": "AverageValue", "averageValue": "100Mi"}}},
      {"type": "Pods", "pods": {"metric": {"name": "packets"},
         "target": {"type": "AverageValue", "averageValue": "1k"}}},
      {"type": "Object", "object": {"metric": {"name": "depth"},
         "describedObject": {"apiVersion": "v1", "kind": "Queue", "name": "jobs"},
         "target": {"type": "Value", "value": "2k"}}},
      {"type": "External", "external": {"metric": {"name": "rps",
         "selector": {"matchLabels": {"a": "b"}}},
         "target": {"type": "AverageValue", "averageValue": "30"}}}],
    "behavior": {
      "scaleUp": {"stabilizationWindowSeconds": 0, "selectPolicy": "Min", "tolerance": "0.05",
        "policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]},
      "scaleDown": {"selectPolicy": "Disabled"}}},
  "status": {
    "observedGeneration": 1, "lastScaleTime": "2026-01-01T00:00:00Z",
    "currentReplicas": 3, "desiredReplicas": 4,
    "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu",
      "current": {"averageUtilization": 61, "averageValue": "61m"}}}],
    "conditions": [{"type": "AbleToScale", "status": "True", "reason": "ReadyForNewScale"}]}})";

// A valid one; `spec` is merged over it.
HorizontalPodAutoscaler hpa_with(const std::string& spec) {
  Json json = *parse_json(R"({"metadata": {"name": "hello", "namespace": "default"}, "spec": {
      "scaleTargetRef": {"apiVersion": "serving.knative.dev/v1", "kind": "Service",
                         "name": "hello"}, "maxReplicas": 4}})");
  json["spec"].merge_patch(*parse_json(spec));
  auto hpa = HorizontalPodAutoscaler::from_json(json);
  EXPECT_TRUE(hpa) << hpa.error().message;
  apply_defaults(*hpa);
  return *hpa;
}

std::vector<std::string> errors_of(const std::string& spec) {
  std::vector<std::string> out;
  for (const auto& error : validate(hpa_with(spec))) {
    out.push_back(error.path + ": " + error.message);
  }
  return out;
}

std::string metric(const std::string& text) { return R"({"metrics": [)" + text + "]}"; }

TEST(Hpa, EveryFieldSurvivesAndIsKnown) {
  Json json = *parse_json(kFull);
  const auto hpa = HorizontalPodAutoscaler::from_json(json);
  ASSERT_TRUE(hpa) << hpa.error().message;
  EXPECT_EQ(hpa->to_json(), json);
  EXPECT_EQ(hpa->spec.metrics[4].source()->selector, R"({"matchLabels":{"a":"b"}})");
  EXPECT_EQ(hpa->spec.extra, "");
  EXPECT_EQ(hpa->spec.metrics[3].object->extra, "");
  EXPECT_THAT(validate(*hpa), IsEmpty());
  EXPECT_THAT(remove_unknown_fields(HorizontalPodAutoscaler::kind(), json), IsEmpty());
  EXPECT_EQ(find_kind("hpa"), &HorizontalPodAutoscaler::kind());
  EXPECT_EQ(find_kind_of("autoscaling/v2", "HorizontalPodAutoscaler"),
            &HorizontalPodAutoscaler::kind());
}

TEST(Hpa, UnknownFieldsAreKeptAndRefusedInASpec) {
  const auto hpa = hpa_with(R"({"color": 1, "behavior": {"sideways": {}},
      "metrics": [{"type": "Resource", "resource": {"name": "cpu", "x": 1,
        "target": {"type": "Utilization", "averageUtilization": 5, "y": 2}}}]})");
  EXPECT_EQ(HorizontalPodAutoscaler::from_json(hpa.to_json()), hpa);
  std::vector<std::string> paths;
  for (const auto& error : validate(hpa)) paths.push_back(error.path);
  EXPECT_THAT(paths, ElementsAre("spec.metrics[0].resource.x", "spec.metrics[0].resource.target.y",
                                 "spec.behavior.sideways", "spec.color"));
}

TEST(Hpa, Defaults) {
  const auto hpa = hpa_with("{}");
  EXPECT_EQ(hpa.spec.min_replicas, 1);
  EXPECT_EQ(hpa.to_json()["spec"]["metrics"], *parse_json(R"([{"type": "Resource", "resource":
      {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}])"));
  EXPECT_THAT(validate(hpa), IsEmpty());
  auto again = hpa;
  apply_defaults(again);
  EXPECT_EQ(again, hpa);
}

TEST(Hpa, QuantitiesMayBeNumbers) {
  const auto hpa = hpa_with(metric(R"({"type": "External", "external": {"metric": {"name": "rps"},
      "target": {"type": "Value", "value": 30}}})"));
  EXPECT_EQ(hpa.spec.metrics[0].external->target.value, "30");
  EXPECT_THAT(validate(hpa), IsEmpty());
}

TEST(Hpa, Replicas) {
  EXPECT_THAT(errors_of(R"({"maxReplicas": 0})"),
              ElementsAre("spec.maxReplicas: Invalid value: 0: must be greater than 0"));
  EXPECT_THAT(errors_of(R"({"minReplicas": 5})"),
              ElementsAre("spec.maxReplicas: Invalid value: 4: must be greater than or equal to "
                          "`minReplicas`"));
  EXPECT_THAT(
      errors_of(R"({"minReplicas": -1})"),
      ElementsAre("spec.minReplicas: Invalid value: -1: must be greater than or equal to 0"));
  EXPECT_THAT(errors_of(R"({"minReplicas": 0})"),
              ElementsAre("spec.metrics: Forbidden: must specify at least one Object or External "
                          "metric to support scaling to zero replicas"));
  EXPECT_THAT(errors_of(R"({"minReplicas": 0, "metrics": [{"type": "External", "external":
      {"metric": {"name": "rps"}, "target": {"type": "Value", "value": "30"}}}]})"),
              IsEmpty());
}

TEST(Hpa, Target) {
  EXPECT_THAT(errors_of(R"({"scaleTargetRef": {"kind": "Deployment"}})"),
              ElementsAre("spec.scaleTargetRef.kind: Unsupported value: \"Deployment\": supported "
                          "values: \"Service\", \"Configuration\", \"Revision\""));
  EXPECT_THAT(errors_of(R"({"scaleTargetRef": {"apiVersion": "v1"}})"),
              ElementsAre("spec.scaleTargetRef.apiVersion: Invalid value: \"v1\": must be "
                          "\"serving.knative.dev/v1\""));
  EXPECT_THAT(errors_of(R"({"scaleTargetRef": {"name": null, "kind": null}})"),
              ElementsAre("spec.scaleTargetRef.kind: Required value: Service, Configuration or "
                          "Revision",
                          "spec.scaleTargetRef.name: Required value: name is required"));
}

TEST(Hpa, MetricsHaveTheSectionOfTheirType) {
  EXPECT_THAT(
      errors_of(metric("{}")),
      ElementsAre("spec.metrics[0].type: Required value: must specify a metric source type"));
  EXPECT_THAT(errors_of(metric(R"({"type": "Magic"})")),
              ElementsAre("spec.metrics[0].type: Unsupported value: \"Magic\": supported values: "
                          "\"Object\", \"Pods\", \"Resource\", \"External\", "
                          "\"ContainerResource\""));
  EXPECT_THAT(errors_of(metric(R"({"type": "Resource"})")),
              ElementsAre("spec.metrics[0].resource: Required value: must populate information for "
                          "the given metric source"));
  EXPECT_THAT(errors_of(metric(R"({"type": "Resource",
      "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 1}},
      "pods": {"metric": {"name": "x"}}})")),
              ElementsAre("spec.metrics[0].pods: Forbidden: must populate the given metric source "
                          "only"));
}

TEST(Hpa, Amounts) {
  const std::string at = "spec.metrics[0].resource";
  EXPECT_THAT(errors_of(metric(R"({"type": "Resource", "resource": {"name": "disk"}})")),
              ElementsAre(at + ".name: Unsupported value: \"disk\": supported values: \"cpu\", "
                               "\"memory\"",
                          at + ".target.type: Required value: must specify a metric target type",
                          at + ".target.averageUtilization: Required value: must set either a "
                               "target raw value or a target utilization"));
  EXPECT_THAT(errors_of(metric(R"({"type": "Resource", "resource": {"name": "cpu", "target":
      {"type": "Sum", "averageUtilization": 0, "averageValue": "0"}}})")),
              ElementsAre(at + ".target.type: Invalid value: \"Sum\": must be either Utilization, "
                               "Value, or AverageValue",
                          at + ".target.averageValue: Invalid value: \"0\": must be positive",
                          at + ".target.averageUtilization: Invalid value: 0: must be greater than "
                               "0",
                          at + ".target.averageValue: Forbidden: may not set both a target raw "
                               "value and a target utilization"));
  EXPECT_THAT(errors_of(metric(R"({"type": "Pods", "pods": {"metric": {},
      "target": {"type": "AverageValue", "averageValue": "much"}}})")),
              ElementsAre("spec.metrics[0].pods.metric.name: Required value: must specify a metric "
                          "name",
                          testing::StartsWith("spec.metrics[0].pods.target.averageValue: Invalid "
                                              "value: \"much\": ")));
  EXPECT_THAT(errors_of(metric(R"({"type": "External", "external": {"metric": {"name": "x"},
      "target": {"type": "Value", "value": "1", "averageValue": "1"}}})")),
              ElementsAre("spec.metrics[0].external.target.value: Forbidden: may not set both a "
                          "target value for metric and a per-pod target"));
  EXPECT_THAT(errors_of(metric(R"({"type": "Object", "object": {"metric": {"name": "x"},
      "target": {"type": "Value"}}})")),
              ElementsAre("spec.metrics[0].object.describedObject.kind: Required value: must "
                          "specify the kind of the object",
                          "spec.metrics[0].object.describedObject.name: Required value: must "
                          "specify the name of the object",
                          "spec.metrics[0].object.target.averageValue: Required value: must set "
                          "either a target value or averageValue"));
  EXPECT_THAT(errors_of(metric(R"({"type": "ContainerResource", "containerResource": {"name": "cpu",
      "target": {"type": "Utilization", "averageUtilization": 3}}})")),
              ElementsAre("spec.metrics[0].containerResource.container: Required value: must "
                          "specify a container"));
}

TEST(Hpa, Behavior) {
  EXPECT_THAT(errors_of(R"({"behavior": {"scaleUp": {"stabilizationWindowSeconds": 3601,
      "selectPolicy": "Some", "policies": []}}})"),
              ElementsAre("spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: "
                          "must be less than or equal to 3600",
                          "spec.behavior.scaleUp.selectPolicy: Unsupported value: \"Some\": "
                          "supported values: \"Disabled\", \"Max\", \"Min\"",
                          "spec.behavior.scaleUp.policies: Required value: must specify at least "
                          "one Policy"));
  EXPECT_THAT(errors_of(R"({"behavior": {"scaleDown": {"stabilizationWindowSeconds": -1,
      "tolerance": "x", "policies": [{"type": "Pod", "value": 0, "periodSeconds": 1801}]}}})"),
              ElementsAre("spec.behavior.scaleDown.stabilizationWindowSeconds: Invalid value: -1: "
                          "must be greater than or equal to zero",
                          testing::StartsWith("spec.behavior.scaleDown.tolerance: Invalid value: "),
                          "spec.behavior.scaleDown.policies[0].type: Unsupported value: \"Pod\": "
                          "supported values: \"Pods\", \"Percent\"",
                          "spec.behavior.scaleDown.policies[0].value: Invalid value: 0: must be "
                          "greater than zero",
                          "spec.behavior.scaleDown.policies[0].periodSeconds: Invalid value: 1801: "
                          "must be less than or equal to 1800"));
}

TEST(Hpa, WrongTypesAreNamed) {
  for (const char* text :
       {R"({"spec": {"metrics": {}}})", R"({"spec": {"behavior": {"scaleUp": 5}}})",
        R"({"spec": {"metrics": [{"external": {"metric": {"selector": "a=b"}}}]}})",
        R"({"spec": {"metrics": [{"resource": {"target": {"averageValue": true}}}]}})",
        R"({"kind": "Pod"})"}) {
    EXPECT_FALSE(HorizontalPodAutoscaler::from_json(*parse_json(text))) << text;
  }
}

TEST(Hpa, ColumnsAsKubectlPrintsThem) {
  Json json = *parse_json(kFull);
  EXPECT_EQ(reference_text(json), "Service/hello");
  EXPECT_EQ(targets_text(json), "cpu: 61%/50%, memory: <unknown>/100Mi + 3 more...");
  json["spec"]["metrics"].erase(0);
  json["spec"]["metrics"].erase(0);
  json["status"] = *parse_json(R"({"currentMetrics": [
      {"type": "Pods", "pods": {"current": {"averageValue": "7"}}},
      {"type": "Object", "object": {"current": {"value": "9"}}}]})");
  EXPECT_EQ(targets_text(json), "7/1k, 9/2k + 1 more...");
  json["spec"]["metrics"].erase(0);
  json["spec"]["metrics"].erase(0);
  EXPECT_EQ(targets_text(json), "<unknown>/30 (avg)");
  EXPECT_EQ(targets_text(Json(5)), "<none>");
  EXPECT_EQ(reference_text(Json{{"spec", 1}}), "/");
  EXPECT_EQ(targets_text(*parse_json(R"({"spec": {"metrics": [5, {"type": 3}]}})")),
            "<unknown type>, <unknown type>");
}

}  // namespace
}  // namespace ebb::api
