#include "cli/traffic_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ebb::cli {
namespace {

using api::Json;
using testing::HasSubstr;

Json revision(const std::string& name, int generation, const char* ready = "True") {
  return {
      {"metadata",
       {{"name", name},
        {"labels", {{"serving.knative.dev/configurationGeneration", std::to_string(generation)}}}}},
      {"status", {{"conditions", {{{"type", "Ready"}, {"status", ready}, {"message", "no"}}}}}}};
}

const std::vector<Json> kRevisions{revision("h-1", 1), revision("h-2", 2, "False"),
                                   revision("h-3", 3), revision("h-10", 10)};

Json service(const char* spec_traffic, const char* status_traffic = "[]") {
  return {{"spec", {{"traffic", Json::parse(spec_traffic)}}},
          {"status", {{"traffic", Json::parse(status_traffic)}}}};
}

TEST(TrafficPlanTest, SharesReplaceSharesAndTagsStay) {
  TrafficOptions options;
  options.revisions = {{"h-1", 90}, {"@latest", 10}};
  const auto plan = planned_traffic(options, service(R"([{"latestRevision": true, "percent": 100},
                  {"revisionName": "h-3", "percent": 0, "tag": "old"}])"),
                                    kRevisions);
  ASSERT_TRUE(plan);
  EXPECT_EQ(*plan, Json::parse(R"([
      {"latestRevision": false, "revisionName": "h-1", "percent": 90},
      {"latestRevision": true, "percent": 10},
      {"revisionName": "h-3", "percent": 0, "tag": "old"}])"));
}

TEST(TrafficPlanTest, ATaggedShareKeepsItsTagWhenSharesMove) {
  TrafficOptions options;
  options.revisions = {{"h-3", 100}};
  const auto plan = planned_traffic(
      options, service(R"([{"revisionName": "h-1", "percent": 100, "tag": "a"}])"), kRevisions);
  EXPECT_EQ(*plan, Json::parse(R"([
      {"latestRevision": false, "revisionName": "h-3", "percent": 100},
      {"revisionName": "h-1", "percent": 0, "tag": "a"}])"));
}

TEST(TrafficPlanTest, TagsMoveAndGo) {
  TrafficOptions options;
  options.tags = {{"next", "@latest"}};
  options.untag = {"old"};
  const auto plan =
      planned_traffic(options, service(R"([{"revisionName": "h-1", "percent": 100, "tag": "next"},
                  {"revisionName": "h-3", "percent": 0, "tag": "old"}])"),
                      kRevisions);
  EXPECT_EQ(*plan, Json::parse(R"([{"revisionName": "h-1", "percent": 100},
      {"latestRevision": true, "percent": 0, "tag": "next"}])"));
  options.untag = {"unknown"};
  EXPECT_THAT(planned_traffic(options, service("[]"), kRevisions).error().message,
              HasSubstr("no tag \"unknown\""));
}

TEST(TrafficPlanTest, ATagAloneLeavesAllTrafficToTheLatest) {
  TrafficOptions options;
  options.tags = {{"a", "h-1"}};
  EXPECT_EQ(*planned_traffic(options, Json::object(), kRevisions), Json::parse(R"([
      {"latestRevision": true, "percent": 100},
      {"latestRevision": false, "revisionName": "h-1", "percent": 0, "tag": "a"}])"));
}

TEST(TrafficPlanTest, UnknownRevisionsAreSaidWithTheKnownOnes) {
  TrafficOptions options;
  options.revisions = {{"other", 100}};
  EXPECT_THAT(planned_traffic(options, service("[]"), kRevisions).error().message,
              HasSubstr("no revision \"other\"; it has: h-1, h-2, h-3, h-10"));
}

TEST(TrafficPlanTest, RollsBackToTheReadyRevisionBefore) {
  const auto to = [](const char* serving, const std::string& wish = {}) {
    RollbackOptions options;
    options.to = wish;
    const auto plan = planned_rollback(options, service("[]", serving), kRevisions);
    if (!plan) return plan.error().message;
    EXPECT_EQ(plan->size(), 1U);
    EXPECT_EQ((*plan)[0]["percent"], 100);
    return (*plan)[0]["revisionName"].get<std::string>();
  };
  EXPECT_EQ(to(R"([{"revisionName": "h-10", "percent": 100}])"), "h-3");
  EXPECT_EQ(to(R"([{"revisionName": "h-3", "percent": 100}])"), "h-1");  // h-2 is not ready
  EXPECT_EQ(to(R"([{"revisionName": "h-1", "percent": 90},
                   {"revisionName": "h-10", "percent": 10}])"),
            "h-1");  // h-3 served nothing
  EXPECT_EQ(to(R"([{"revisionName": "h-10", "percent": 10}, {"revisionName": "h-1", "percent": 60},
                   {"revisionName": "h-3", "percent": 30}])"),
            "h-3");
  EXPECT_EQ(to(R"([{"revisionName": "h-10", "percent": 90}, {"tag": "t", "revisionName": "h-1"},
                   {"revisionName": "h-10", "percent": 10}])"),
            "h-3");
  EXPECT_EQ(to(R"([{"revisionName": "h-1", "percent": 100},
                   {"revisionName": "h-10", "percent": 0}])")
                .substr(0, 17),
            "no ready revision");
  EXPECT_EQ(to("[]", "h-1"), "h-1");
  EXPECT_THAT(to("[]", "h-2"), HasSubstr("is not ready: no"));
  EXPECT_THAT(to("[]", "h-9"), HasSubstr("no revision \"h-9\""));
}

TEST(TrafficPlanTest, TheRouteIsAskedNotTheLatestRevision) {
  Json object = service(R"([{"revisionName": "h-1", "percent": 100}])",
                        R"([{"revisionName": "h-1", "percent": 100, "url": "x"}])");
  object["metadata"]["generation"] = 2;
  EXPECT_EQ(traffic_verdict(object).kind, Verdict::Kind::kPending);
  object["status"]["observedGeneration"] = 2;
  object["status"]["conditions"] =
      Json::parse(R"([{"type": "Ready", "status": "False", "message": "latest broke"},
                      {"type": "RoutesReady", "status": "True"}])");
  EXPECT_EQ(traffic_verdict(object).kind, Verdict::Kind::kDone);
  object["status"]["traffic"][0]["percent"] = 50;
  EXPECT_EQ(traffic_verdict(object).kind, Verdict::Kind::kPending);
  object["status"]["conditions"][1]["status"] = "False";
  object["status"]["conditions"][1]["message"] = "why";
  EXPECT_EQ(traffic_verdict(object).kind, Verdict::Kind::kFailed);
  EXPECT_EQ(traffic_verdict(object).message, "why");
}

}  // namespace
}  // namespace ebb::cli
