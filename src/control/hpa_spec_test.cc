#include "control/hpa_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/json.h"

namespace ebb::control {
namespace {

using namespace std::chrono_literals;
using Rules = scaling::HpaRules;
using Source = scaling::HpaMetricSpec::Source;
using TargetType = scaling::HpaMetricSpec::Type;

// `spec` is merged over a valid one.
api::HorizontalPodAutoscaler hpa_with(const std::string& spec) {
  api::Json json = *api::parse_json(
      R"({"metadata": {"name": "h", "namespace": "default", "generation": 3}, "spec": {
      "scaleTargetRef": {"apiVersion": "serving.knative.dev/v1", "kind": "Service",
                         "name": "hello"}, "maxReplicas": 9}})");
  json["spec"].merge_patch(*api::parse_json(spec));
  auto hpa = api::HorizontalPodAutoscaler::from_json(json);
  EXPECT_TRUE(hpa) << hpa.error().message;
  api::apply_defaults(*hpa);
  EXPECT_TRUE(api::validate(*hpa).empty());
  return *hpa;
}

TEST(HpaSpec, DefaultsAreTheAlgorithms) {
  const auto spec = to_hpa_spec(hpa_with("{}"));
  ASSERT_TRUE(spec);
  EXPECT_EQ(spec->min, 1);
  EXPECT_EQ(spec->max, 9);
  ASSERT_EQ(spec->metrics.size(), 1u);
  EXPECT_EQ(spec->metrics[0].source, Source::kResource);
  EXPECT_EQ(spec->metrics[0].name, "cpu");
  EXPECT_EQ(spec->metrics[0].type, TargetType::kUtilization);
  EXPECT_EQ(spec->metrics[0].target, 80);
  EXPECT_FALSE(spec->behavior);
}

TEST(HpaSpec, EverySourceAndAmount) {
  const auto spec = to_hpa_spec(hpa_with(R"({"minReplicas": 0, "metrics": [
      {"type": "Resource", "resource": {"name": "cpu",
         "target": {"type": "AverageValue", "averageValue": "250m"}}},
      {"type": "ContainerResource", "containerResource": {"name": "memory",
         "container": "user-container", "target": {"type": "AverageValue", "averageValue": "1Mi"}}},
      {"type": "Pods", "pods": {"metric": {"name": "packets"},
         "target": {"type": "AverageValue", "averageValue": "1k"}}},
      {"type": "Object", "object": {"metric": {"name": "depth"},
         "describedObject": {"kind": "Queue", "name": "jobs"},
         "target": {"type": "Value", "value": "2"}}},
      {"type": "External", "external": {"metric": {"name": "rps"},
         "target": {"type": "AverageValue", "averageValue": "1500m"}}}]})"));
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->min, 0);
  ASSERT_EQ(spec->metrics.size(), 5u);
  const auto expect = [&](size_t i, Source source, const char* name, TargetType type,
                          int64_t target) {
    EXPECT_EQ(spec->metrics[i].source, source) << i;
    EXPECT_EQ(spec->metrics[i].name, name) << i;
    EXPECT_EQ(spec->metrics[i].type, type) << i;
    EXPECT_EQ(spec->metrics[i].target, target) << i;
  };
  expect(0, Source::kResource, "cpu", TargetType::kAverageValue, 250);
  expect(1, Source::kContainerResource, "memory", TargetType::kAverageValue, 1048576000);
  EXPECT_EQ(spec->metrics[1].container, "user-container");
  expect(2, Source::kPods, "packets", TargetType::kAverageValue, 1000000);
  expect(3, Source::kObject, "depth", TargetType::kValue, 2000);
  expect(4, Source::kExternal, "rps", TargetType::kAverageValue, 1500);
}

TEST(HpaSpec, BehaviorKeepsKubernetesValuesForTheRest) {
  const auto spec = to_hpa_spec(hpa_with(R"({"behavior": {
      "scaleUp": {"stabilizationWindowSeconds": 30, "tolerance": "0.05"},
      "scaleDown": {"selectPolicy": "Min",
        "policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]}}})"));
  ASSERT_TRUE(spec);
  const auto& up = spec->behavior->up;
  EXPECT_EQ(up.window, 30s);
  EXPECT_EQ(up.select, Rules::Select::kMax);
  EXPECT_DOUBLE_EQ(*up.tolerance, 0.05);
  ASSERT_EQ(up.rates.size(), 2u);
  EXPECT_EQ(up.rates[0].unit, Rules::Unit::kPods);
  EXPECT_EQ(up.rates[0].value, 4);
  const auto& down = spec->behavior->down;
  EXPECT_EQ(down.window, 300s);
  EXPECT_EQ(down.select, Rules::Select::kMin);
  ASSERT_EQ(down.rates.size(), 1u);
  EXPECT_EQ(down.rates[0].value, 2);
  EXPECT_EQ(down.rates[0].period, 60s);
  const auto empty = to_hpa_spec(hpa_with(R"({"behavior": {"scaleDown":
      {"selectPolicy": "Disabled"}}})"));
  EXPECT_EQ(empty->behavior->down.select, Rules::Select::kDisabled);
  EXPECT_EQ(empty->behavior->up.rates.size(), 2u);
}

TEST(HpaSpec, WhomItScales) {
  scheduling::PodTemplate revision;
  revision.ns = "default";
  revision.name = "hello-00002";
  revision.service = "hello";
  revision.configuration = "hello-c";
  EXPECT_TRUE(scales(hpa_with("{}"), revision));
  EXPECT_FALSE(scales(hpa_with(R"({"scaleTargetRef": {"name": "other"}})"), revision));
  const char* by_revision = R"({"scaleTargetRef": {"kind": "Revision", "name": "hello-00002"}})";
  EXPECT_TRUE(scales(hpa_with(by_revision), revision));
  const char* by_configuration =
      R"({"scaleTargetRef": {"kind": "Configuration", "name": "hello-c"}})";
  EXPECT_TRUE(scales(hpa_with(by_configuration), revision));
  revision.ns = "else";
  EXPECT_FALSE(scales(hpa_with(by_revision), revision));
}

TEST(HpaSpec, StatusOfADecision) {
  auto hpa = hpa_with(R"({"metrics": [
      {"type": "Resource", "resource": {"name": "cpu",
         "target": {"type": "Utilization", "averageUtilization": 50}}},
      {"type": "External", "external": {"metric": {"name": "rps"},
         "target": {"type": "AverageValue", "averageValue": "10"}}},
      {"type": "Pods", "pods": {"metric": {"name": "packets"},
         "target": {"type": "AverageValue", "averageValue": "1"}}}]})");
  scaling::HpaInput input{.current = 2, .pods = {}, .readings = {}};
  const scaling::HpaPod pod{.containers = {{"user-container", 1000, 0}}};
  input.pods = {pod, pod};
  scaling::HpaReading cpu;
  cpu.samples = {{0, 900, {}, 15s}, {1, 301, {}, 15s}};
  scaling::HpaReading rps;
  rps.total = 25000;
  scaling::HpaReading packets;
  packets.error = "nobody measures packets";
  input.readings = {cpu, rps, packets};
  scaling::HpaResult decided;
  decided.valid = true;
  decided.desired = 3;
  decided.able_to_scale = {true, "SucceededRescale"};
  decided.scaling_active = {true, "ValidMetricFound"};
  decided.scaling_limited = {false, "DesiredWithinRange"};
  FakeClock clock;
  hpa.status = to_status(hpa, input, decided, clock.wall());
  ASSERT_EQ(hpa.status.current_metrics.size(), 3u);
  EXPECT_EQ(hpa.status.current_metrics[0].resource->target.average_utilization, 60);
  EXPECT_EQ(hpa.status.current_metrics[0].resource->target.average_value, "600m");
  EXPECT_EQ(hpa.status.current_metrics[1].external->target.average_value, "12500m");
  EXPECT_FALSE(hpa.status.current_metrics[2].pods);
  EXPECT_EQ(api::targets_text(hpa.to_json()), "cpu: 60%/50%, 12500m/10 (avg) + 1 more...");
  ASSERT_EQ(hpa.status.conditions.size(), 3u);

  clock.advance(15s);
  input.current = 3;
  decided.valid = false;
  decided.scaling_active = {false, "FailedGetResourceMetric"};
  const auto later = to_status(hpa, input, decided, clock.wall());
  const auto* active = api::find_condition(later.conditions, "ScalingActive");
  ASSERT_NE(active, nullptr);
  EXPECT_EQ(active->status, api::Condition::Status::kFalse);
  EXPECT_EQ(active->last_transition_time, "2026-01-01T00:00:15Z");
  EXPECT_EQ(api::find_condition(later.conditions, "AbleToScale")->last_transition_time,
            "2026-01-01T00:00:00Z");
}

TEST(HpaSpec, ADeclarationThatCannotBeReadIsTold) {
  auto hpa = hpa_with("{}");
  std::vector<api::FieldError> errors;
  hpa.meta.annotations["ebb.dev/metric-jobs"] = "json http://queue:8000/stats /length";
  check_hpa(hpa, errors);
  EXPECT_TRUE(errors.empty());
  hpa.meta.annotations["ebb.dev/metric-jobs"] = "json queue:8000/stats /length";
  hpa.meta.annotations["ebb.dev/metric-cpu"] = "json http://queue/ /length";
  check_hpa(hpa, errors);
  ASSERT_EQ(errors.size(), 2u);
  for (const auto& error : errors) {
    EXPECT_THAT(error.path, testing::StartsWith("metadata.annotations[ebb.dev/metric-"));
  }
}

}  // namespace
}  // namespace ebb::control
