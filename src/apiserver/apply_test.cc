#include "apiserver/apply.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/json.h"

namespace ebb::apiserver {
namespace {

using api::Json;
using testing::ElementsAre;
using testing::IsEmpty;

Json read(std::string_view text) { return *api::parse_json(text); }

// As the API does it, without defaults.
struct Object {
  Json live;

  std::vector<std::string> apply(const std::string& manager, std::string_view text) {
    const Json config = read(text);
    Json after = merge_applied(live, config, manager);
    auto conflicts = apply_conflicts(live, after, config, manager);
    if (conflicts.empty()) force(manager, text);
    return conflicts;
  }
  void force(const std::string& manager, std::string_view text) {
    const Json config = read(text);
    Json after = merge_applied(live, config, manager);
    set_managed(live, after, config, manager, "now");
    live = after;
  }
  void update(std::string_view merge_patch) {
    Json after = live;
    after.merge_patch(read(merge_patch));
    keep_managed(live, after);
    live = after;
  }
  [[nodiscard]] Json without_fields() const {
    Json out = live;
    out["metadata"].erase("managedFields");
    return out;
  }
  [[nodiscard]] Json fields(const std::string& manager) const {
    for (const auto& entry : live["metadata"].value("managedFields", Json::array())) {
      if (entry["manager"] == manager) return entry["fieldsV1"];
    }
    return {};
  }
};

TEST(Apply, NotesWhatWasSet) {
  Object object;
  EXPECT_THAT(object.apply("a", R"({"apiVersion":"v1","kind":"X",
      "metadata":{"name":"x","labels":{"l":"1"}},"spec":{"list":[1],"n":2,"empty":{}}})"),
              IsEmpty());
  EXPECT_EQ(object.fields("a"), read(R"({"f:metadata":{"f:labels":{"f:l":{}}},
                     "f:spec":{"f:list":{},"f:n":{}}})"));
}

TEST(Apply, RemovesWhatItsManagerNoLongerWants) {
  Object object;
  (void)object.apply("a", R"({"metadata":{"labels":{"x":"1","y":"1"}},"spec":{"n":1,"m":1}})");
  (void)object.apply("b", R"({"metadata":{},"spec":{"m":1}})");
  EXPECT_THAT(object.apply("a", R"({"metadata":{"labels":{"y":"1"}},"spec":{}})"), IsEmpty());
  EXPECT_EQ(object.without_fields(), read(R"({"metadata":{"labels":{"y":"1"}},"spec":{"m":1}})"))
      << "m is b's too";
}

TEST(Apply, LeavesWhatOthersSet) {
  Object object;
  (void)object.apply("a", R"({"metadata":{},"spec":{"n":1}})");
  object.update(R"({"metadata":{"annotations":{"k":"v"}},"spec":{"free":true}})");
  (void)object.apply("a", R"({"metadata":{},"spec":{"n":2}})");
  EXPECT_EQ(object.without_fields(),
            read(R"({"metadata":{"annotations":{"k":"v"}},"spec":{"n":2,"free":true}})"));
}

TEST(Apply, ConflictsAreTold) {
  Object object;
  (void)object.apply("a", R"({"metadata":{},"spec":{"n":1,"same":1,"list":[1]}})");
  EXPECT_THAT(object.apply("b", R"({"metadata":{},"spec":{"n":2,"same":1,"list":[1,2]}})"),
              ElementsAre("conflict with \"a\": .spec.list", "conflict with \"a\": .spec.n"));
  object.force("b", R"({"metadata":{},"spec":{"n":2,"same":1}})");
  EXPECT_EQ(object.fields("a"), read(R"({"f:spec":{"f:same":{},"f:list":{}}})"));
  EXPECT_THAT(object.apply("a", R"({"metadata":{},"spec":{"n":1,"same":1}})"),
              ElementsAre("conflict with \"b\": .spec.n"));
}

TEST(Apply, AnUpdateTakesWhatItChanges) {
  Object object;
  (void)object.apply("a", R"({"metadata":{},"spec":{"n":1,"m":1}})");
  object.update(R"({"spec":{"n":5}})");
  EXPECT_EQ(object.fields("a"), read(R"({"f:spec":{"f:m":{}}})"));
  (void)object.apply("a", R"({"metadata":{},"spec":{"m":1}})");
  EXPECT_EQ(object.without_fields()["spec"], read(R"({"n":5,"m":1})")) << "n is no longer a's";
  object.update(R"({"metadata":{"managedFields":[]}})");
  EXPECT_FALSE(object.live["metadata"].contains("managedFields"));
}

TEST(Apply, ReplacesWhatHasAnotherShape) {
  Object object;
  (void)object.apply("a", R"({"metadata":{},"spec":{"x":1,"y":{"z":1}}})");
  EXPECT_THAT(object.apply("a", R"({"metadata":{},"spec":{"x":{"z":null,"w":1},"y":2}})"),
              IsEmpty());
  EXPECT_EQ(object.without_fields()["spec"]["x"]["w"], 1);
  EXPECT_EQ(object.without_fields()["spec"]["y"], 2);
}

TEST(Apply, BearsBrokenNotes) {
  const Json config = read(R"({"metadata":{},"spec":{"n":1}})");
  for (const char* notes : {"5", "[5]", "[{}]", R"([{"manager":1,"fieldsV1":{}}])",
                            R"([{"manager":"a","fieldsV1":[]}])",
                            R"([{"manager":"a","fieldsV1":{"x":5,"f:spec":7}}])"}) {
    Json live = read(R"({"metadata":{},"spec":{"n":2}})");
    live["metadata"]["managedFields"] = read(notes);
    Json after = merge_applied(live, config, "b");
    (void)apply_conflicts(live, after, config, "b");
    set_managed(live, after, config, "b", "now");
    keep_managed(live, after);
    EXPECT_EQ(after["spec"]["n"], 1) << notes;
  }
}

}  // namespace
}  // namespace ebb::apiserver
