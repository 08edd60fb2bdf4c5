#include "api/schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/hpa.h"
#include "api/json.h"
#include "api/kinds.h"
#include "api/pod_autoscaler.h"
#include "api/types.h"

namespace ebb::api {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Schema, FindsUnknownFieldsAtEveryLevel) {
  Json json = *parse_json(R"({"apiVersion":"serving.knative.dev/v1","kind":"Service","extra":1,
      "metadata":{"name":"x","lables":{},"labels":{"any":"key"}},
      "spec":{"traffic":[{"percent":100},{"persent":1}],
              "template":{"metadata":{"annotation":{}},
                          "spec":{"containers":[{"imagee":"x","image":"y","env":[{"nam":"A"}]}],
                                  "volumes":[{"anything":1}]}}},
      "status":{"conditions":[{"type":"Ready"}]}})");
  Json good = *parse_json(R"({"apiVersion":"serving.knative.dev/v1","kind":"Service",
      "metadata":{"name":"x","labels":{"any":"key"}},
      "spec":{"traffic":[{"percent":100},{}],
              "template":{"metadata":{},
                          "spec":{"containers":[{"image":"y","env":[{}]}],
                                  "volumes":[{"anything":1}]}}},
      "status":{"conditions":[{"type":"Ready"}]}})");
  EXPECT_THAT(remove_unknown_fields(Service::kind(), json),
              ElementsAre("extra", "metadata.lables", "spec.template.metadata.annotation",
                          "spec.template.spec.containers[0].env[0].nam",
                          "spec.template.spec.containers[0].imagee", "spec.traffic[1].persent"));
  EXPECT_EQ(json, good);
  EXPECT_THAT(remove_unknown_fields(Service::kind(), json), IsEmpty());
}

TEST(Schema, LeavesWrongTypesToTheReader) {
  for (const char* text : {"5", "[]", R"({"spec":5})", R"({"spec":{"traffic":{"a":1}}})",
                           R"({"spec":{"traffic":[5]}})", R"({"metadata":[1]})"}) {
    Json json = *parse_json(text);
    EXPECT_THAT(remove_unknown_fields(Service::kind(), json), IsEmpty()) << text;
  }
}

// Every field that the types read is described, or users would be told it is unknown.
TEST(Schema, KnowsWhatTheTypesWrite) {
  Service service;
  service.meta.name = "a";
  service.meta.ns = "b";
  service.meta.uid = "c";
  service.meta.resource_version = "1";
  service.meta.generation = 1;
  service.meta.creation_timestamp = "t";
  service.meta.labels["a"] = "b";
  service.meta.annotations["a"] = "b";
  service.meta.owners.push_back({"v", "k", "n", "u", true, ""});
  RevisionSpec spec;
  Container& container = spec.containers.emplace_back();
  container = {"n",
               "i",
               {"c"},
               {"a"},
               {{"n", "v", ""}},
               {{"http1", 80, ""}},
               {{{"cpu", "1"}}, {{"cpu", "1"}}, ""},
               ""};
  spec.container_concurrency = spec.timeout_seconds = spec.response_start_timeout_seconds =
      spec.idle_timeout_seconds = 1;
  service.spec.revision_template.spec = spec;
  service.spec.revision_template.meta = service.meta;
  service.spec.traffic.push_back({"t", "r", "c", true, 100, "u", ""});
  service.status.conditions.push_back({"Ready", Condition::Status::kTrue, "r", "m", "t"});
  service.status.observed_generation = 1;
  service.status.url = service.status.address_url = "u";
  service.status.latest_created_revision = service.status.latest_ready_revision = "r";
  service.status.traffic = service.spec.traffic;
  Json json = service.to_json();
  EXPECT_THAT(remove_unknown_fields(Service::kind(), json), IsEmpty());

  Revision revision;
  revision.spec = spec;
  revision.status = {service.status.conditions, 1, 1, 1, "l", ""};
  json = revision.to_json();
  EXPECT_THAT(remove_unknown_fields(Revision::kind(), json), IsEmpty());
}

TEST(Schema, OnlyWritableKindsHaveOne) {
  for (const auto* kind : all_kinds()) {
    const bool writable = kind->group == "serving.knative.dev" ||
                          kind == &HorizontalPodAutoscaler::kind() ||
                          kind == &PodAutoscaler::kind();
    EXPECT_EQ(schema_of(*kind) != nullptr, writable) << kind->kind;
  }
}

}  // namespace
}  // namespace ebb::api
