#include "cli/three_way_merge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ebb::cli {
namespace {

using api::Json;
using testing::HasSubstr;

Json manifest(const char* spec) {
  return Json{{"apiVersion", "serving.knative.dev/v1"},
              {"kind", "Service"},
              {"metadata", {{"name", "hello"}, {"namespace", "default"}}},
              {"spec", Json::parse(spec)}};
}

// What the patch makes of `current`, without the annotation.
Json merged(const Json& last, const Json& now, Json others) {
  Json current = with_last_applied(last);
  current.merge_patch(others);
  const auto patch = three_way_merge_patch(with_last_applied(now), current);
  EXPECT_TRUE(patch) << patch.error().message;
  current.merge_patch(*patch);
  EXPECT_EQ(current["metadata"]["annotations"][kLastApplied],
            with_last_applied(now)["metadata"]["annotations"][kLastApplied]);
  return current["spec"];
}

TEST(ThreeWayMergeTest, TheAnnotationIsKubectls) {
  Json object = manifest(R"({"b": 1, "a": 2})");
  object["status"] = {{"x", 1}};
  object["metadata"]["annotations"][kLastApplied] = "old";
  EXPECT_EQ(with_last_applied(object)["metadata"]["annotations"][kLastApplied],
            "{\"apiVersion\":\"serving.knative.dev/v1\",\"kind\":\"Service\",\"metadata\":"
            "{\"annotations\":{},\"name\":\"hello\",\"namespace\":\"default\"},\"spec\":"
            "{\"a\":2,\"b\":1}}\n");
}

TEST(ThreeWayMergeTest, SetsAddsAndRemoves) {
  EXPECT_EQ(merged(manifest(R"({"gone": 1, "kept": {"x": 1, "gone": 2}, "changed": 1})"),
                   manifest(R"({"kept": {"x": 1}, "changed": 2, "new": [1]})"), Json::object()),
            Json::parse(R"({"kept": {"x": 1}, "changed": 2, "new": [1]})"));
}

TEST(ThreeWayMergeTest, LeavesWhatOthersSet) {
  EXPECT_EQ(merged(manifest(R"({"a": 1})"), manifest(R"({"a": 2})"),
                   Json::parse(R"({"spec": {"defaulted": true, "deep": {"x": 1}}})")),
            Json::parse(R"({"a": 2, "defaulted": true, "deep": {"x": 1}})"));
}

TEST(ThreeWayMergeTest, TakesBackWhatOthersChangedOrRemoved) {
  EXPECT_EQ(merged(manifest(R"({"a": 1, "b": 1})"), manifest(R"({"a": 1, "b": 1})"),
                   Json::parse(R"({"spec": {"a": 5, "b": null}})")),
            Json::parse(R"({"a": 1, "b": 1})"));
}

TEST(ThreeWayMergeTest, NothingToDoIsAnEmptyPatch) {
  const Json now = with_last_applied(manifest(R"({"a": {"b": [1, {"c": null}]}, "n": null})"));
  Json current = now;
  current["spec"]["defaulted"] = 1;
  current["spec"].erase("n");
  current["metadata"]["resourceVersion"] = "7";
  EXPECT_EQ(*three_way_merge_patch(now, current), Json::object());
}

TEST(ThreeWayMergeTest, WhatIsGoneAlreadyIsNotRemovedAgain) {
  Json current = with_last_applied(manifest(R"({"a": 1, "b": {"c": 1}})"));
  current["spec"] = {{"a", 1}};
  const auto patch = three_way_merge_patch(with_last_applied(manifest(R"({"a": 1})")), current);
  ASSERT_TRUE(patch);
  EXPECT_FALSE(patch->contains("spec")) << *patch;
}

TEST(ThreeWayMergeTest, AnObjectThatWasNeverAppliedLosesNothing) {
  Json current = manifest(R"({"a": 1, "b": 2})");
  const auto patch = three_way_merge_patch(with_last_applied(manifest(R"({"a": 3})")), current);
  ASSERT_TRUE(patch);
  current.merge_patch(*patch);
  EXPECT_EQ(current["spec"], Json::parse(R"({"a": 3, "b": 2})"));
}

TEST(ThreeWayMergeTest, ASpoiltAnnotationIsSaid) {
  Json current = manifest("{}");
  current["metadata"]["annotations"][kLastApplied] = "{";
  const auto patch = three_way_merge_patch(with_last_applied(manifest("{}")), current);
  ASSERT_FALSE(patch);
  EXPECT_THAT(patch.error().message, HasSubstr(kLastApplied));
}

}  // namespace
}  // namespace ebb::cli
