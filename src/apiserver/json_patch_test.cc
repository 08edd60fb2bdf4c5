#include "apiserver/json_patch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/json.h"

namespace ebb::apiserver {
namespace {

using api::Json;
using testing::HasSubstr;

Json json_of(std::string_view text) { return *api::parse_json(text); }

TEST(JsonPatch, AppliesEachStep) {
  Json object = json_of(R"({"a":{"b":[1,2]},"c":"x"})");
  auto done = apply_json_patch(object, json_of(R"([
      {"op":"test","path":"/c","value":"x"},{"op":"add","path":"/a/b/1","value":9},
      {"op":"replace","path":"/c","value":{"d":1}},{"op":"copy","from":"/c","path":"/e"},
      {"op":"move","from":"/a/b/0","path":"/f"},{"op":"remove","path":"/c/d"}])"));
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(object, json_of(R"({"a":{"b":[9,2]},"c":{},"e":{"d":1},"f":1})"));
}

TEST(JsonPatch, RefusesStepsThatCannotBe) {
  for (const char* bad :
       {"{}", "[5]", "[{}]", R"([{"op":"none","path":"/a"}])", R"([{"op":"remove","path":"/b"}])",
        R"([{"op":"add","path":"a","value":1}])", R"([{"op":"copy","from":5,"path":"/b"}])",
        R"([{"op":"test","path":"/a","value":2}])", R"([{"op":"add","path":"/a/0","value":1}])",
        R"([{"op":"move","from":"/none","path":"/b"}])", R"([{"op":"add","path":5,"value":1}])",
        R"([{"op":"remove","path":"/a/0"}])", R"([{"op":"remove"}])", R"([{"op":"add"}])",
        R"([{"op":"move","from":"/a","path":"/a/b"}])", R"([{"op":5,"path":"/a"}])"}) {
    Json object = json_of(R"({"a":1})");
    EXPECT_FALSE(apply_json_patch(object, json_of(bad))) << bad;
  }
}

TEST(JsonPatch, CopiesOfCopiesAreBounded) {
  Json object = json_of(R"({"a":{"b":"some text"}})");
  Json steps = Json::array();
  for (int i = 0; i < 100; ++i) {
    steps.push_back({{"op", "copy"}, {"from", "/a"}, {"path", "/a/" + std::to_string(i)}});
  }
  auto done = apply_json_patch(object, steps);
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, HasSubstr("copies more than 1 MiB"));
  Json many = Json::array();
  for (size_t i = 0; i <= kMaxPatchSteps; ++i) many.push_back(Json::object());
  EXPECT_FALSE(apply_json_patch(object, many));
}

TEST(JsonPatch, NestingIsBounded) {
  Json object = json_of("{}");
  Json steps = Json::array();
  std::string path;
  for (int i = 0; i < 2 * api::kMaxJsonDepth; ++i) {
    path += "/a";
    steps.push_back({{"op", "add"}, {"path", path}, {"value", Json::object()}});
  }
  EXPECT_FALSE(apply_json_patch(object, steps));
}

}  // namespace
}  // namespace ebb::apiserver
