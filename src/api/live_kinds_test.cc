// The kinds that only show what runs: Event and PodAutoscaler.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/event.h"
#include "api/kinds.h"
#include "api/pod_autoscaler.h"

namespace ebb::api {
namespace {

TEST(EventTest, LooksAsKubectlDescribeExpectsIt) {
  Event event;
  event.meta.name = "hello.1";
  event.meta.ns = "default";
  event.involved = {"serving.knative.dev/v1", "Service", "default", "hello", "uid-1"};
  event.type = Event::Type::kWarning;
  event.reason = "StartFailed";
  event.message = "SyntaxError";
  event.count = 3;
  event.first_timestamp = "2026-01-01T00:00:00Z";
  event.last_timestamp = "2026-01-01T00:00:09Z";
  const Json json = event.to_json();
  EXPECT_EQ(json["kind"], "Event");
  EXPECT_EQ(json["involvedObject"]["uid"], "uid-1");
  EXPECT_EQ(json["type"], "Warning");
  EXPECT_EQ(json["count"], 3);
  EXPECT_EQ(json["source"]["component"], "ebb");
}

TEST(PodAutoscalerTest, ShowsEveryNumberAlsoWhenItIsZero) {
  PodAutoscaler scaler;
  scaler.meta.name = "hello-00001";
  scaler.status.concurrency = 1.23456;
  const Json status = scaler.to_json()["status"];
  EXPECT_EQ(status["desiredScale"], 0);
  EXPECT_EQ(status["inFlight"], 0);
  EXPECT_EQ(status["panic"], false);
  EXPECT_DOUBLE_EQ(status["concurrency"].get<double>(), 1.235);
  EXPECT_FALSE(status.contains("decidedAt"));
}

class ScalingChangesTest : public testing::Test {
 protected:
  ScalingChangesTest() {
    PodAutoscaler scaler;
    scaler.meta.name = "hello-00001";
    scaler.meta.annotations = {{"autoscaling.knative.dev/class", "ebb.dev/adaptive"},
                               {"autoscaling.knative.dev/max-scale", "4"},
                               {"ebb.dev/policy-wait", "50ms"}};
    shown_ = scaler.to_json();
  }
  // "KEY=VALUE" or "KEY-" of each change, and "PATH!" of each error, with blanks between.
  std::string changes(const Json& wanted) {
    std::vector<FieldError> errors;
    std::string out;
    for (const auto& [key, value] : scaling_changes(shown_, wanted, errors)) {
      out += " " + key + (value ? "=" + *value : "-");
    }
    for (const auto& error : errors) out += " " + error.path + "!";
    return out;
  }
  Json shown_;
};

TEST_F(ScalingChangesTest, TheSpecSaysWhatTheAnnotationsSay) {
  EXPECT_EQ(shown_["spec"]["class"], "ebb.dev/adaptive");
  EXPECT_EQ(shown_["spec"]["maxScale"], "4");
  EXPECT_EQ(shown_["spec"]["policyWait"], "50ms");
  EXPECT_EQ(changes(shown_), "");
}

TEST_F(ScalingChangesTest, EitherMayBeChanged) {
  Json wanted = shown_;
  wanted["spec"]["maxScale"] = 9;
  wanted["spec"].erase("policyWait");
  wanted["metadata"]["annotations"]["autoscaling.knative.dev/window"] = "10s";
  EXPECT_EQ(changes(wanted),
            " autoscaling.knative.dev/max-scale=9 autoscaling.knative.dev/window=10s "
            "ebb.dev/policy-wait-");
  wanted = shown_;
  wanted["metadata"]["annotations"].erase("autoscaling.knative.dev/max-scale");
  wanted["metadata"]["annotations"]["example.com/other"] = "x";  // is not what scales it
  EXPECT_EQ(changes(wanted), " autoscaling.knative.dev/max-scale-");
}

TEST_F(ScalingChangesTest, PartsOfAnObjectLeaveTheRest) {
  Json wanted = shown_;
  wanted["spec"] = {{"maxScale", "5"}};
  EXPECT_EQ(changes(wanted), " autoscaling.knative.dev/max-scale=5");
  wanted.erase("spec");
  EXPECT_EQ(changes(wanted), "");
}

TEST_F(ScalingChangesTest, WhatFollowsFromTheRevisionOrIsUnknownIsRefused) {
  Json wanted = shown_;
  wanted["spec"]["containerConcurrency"] = 3;
  wanted["spec"]["maxScales"] = 3;
  wanted["spec"]["minScale"] = Json::array();
  EXPECT_EQ(changes(wanted), " spec.containerConcurrency! spec.maxScales! spec.minScale!");
  EXPECT_EQ(changes(Json::parse(R"({"spec": 3, "metadata": []})")),
            " autoscaling.knative.dev/class- autoscaling.knative.dev/max-scale- "
            "ebb.dev/policy-wait-");
}

TEST_F(ScalingChangesTest, AreWrittenIntoAnnotations) {
  const Json revision = {{"metadata", {{"annotations", {{"a", "1"}, {"b", "2"}}}}}};
  const auto after = with_changes(revision, {{"b", std::nullopt}, {"c", "3"}, {"d", std::nullopt}});
  EXPECT_EQ(after, (std::map<std::string, std::string>{{"a", "1"}, {"c", "3"}}));
  EXPECT_TRUE(with_changes(Json::object(), {}).empty());
}

TEST(LiveKindsTest, AreFoundByTheNamesThatUsersType) {
  EXPECT_EQ(find_kind("kpa"), &PodAutoscaler::kind());
  EXPECT_EQ(find_kind("podautoscalers"), &PodAutoscaler::kind());
  EXPECT_EQ(find_kind("events"), &Event::kind());
  EXPECT_EQ(find_kind("", "v1", "events"), &Event::kind());
}

}  // namespace
}  // namespace ebb::api
