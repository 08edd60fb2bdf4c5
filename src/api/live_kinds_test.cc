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

TEST(LiveKindsTest, AreFoundByTheNamesThatUsersType) {
  EXPECT_EQ(find_kind("kpa"), &PodAutoscaler::kind());
  EXPECT_EQ(find_kind("podautoscalers"), &PodAutoscaler::kind());
  EXPECT_EQ(find_kind("events"), &Event::kind());
  EXPECT_EQ(find_kind("", "v1", "events"), &Event::kind());
}

}  // namespace
}  // namespace ebb::api
