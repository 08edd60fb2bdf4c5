#include "api/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ebb::api {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST(ParseJson, ReadsEveryKindOfValue) {
  auto json = parse_json(R"( {"a":[1,-2,2.5,true,null,"\u00e9"],"b":{"c":{}},"d":[]} )");
  ASSERT_TRUE(json) << json.error().message;
  EXPECT_EQ((*json)["a"][1], -2);
  EXPECT_EQ((*json)["a"][5], "\xC3\xA9");
  EXPECT_TRUE((*json)["a"][4].is_null());
  EXPECT_EQ(to_text(*json), R"({"a":[1,-2,2.5,true,null,"é"],"b":{"c":{}},"d":[]})");
}

TEST(ParseJson, SaysWhereTheErrorIs) {
  auto json = parse_json("{\n  \"a\": 1,\n  \"b\": nope\n}");
  ASSERT_FALSE(json);
  EXPECT_EQ(json.error().code, Errc::kInvalid);
  EXPECT_THAT(json.error().message, StartsWith("line 3, column 9: "));
}

TEST(ParseJson, RefusesRepeatedKeys) {
  auto json = parse_json("{\"a\":{\"x\":1,\n\"x\":2}}");
  ASSERT_FALSE(json);
  EXPECT_EQ(json.error().message, "line 2, column 3: the key \"x\" is repeated");
}

TEST(ParseJson, SameKeyInSiblingsIsFine) { EXPECT_TRUE(parse_json(R"([{"x":1},{"x":2}])")); }

TEST(ParseJson, BoundsDepth) {
  auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(parse_json(nested(kMaxJsonDepth)));
  auto deep = parse_json(nested(kMaxJsonDepth + 1));
  ASSERT_FALSE(deep);
  EXPECT_THAT(deep.error().message, HasSubstr("deeper than 64"));
  EXPECT_FALSE(parse_json(std::string(1'000'000, '[')));
}

TEST(ParseJson, RefusesWhatIsNotOneValue) {
  for (const char* text : {"", " ", "{} {}", "[1,]", "{\"a\":1,}", "'a'", "NaN", "01", "\"\xFF\"",
                           "// c\n1", "1e999", "{\"a\"", "\"\\ud800\""}) {
    auto json = parse_json(text);
    ASSERT_FALSE(json) << text;
    EXPECT_THAT(json.error().message, StartsWith("line 1, column ")) << text;
  }
}

TEST(ToText, ReplacesBytesThatAreNotUtf8) {
  EXPECT_EQ(to_text(Json("a\xFF")), "\"a\xEF\xBF\xBD\"");
}

}  // namespace
}  // namespace ebb::api
