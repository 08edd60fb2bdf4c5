#include "apiserver/selector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/json.h"

namespace ebb::apiserver {
namespace {

using testing::HasSubstr;

const char* const kObject = R"({"metadata":{"name":"a","namespace":"default",
    "labels":{"tier":"front","app.kubernetes.io/name":"x","empty":""}},
    "spec":{"unschedulable":true},"status":{"phase":"Running"},
    "involvedObject":{"kind":"Service"}})";

bool matches(std::string_view labels, std::string_view fields) {
  auto selector = Selector::parse(labels, fields);
  EXPECT_TRUE(selector) << selector.error().message;
  return selector && selector->matches(*api::parse_json(kObject));
}

TEST(Selector, Labels) {
  for (const char* yes :
       {"", "tier=front", "tier == front", "tier!=back", "tier", "!none", "none!=x",
        "empty=", "tier in (back, front)", "tier notin (back)", "none notin (a,b)", "empty in ()",
        "tier=front,app.kubernetes.io/name=x", " tier in (front) , !none "}) {
    EXPECT_TRUE(matches(yes, "")) << yes;
  }
  for (const char* no : {"tier=back", "tier!=front", "none", "!tier", "none=", "tier in (a,b)",
                         "none in (a)", "tier notin (front)", "tier=front,none"}) {
    EXPECT_FALSE(matches(no, "")) << no;
  }
}

TEST(Selector, Fields) {
  for (const char* yes : {"metadata.name=a", "metadata.name==a,metadata.namespace=default",
                          "metadata.name!=b", "status.phase=Running", "spec.nodeName=",
                          "spec.unschedulable=true", "involvedObject.kind=Service"}) {
    EXPECT_TRUE(matches("", yes)) << yes;
  }
  for (const char* no : {"metadata.name=b", "status.phase!=Running", "spec.nodeName=x"}) {
    EXPECT_FALSE(matches("", no)) << no;
  }
}

TEST(Selector, RefusesWhatItCannotDo) {
  for (const char* bad : {"=", "a=b=c", "a b", "a in b", "a in (b", "a of (b)", "in (b)", "a,",
                          "a in ((b))", "a>1", "!", "(", "a in (b) c"}) {
    auto selector = Selector::parse(bad, "");
    if (std::string_view(bad) == "a,") {
      EXPECT_TRUE(selector) << "a comma at the end is nothing";
      continue;
    }
    ASSERT_FALSE(selector) << bad;
    EXPECT_THAT(selector.error().message, HasSubstr("labelSelector"));
  }
  for (const char* bad : {"metadata.uid=x", "spec.x=1", "metadata.name", "metadata.name in (a)"}) {
    EXPECT_FALSE(Selector::parse("", bad)) << bad;
  }
  std::string many = "a";
  for (size_t i = 0; i < Selector::kMaxTerms; ++i) many += ",a";
  EXPECT_FALSE(Selector::parse(many, ""));
}

TEST(Selector, KnowsWhetherItIsByLabel) {
  EXPECT_TRUE(Selector::parse("a", "")->by_label());
  EXPECT_FALSE(Selector::parse("", "metadata.name=a")->by_label());
  EXPECT_TRUE(Selector::parse("", "")->empty());
}

}  // namespace
}  // namespace ebb::apiserver
