#include "cli/table.h"

#include <gtest/gtest.h>

#include <algorithm>

#include <nlohmann/json.hpp>

#include "api/kinds.h"

namespace ebb::cli {
namespace {

using api::Json;

const WallTime kNow = std::chrono::sys_days{std::chrono::year{2026} / 1 / 1};

std::string shown(const char* kind, const std::vector<Json>& objects, TableOptions options = {}) {
  options.now = kNow;
  return render(table_of(*api::find_kind(kind), objects, options));
}

TEST(TableTest, PadsColumnsAndLeavesNoTrailingSpaces) {
  const Table table{{"NAME", "STATE", "X"}, {{"a", "Occupied", ""}, {"l\xc3\xb6ng-name", "", "1"}}};
  EXPECT_EQ(render(table),
            "NAME        STATE      X\n"
            "a           Occupied\n"
            "l\xc3\xb6ng-name              1\n");
}

TEST(TableTest, Services) {
  const Json ready = Json::parse(R"({"metadata": {"name": "hello", "namespace": "default",
      "creationTimestamp": "2025-12-31T23:59:00Z"},
    "status": {"url": "http://hello.default.localhost",
      "latestCreatedRevisionName": "hello-00002", "latestReadyRevisionName": "hello-00001",
      "conditions": [{"type": "Other", "status": "False"},
                     {"type": "Ready", "status": "False", "reason": "RevisionFailed",
                      "message": "line 1\nline 2"}]}})");
  const Json fresh = Json::parse(R"({"metadata": {"name": "new"}})");
  EXPECT_EQ(shown("ksvc", {ready, fresh}),
            "NAME    URL                              LATESTCREATED   LATESTREADY   READY     AGE  "
            "       "
            "REASON\n"
            "hello   http://hello.default.localhost   hello-00002     hello-00001   False     60s  "
            "       "
            "RevisionFailed: line 1 ...\n"
            "new                                                                    Unknown   "
            "<unknown>\n");
}

TEST(TableTest, PodsAndNodes) {
  const Json pod = Json::parse(R"({"metadata": {"name": "p1",
    "creationTimestamp": "2025-12-31T23:58:30Z",
    "labels": {"ebb.dev/state": "warm", "ebb.dev/runtime": "python",
      "serving.knative.dev/revision": "hello-00001", "serving.knative.dev/service": "hello"}},
    "spec": {"nodeName": "n1"}})");
  EXPECT_EQ(shown("po", {pod}),
            "NAME   NODE   STATE   REVISION      RUNTIME   AGE\n"
            "p1     n1     Warm    hello-00001   python    90s\n");
  EXPECT_EQ(shown("po", {pod}, {.wide = true, .namespaces = false, .now = {}}),
            "NAME   NODE   STATE   REVISION      RUNTIME   AGE   SERVICE\n"
            "p1     n1     Warm    hello-00001   python    90s   hello\n");
  const Json node = Json::parse(R"({"metadata": {"name": "n1", "labels":
    {"ebb.dev/state": "Occupied"}, "annotations": {"ebb.dev/cold-pods": "7",
    "ebb.dev/warm-pods": "1"}}, "status": {"conditions": [{"type": "NetworkUnavailable",
    "status": "True", "message": "no network"}]}})");
  EXPECT_EQ(shown("nodes", {node}, {.wide = false, .namespaces = true, .now = {}}),
            "NAME   STATE      COLD   WARM   AGE         PROBLEM\n"
            "n1     Occupied   7      1      <unknown>   no network\n");
}

TEST(TableTest, NamespacesComeFirst) {
  const Json route = Json::parse(R"({"metadata": {"name": "r", "namespace": "team"},
    "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Old"}]}})");
  EXPECT_EQ(shown("routes", {route}, {.wide = false, .namespaces = true, .now = {}}),
            "NAMESPACE   NAME   URL   READY   AGE         REASON\n"
            "team        r            True    <unknown>\n");
}

TEST(TableTest, EveryKindHasItsAge) {
  for (const api::Kind* kind : api::all_kinds()) {
    const Table table = table_of(*kind, {}, {});
    const char* title = kind->plural == "events"          ? "LAST SEEN"
                        : kind->group == "metrics.k8s.io" ? "WINDOW"
                                                          : "AGE";
    EXPECT_EQ(std::count(table.columns.begin(), table.columns.end(), title), 1) << kind->plural;
  }
}

TEST(TableTest, SurvivesObjectsOfAnyShape) {
  for (const char* text : {"{}", R"({"metadata": 1, "status": []})",
                           R"({"status": {"conditions": {"type": "Ready"}}})",
                           R"({"status": {"conditions": [1, null]}, "metadata": {"labels": 3}})"}) {
    for (const api::Kind* kind : api::all_kinds()) {
      EXPECT_EQ(table_of(*kind, {Json::parse(text)}, {}).rows.size(), 1U);
    }
  }
}

TEST(TableTest, EscapesWhatWouldSteerTheTerminal) {
  const Json evil = Json::parse(R"({"metadata": {"name": "a[31m"}})");
  EXPECT_EQ(shown("nodes", {evil}).find('\x1b'), std::string::npos);
}

TEST(TableTest, AgesAreKubectls) {
  using namespace std::chrono_literals;
  EXPECT_EQ(format_age(-5s), "0s");
  EXPECT_EQ(format_age(119s), "119s");
  EXPECT_EQ(format_age(192s), "3m12s");
  EXPECT_EQ(format_age(5min), "5m");
  EXPECT_EQ(format_age(179min), "179m");
  EXPECT_EQ(format_age(4h + 5min), "4h5m");
  EXPECT_EQ(format_age(47h), "47h");
  EXPECT_EQ(format_age(51h), "2d3h");
  EXPECT_EQ(format_age(24h * 400), "400d");
  EXPECT_EQ(format_age(24h * 800), "2y70d");
}

}  // namespace
}  // namespace ebb::cli
