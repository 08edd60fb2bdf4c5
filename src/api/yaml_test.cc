#include "api/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/json.h"

namespace ebb::api {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

Json one(std::string_view text) {
  auto documents = parse_yaml(text);
  if (!documents || documents->size() != 1) {
    ADD_FAILURE() << text << ": " << (documents ? "not one document" : documents.error().message);
    return {};
  }
  return documents->front();
}

std::string refusal(std::string_view text) {
  auto documents = parse_yaml(text);
  if (documents) return "accepted: " + to_text(*documents);
  EXPECT_EQ(documents.error().code, Errc::kInvalid);
  return documents.error().message;
}

TEST(ParseYaml, ReadsAManifest) {
  auto json = one(R"(# a service
apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: hello   # a comment
  annotations: {a: "1", 'b': 'it''s'}
spec:
  template:
    spec:
      containers:
      - image: ebb.dev/runtimes/python
        env:
        - name: TEXT
          value: |
            two
            lines
        - name: FOLDED
          value: >-
            one
            line
  traffic: []
)");
  EXPECT_EQ(json["metadata"]["annotations"]["b"], "it's");
  const Json& env = json["spec"]["template"]["spec"]["containers"][0]["env"];
  EXPECT_EQ(env[0]["value"], "two\nlines\n");
  EXPECT_EQ(env[1]["value"], "one line");
  EXPECT_TRUE(json["spec"]["traffic"].is_array());
}

TEST(ParseYaml, UntypedScalarsFollowTheCoreSchema) {
  EXPECT_EQ(one("[null, Null, NULL, ~, , ]").dump(), "[null,null,null,null,null]");
  EXPECT_EQ(one("[true, True, TRUE, false, False, FALSE]").dump(),
            "[true,true,true,false,false,false]");
  EXPECT_EQ(one("[0, 12, -7, +3, 0o17, 0x1F]").dump(), "[0,12,-7,3,15,31]");
  EXPECT_EQ(one("[1.5, -0.25, .5, 1., 1e3, +2.5E-1]").dump(), "[1.5,-0.25,0.5,1.0,1000.0,0.25]");
  EXPECT_EQ(one("[9223372036854775807, -9223372036854775808, 18446744073709551615]").dump(),
            "[9223372036854775807,-9223372036854775808,18446744073709551615]");
  EXPECT_EQ(
      one("[yes, No, on, OFF, y, 1:30, 1_000, 2026-01-31, 0b1, 1.2.3, e3, 0x, -, +]").dump(),
      R"(["yes","No","on","OFF","y","1:30","1_000","2026-01-31","0b1","1.2.3","e3","0x","-","+"])");
}

TEST(ParseYaml, QuotedScalarsStayStrings) {
  EXPECT_EQ(one(R"(["1", '1.5', "true", 'null', "", '~', "0755"])").dump(),
            R"(["1","1.5","true","null","","~","0755"])");
  EXPECT_EQ(one("a: |\n  12\n").dump(), R"({"a":"12\n"})");
}

TEST(ParseYaml, EscapesBecomeUtf8) {
  EXPECT_EQ(one(R"(a: "\N\_\L\x85\u00e9é\N")"),
            *parse_json(R"({"a":"\u0085\u00a0\u2028\u0085\u00e9\u00e9\u0085"})"));
}

TEST(ParseYaml, TagsSayTheType) {
  EXPECT_EQ(one("[!!str 1, !!int 2, !!float 3, !!bool true, !!null null, ! 4]").dump(),
            R"(["1",2,3.0,true,null,"4"])");
  EXPECT_THAT(refusal("a: !!int x"), HasSubstr("is not a value of the tag !!int"));
  EXPECT_THAT(refusal("a: !!binary aGk="), HasSubstr("!!binary"));
  EXPECT_THAT(refusal("a: !mine x"), HasSubstr("the tag !mine is not known"));
  EXPECT_THAT(refusal("a: !!set {x}"), HasSubstr("is not known"));
}

TEST(ParseYaml, SeveralDocuments) {
  auto documents = parse_yaml("# nothing\n---\na: 1\n---\n# only a comment\n---\nb: 2\n...\n");
  ASSERT_TRUE(documents) << documents.error().message;
  EXPECT_EQ(Json(*documents).dump(), R"([{"a":1},{"b":2}])");
  EXPECT_EQ(parse_yaml("")->size(), 0U);
  EXPECT_EQ(parse_yaml("---\n---\n")->size(), 0U);
  EXPECT_EQ(parse_yaml("--- {a: 1}\n--- {b: 2}")->size(), 2U);
  EXPECT_THAT(refusal("{a: 1}\nb: 2\n"), StartsWith("line 2, column 1: expected the end"));
  EXPECT_THAT(refusal("[1] ]"), StartsWith("line 1, column 5: "));
}

TEST(ParseYaml, JsonIsYaml) {
  const char* text = "\t{\n\t\"a\": [1, -2.5e3, true, null, \"\\ud83d\\ude00\\/\"],\n\t\"b\": {}}";
  EXPECT_EQ(one(text), *parse_json(text));
  EXPECT_EQ(one("{a: 1, b: [x, ], }").dump(), R"({"a":1,"b":["x"]})") << "flow style is no JSON";
  EXPECT_THAT(refusal("{\"a\": 1,\n\"a\": 2}"), StartsWith("line 2, column 1: the key \"a\""));
}

TEST(ParseYaml, KeysAreTexts) {
  EXPECT_EQ(one("8080: x\ntrue: y\n").dump(), R"({"8080":"x","true":"y"})");
  EXPECT_THAT(refusal("a: 1\nb:\n  c: 1\n  c: 2\n"),
              StartsWith("line 4, column 3: the key \"c\" is repeated"));
  EXPECT_THAT(refusal("? [a]\n: 1\n"), HasSubstr("a key must be a text"));
  EXPECT_THAT(refusal("~: 1\n"), HasSubstr("a key is missing, or is null"));
  EXPECT_THAT(refusal("a: {b: 1}\n<<: {c: 1}\n"), HasSubstr("line 2, column 1: merge keys"));
}

TEST(ParseYaml, SaysWhereTheErrorIs) {
  EXPECT_THAT(refusal("a: 1\nb: c: d\n"), StartsWith("line 2, column 5: "));
  EXPECT_THAT(refusal("a:\n\t- b\n"), StartsWith("line 2, column "));
  EXPECT_EQ(refusal("a: \"open\n"), "line 2, column 1: the document ends within quotes");
  EXPECT_EQ(refusal("a: 'open"), "line 1, column 9: the document ends within quotes");
  EXPECT_EQ(refusal("a: 'b\n--- c'\n"), "line 2, column 1: the document ends within quotes");
  EXPECT_THAT(refusal("a: [1, 2\n"), StartsWith("line 2, column "));
  EXPECT_THAT(refusal("a: *nobody\n"), StartsWith("line 1, column 4: "));
  EXPECT_THAT(refusal("a: 1\nmode: 0755\n"), StartsWith("line 2, column 7: 0755 is octal"));
  EXPECT_THAT(refusal("a: .inf"), StartsWith("line 1, column 4: .inf has no form in JSON"));
  EXPECT_THAT(refusal("a: 99999999999999999999"), HasSubstr("does not fit 64 bits"));
  EXPECT_THAT(refusal("a: -9223372036854775809"), HasSubstr("does not fit 64 bits"));
  EXPECT_THAT(refusal("a: 1e999"), HasSubstr("out of range"));
}

TEST(ParseYaml, RefusesWhatIsNoText) {
  EXPECT_EQ(refusal("a: 1\nb: \xFF"), "line 2, column 4: not UTF-8");
  EXPECT_EQ(refusal("a: \xED\xA0\x80"), "line 1, column 4: not UTF-8");
  EXPECT_EQ(refusal(std::string("a: \0", 4)), "line 1, column 4: a control character (0x00)");
  EXPECT_EQ(refusal("a: 1\n\x04 b: 2"), "line 2, column 1: a control character (0x04)");
  EXPECT_THAT(refusal(std::string("\xFF\xFE"
                                  "a\0",
                                  4)),
              StartsWith("line 1, column 1: "));
  EXPECT_EQ(one("\xEF\xBB\xBF"
                "a: \xC3\xA9")
                .dump(),
            "{\"a\":\"\xC3\xA9\"}")
      << "byte order mark";
  EXPECT_EQ(one("a: 1\r\nb: 2\r\n").dump(), R"({"a":1,"b":2})");
}

TEST(ParseYaml, AliasesAreCopies) {
  EXPECT_EQ(one("a: &x {n: [1]}\nb: *x\nc: [*x]\n").dump(),
            R"({"a":{"n":[1]},"b":{"n":[1]},"c":[{"n":[1]}]})");
  EXPECT_EQ(one("- &k key\n- *k : 1\n").dump(), R"(["key",{"key":1}])");
  EXPECT_THAT(refusal("&x a: [*x]\n&y b: &z [*z]\n"),
              HasSubstr("an alias inside of what it names"));
}

TEST(ParseYaml, AliasesAreBounded) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 30; ++i) {
    bomb += fmt::format("a{0}: &a{0} [*a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}]\n", i, i - 1);
  }
  EXPECT_THAT(refusal(bomb), HasSubstr("anchors and aliases make more than 4 MiB"));
  std::string large = "a: &a \"" + std::string(1 << 20, 'x') + "\"\nb:\n";
  for (int i = 0; i < 10; ++i) large += "- *a\n";
  EXPECT_THAT(refusal(large), HasSubstr("anchors and aliases make more than 4 MiB"));
  std::string deep = "- &a0 [x]\n";
  for (int i = 1; i <= kMaxJsonDepth; ++i) deep += fmt::format("- &a{} [*a{}]\n", i, i - 1);
  EXPECT_THAT(refusal(deep), HasSubstr("nested deeper than 64 levels"));
}

TEST(ParseYaml, IsBounded) {
  auto nested = [](int depth) {
    std::string text;
    for (int i = 0; i < depth; ++i) text += "- ";
    return text + "x";
  };
  EXPECT_EQ(one(nested(kMaxJsonDepth)).size(), 1U);
  EXPECT_THAT(refusal(nested(kMaxJsonDepth + 1)), HasSubstr("nested deeper than 64 levels"));
  EXPECT_THAT(refusal(std::string(100'000, '[')), HasSubstr("line 1, column "));
  EXPECT_THAT(refusal(std::string(kMaxYamlBytes + 1, ' ')), HasSubstr("more than 4 MiB"));
  std::string many;
  for (size_t i = 0; i <= kMaxYamlDocuments; ++i) many += "---\n";
  EXPECT_THAT(refusal(many), HasSubstr("more than 10000 documents"));
}

TEST(ToYaml, IsWhatKubectlPrints) {
  auto json = *parse_json(R"({"kind":"Service","spec":{"traffic":[{"percent":100,"tag":"a"},
      {"latestRevision":true}],"empty":{},"none":[],"env":["1","true","no","a: b","x #y","",
      "two\nlines\n","two\nlines","- x","2026-01-31","plain text","é","tab\t"," lead"],
      "matrix":[[1,2],[]]}})");
  const char* text = R"(kind: Service
spec:
  empty: {}
  env:
  - "1"
  - "true"
  - "no"
  - "a: b"
  - "x #y"
  - ""
  - |
    two
    lines
  - |-
    two
    lines
  - "- x"
  - "2026-01-31"
  - plain text
  - "é"
  - "tab\t"
  - " lead"
  matrix:
  - - 1
    - 2
  - []
  none: []
  traffic:
  - percent: 100
    tag: a
  - latestRevision: true
)";
  EXPECT_EQ(to_yaml(json), text);
  EXPECT_EQ(one(text), json);
}

TEST(ToYaml, LongKeysSurviveReading) {
  for (const std::string& key : {std::string(2000, 'k'), std::string(600, '\t') + ":"}) {
    const Json json = {{"list", {{{key, 1}, {"short", {1, 2}}}}}, {key, {{key, "a\nb\n"}}}};
    EXPECT_EQ(one(to_yaml(json)), json) << to_yaml(json);
  }
}

TEST(ToYaml, SurvivesReading) {
  for (const char* text :
       {R"("plain")", R"("0x1F")", R"("a\nb\n\n")", R"("\na")", R"("a \nb")", R"("a:")", R"("---")",
        R"("... x")", R"({"":1,"a: b":2,"<<":3,"null":4,"1":5})", R"("\u007f\u0001")",
        R"("a\n\n b\n")", R"([[[]],[{"a":[{"b":"x\ny"}]}]])", "1.5", "-9223372036854775808",
        R"("\u2028\u0085\ufeff")", R"({"a":"|"})", R"("a\n  b")", R"("# x")", R"("a\r\nb")"}) {
    Json json = *parse_json(text);
    EXPECT_EQ(one(to_yaml(json)), json) << to_yaml(json);
  }
}

}  // namespace
}  // namespace ebb::api
