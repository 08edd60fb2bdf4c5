// The API over HTTP: access, discovery, objects, code packages.
#include "apiserver/api_server.h"

#include "apiserver/openapi.h"
#include "apiserver/server_fixture.h"
#include "base/sha256.h"

namespace ebb::apiserver {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class ApiServerTest : public ServerFixture {};

// --- access ---

TEST_F(ApiServerTest, WantsTheTokenEverywhereButForHealth) {
  for (const char* target : {"/version", "/api", kServices, "/nothing", "/openapi/v2"}) {
    for (const char* authorization : {"", "Bearer wrong", "Bearer ", "Bearer the-token2",
                                      "Bearer the-toke", "Basic the-token"}) {
      auto answer = ask({.target = target, .authorization = authorization});
      EXPECT_EQ(answer.code, 401) << target << " with " << authorization;
      EXPECT_EQ(answer.json()["reason"], "Unauthorized");
    }
    EXPECT_NE(get(target).code, 401) << target;
  }
  for (const char* target : {"/healthz", "/readyz", "/livez"}) {
    EXPECT_EQ(ask({.target = target, .authorization = "", .host = "anything"}).code, 200);
  }
}

TEST_F(ApiServerTest, RefusesForeignHosts) {
  for (const char* host : {"evil.example", "127.0.0.1.evil.example", "localhost.evil.example",
                           "10.0.0.1", "0.0.0.0"}) {
    auto answer = ask({.target = "/version", .host = host});
    EXPECT_EQ(answer.code, 403) << host;
    EXPECT_EQ(answer.json()["kind"], "Status");
  }
  for (const char* host :
       {"localhost", "LOCALHOST:80", "127.0.0.1:1234", "127.1.2.3", "[::1]:80", "ebb.example"}) {
    EXPECT_EQ(ask({.target = "/version", .host = host}).code, 200) << host;
  }
}

TEST_F(ApiServerTest, ReadyzFollowsTheServer) {
  EXPECT_EQ(get("/readyz").code, 200);
  ready_ = false;
  EXPECT_EQ(get("/readyz").code, 503);
  EXPECT_EQ(get("/healthz").code, 200);
}

// --- autoscaling/v2 ---

TEST_F(ApiServerTest, AHorizontalPodAutoscalerIsStoredShownAndPatchedAsKubectlDoes) {
  const std::string all = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";
  const char* object = R"({"metadata": {"name": "h"}, "spec": {"maxReplicas": 4,
      "scaleTargetRef": {"apiVersion": "serving.knative.dev/v1", "kind": "Service",
                         "name": "hello"}}})";
  const auto created = ask({.method = "POST", .target = all, .body = object});
  ASSERT_EQ(created.code, 201) << created.body;
  EXPECT_EQ(created.json()["spec"]["minReplicas"], 1);
  const auto table = ask({.target = all, .accept = "application/json;as=Table;v=v1"}).json();
  const Json& row = table["rows"][0]["cells"];
  EXPECT_EQ(row[1], "Service/hello");
  EXPECT_EQ(row[2], "cpu: <unknown>/80%");
  EXPECT_EQ(row[5], 0);

  const std::string strategic = "application/strategic-merge-patch+json";
  const auto patched = patch(all + "/h", R"({"spec": {"maxReplicas": 7}})", strategic);
  ASSERT_EQ(patched.code, 200) << patched.body;
  EXPECT_EQ(patched.json()["spec"]["maxReplicas"], 7);
  EXPECT_EQ(patch(all + "/h", R"({"spec": {"$patch": "replace"}})", strategic).code, 422);
  const auto wrong = patch(all + "/h", R"({"spec": {"maxReplicas": 0}})", strategic);
  EXPECT_EQ(wrong.code, 422);
  EXPECT_EQ(wrong.json()["details"]["causes"][0]["field"], "spec.maxReplicas");
  ASSERT_EQ(post(service("hello")).code, 201);
  EXPECT_EQ(patch(path("hello"), "{}", strategic).code, 415);
  EXPECT_EQ(remove(all + "/h").code, 200);
  EXPECT_EQ(get(all + "/h").code, 404);
}

// --- discovery ---

TEST_F(ApiServerTest, Discovery) {
  EXPECT_THAT(get("/version").json()["gitVersion"].get<std::string>(), StartsWith("v1."));
  EXPECT_EQ(get("/api").json()["versions"][0], "v1");
  auto groups = get("/apis").json();
  ASSERT_EQ(groups["groups"].size(), 4U);
  EXPECT_EQ(groups["groups"][0]["preferredVersion"]["groupVersion"], "serving.knative.dev/v1");
  EXPECT_EQ(get("/apis/serving.knative.dev").json()["kind"], "APIGroup");
  auto resources = get("/apis/serving.knative.dev/v1").json();
  EXPECT_EQ(resources["kind"], "APIResourceList");
  EXPECT_EQ(resources["resources"][0]["name"], "services");
  EXPECT_EQ(resources["resources"][0]["shortNames"][0], "ksvc");
  EXPECT_EQ(resources["resources"][1]["name"], "services/status");
  auto core = get("/api/v1").json();
  EXPECT_EQ(core["resources"][0]["name"], "pods");
  EXPECT_EQ(core["resources"][1]["name"], "pods/log");
  EXPECT_EQ(core["resources"].back()["name"], "namespaces");
  EXPECT_EQ(core["resources"].back()["namespaced"], false);
  auto open_api = get("/openapi/v2");
  EXPECT_THAT(open_api.body, StartsWith("\x0a\x03"
                                        "2.0"));
  EXPECT_EQ(open_api.content_type, kOpenApiV2Type);
  for (const char* none : {"/", "/apis/x", "/apis/serving.knative.dev/v2", "/api/v2", "/openapi/v1",
                           "/apis/serving.knative.dev/v1/things", "/api/v1/services"}) {
    auto answer = get(none);
    EXPECT_EQ(answer.code, 404) << none;
    EXPECT_EQ(answer.json()["reason"], "NotFound");
  }
  EXPECT_EQ(get("/apis/ebb.dev/v1/info").json()["gateway"], "127.0.0.1:8080");
  EXPECT_EQ(get("/api/v1/namespaces/default/events?limit=500").json()["kind"], "EventList");
}

// --- objects ---

TEST_F(ApiServerTest, CreatesReadsAndDeletes) {
  auto created = post(service("hello"));
  ASSERT_EQ(created.code, 201) << created.body;
  Json object = created.json();
  EXPECT_EQ(object["metadata"]["namespace"], "default");
  EXPECT_EQ(object["metadata"]["generation"], 1);
  EXPECT_FALSE(object["metadata"]["uid"].get<std::string>().empty());
  EXPECT_EQ(object["spec"]["template"]["spec"]["timeoutSeconds"], 300) << "defaulted";
  EXPECT_EQ(get(path("hello")).json(), object);

  auto list = get(kServices).json();
  EXPECT_EQ(list["kind"], "ServiceList");
  EXPECT_EQ(list["items"].size(), 1U);
  EXPECT_EQ(list["metadata"]["resourceVersion"], object["metadata"]["resourceVersion"]);
  EXPECT_EQ(get("/apis/serving.knative.dev/v1/services").json()["items"].size(), 1U);

  auto removed = remove(path("hello"), R"({"propagationPolicy":"Background"})");
  EXPECT_EQ(removed.code, 200);
  EXPECT_EQ(removed.json()["status"], "Success");
  auto gone = get(path("hello"));
  EXPECT_EQ(gone.code, 404);
  EXPECT_EQ(gone.json()["message"], "services.serving.knative.dev \"hello\" not found");
  EXPECT_EQ(gone.json()["details"]["kind"], "services");
  EXPECT_EQ(remove(path("hello")).code, 404);
}

TEST_F(ApiServerTest, CreatingTwiceSaysSo) {
  post(service("hello"));
  auto again = post(service("hello"));
  EXPECT_EQ(again.code, 409);
  EXPECT_EQ(again.json()["reason"], "AlreadyExists");
}

TEST_F(ApiServerTest, AnInvalidObjectGetsOneCauseForEachField) {
  Json bad = service("Hello");
  bad["spec"]["template"]["spec"]["containerConcurrency"] = 5000;
  bad["spec"]["template"]["spec"]["containers"][0]["imagee"] = "x";
  auto answer = post(bad);
  EXPECT_EQ(answer.code, 422);
  Json status = answer.json();
  EXPECT_EQ(status["reason"], "Invalid");
  EXPECT_THAT(status["message"].get<std::string>(),
              StartsWith("Service.serving.knative.dev \"Hello\" is invalid: metadata.name: "));
  ASSERT_EQ(status["details"]["causes"].size(), 3U);
  EXPECT_EQ(status["details"]["causes"][0]["field"], "metadata.name");
  EXPECT_EQ(status["details"]["causes"][0]["reason"], "FieldValueInvalid");
  EXPECT_EQ(get(path("Hello")).code, 404);
}

TEST_F(ApiServerTest, RefusesBodiesThatAreNoObjects) {
  for (const char* body : {"{", "[]", "5", "{\"a\":1,\"a\":2}", R"({"metadata":5})",
                           R"({"metadata":{"name":"x","namespace":"other"}})",
                           R"({"metadata":{"name":"x","resourceVersion":"5"}})",
                           R"({"kind":"Route","metadata":{"name":"x"}})",
                           R"({"metadata":{"name":"x"},"spec":{"traffic":5}})"}) {
    auto answer = ask({.method = "POST", .target = kServices, .body = body});
    EXPECT_EQ(answer.code, 400) << body << " -> " << answer.body;
    EXPECT_EQ(answer.json()["reason"], "BadRequest");
  }
  auto text =
      ask({.method = "POST", .target = kServices, .body = "a: b", .content_type = "text/plain"});
  EXPECT_EQ(text.code, 415);
  for (const char* yaml : {"a: [", "", "a: 1\n---\nb: 2\n", "- a"}) {
    auto answer = ask(
        {.method = "POST", .target = kServices, .body = yaml, .content_type = "application/yaml"});
    EXPECT_EQ(answer.code, 400) << yaml;
  }
}

TEST_F(ApiServerTest, YamlBodies) {
  auto created = ask({.method = "POST",
                      .target = kServices,
                      .body = "metadata: {name: hello}\nspec:\n  template:\n    spec:\n"
                              "      containers: [image: ebb.dev/runtimes/python]\n",
                      .content_type = "application/yaml; charset=utf-8"});
  EXPECT_EQ(created.code, 201) << created.body;
  EXPECT_EQ(get(path("hello")).json()["kind"], "Service");
}

TEST_F(ApiServerTest, FieldValidation) {
  Json typo = service("hello");
  typo["spec"]["template"]["spec"]["containers"][0]["imagee"] = "x";
  typo["metadata"]["lables"] = Json::object();
  const auto create = [&](const std::string& how) {
    return ask({.method = "POST",
                .target = std::string(kServices) + "?dryRun=All&fieldValidation=" + how,
                .body = typo.dump()});
  };
  auto strict = create("Strict");
  EXPECT_EQ(strict.code, 400);
  EXPECT_EQ(strict.json()["message"],
            "Service in version \"v1\" cannot be handled as a Service: strict decoding error: "
            "unknown field \"metadata.lables\", "
            "unknown field \"spec.template.spec.containers[0].imagee\"");
  auto warned = create("Warn");
  EXPECT_EQ(warned.code, 201) << warned.body;
  EXPECT_EQ(warned.warnings, "299 - \"unknown field \\\"metadata.lables\\\"\"");
  EXPECT_FALSE(warned.json()["metadata"].contains("lables"));
  auto ignored = create("Ignore");
  EXPECT_EQ(ignored.code, 201);
  EXPECT_EQ(ignored.warnings, "");
  EXPECT_EQ(create("").code, 422) << "unknown fields of a spec are refused unless said otherwise";
  EXPECT_EQ(create("Whatever").code, 422);
  post(service("hello"));
  auto patched = patch(path("hello") + "?fieldValidation=Strict", R"({"spec":{"trafic":[]}})");
  EXPECT_EQ(patched.code, 400);
  EXPECT_THAT(patched.json()["message"].get<std::string>(),
              HasSubstr("unknown field \"spec.trafic\""));
}

TEST_F(ApiServerTest, ServerSideApply) {
  const std::string type = "application/apply-patch+yaml";
  const auto config = [](const std::string& rest) {
    return "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: hello\n" + rest +
           "\nspec:\n  template:\n    spec:\n      containers:\n"
           "      - image: ebb.dev/runtimes/python\n";
  };
  const std::string by = path("hello") + "?fieldValidation=Strict&fieldManager=";
  EXPECT_EQ(patch(path("hello"), config(""), type).code, 422) << "a manager is required";
  auto dry = patch(by + "one&dryRun=All", config(""), type);
  EXPECT_EQ(dry.code, 201) << dry.body;
  EXPECT_EQ(get(path("hello")).code, 404);
  auto created = patch(by + "one", config("  labels: {a: one, b: one}"), type);
  ASSERT_EQ(created.code, 201) << created.body;
  EXPECT_EQ(created.json()["metadata"]["managedFields"][0]["manager"], "one");
  auto again = patch(by + "one", config("  labels: {a: one, b: one}"), type);
  EXPECT_EQ(again.code, 200);
  EXPECT_EQ(again.json(), created.json()) << "nothing changed";

  auto fewer = patch(by + "one", config("  labels: {a: one}"), type);
  EXPECT_EQ(fewer.json()["metadata"]["labels"], Json({{"a", "one"}}));
  auto other = patch(by + "two", config("  labels: {a: two}"), type);
  EXPECT_EQ(other.code, 409);
  EXPECT_EQ(other.json()["message"],
            "Apply failed with 1 conflict: conflict with \"one\": .metadata.labels.a");
  EXPECT_EQ(other.json()["details"]["causes"][0]["field"], ".metadata.labels.a");
  auto forced = patch(by + "two&force=true", config("  labels: {a: two}"), type);
  EXPECT_EQ(forced.code, 200) << forced.body;
  EXPECT_EQ(forced.json()["metadata"]["labels"]["a"], "two");
  EXPECT_EQ(forced.json()["metadata"]["managedFields"].size(), 2U);

  EXPECT_EQ(patch(by + "one", "a: [", type).code, 400);
  EXPECT_EQ(patch(by + "one", "metadata: {name: hello}", type).code, 400);
  EXPECT_EQ(patch(by + "one", config("  lables: {}"), type).code, 400);
  EXPECT_EQ(patch(path("other") + "?fieldManager=x", config(""), type).code, 400);
}

TEST_F(ApiServerTest, AnUnknownRuntimeIsRefusedWithTheKnownOnes) {
  const Json old = post(service("old")).json();  // made while runtimes were not known
  runtimes_ = {{.name = "exec", .starts = {"run", "main"}, .problem = {}},
               {.name = "node", .starts = {}, .problem = "is not installed"}};
  auto refused = post(service("hello"));
  EXPECT_EQ(refused.code, 422);
  EXPECT_EQ(refused.json()["message"],
            "Service.serving.knative.dev \"hello\" is invalid: "
            "spec.template.spec.containers[0].image: Unsupported value: "
            "\"ebb.dev/runtimes/python\": supported values: \"ebb.dev/runtimes/exec\", "
            "\"ebb.dev/runtimes/node\"");
  EXPECT_EQ(refused.json()["details"]["causes"][0]["field"],
            "spec.template.spec.containers[0].image");
  Json good = service("hello");
  good["spec"]["template"]["spec"]["containers"][0]["image"] = "ebb.dev/runtimes/exec";
  EXPECT_EQ(post(good).code, 201);
  EXPECT_EQ(patch(path("hello"), old.dump()).code, 400) << "another name";
  EXPECT_EQ(patch(path("hello"), Json{{"spec", old["spec"]}}.dump()).code, 422);
  // What has it already may keep it, so that it can still be changed otherwise.
  EXPECT_EQ(patch(path("old"), R"({"metadata":{"labels":{"a":"b"}}})").code, 200);

  const Json info = get("/apis/ebb.dev/v1/info").json();
  EXPECT_EQ(info["runtimes"], Json::parse(R"([{"name": "exec", "starts": ["run", "main"]},
                            {"name": "node", "starts": [], "problem": "is not installed"}])"));
}

TEST_F(ApiServerTest, BoundsBodies) {
  Json large = service("hello");
  large["metadata"]["annotations"]["x"] = std::string(ApiServer::kMaxObjectBytes, 'x');
  auto answer = post(large);
  EXPECT_EQ(answer.code, 413);
  EXPECT_EQ(answer.json()["reason"], "RequestEntityTooLarge");
}

TEST_F(ApiServerTest, PutReplacesAndComparesTheVersion) {
  Json object = post(service("hello")).json();
  Json changed = object;
  changed["spec"]["template"]["spec"]["timeoutSeconds"] = 20;
  changed["spec"]["template"]["spec"]["responseStartTimeoutSeconds"] = 20;
  auto put = ask({.method = "PUT", .target = path("hello"), .body = changed.dump()});
  ASSERT_EQ(put.code, 200) << put.body;
  EXPECT_EQ(put.json()["metadata"]["generation"], 2);
  auto stale = ask({.method = "PUT", .target = path("hello"), .body = object.dump()});
  EXPECT_EQ(stale.code, 409);
  EXPECT_EQ(stale.json()["reason"], "Conflict");
  auto other = ask({.method = "PUT", .target = path("other"), .body = object.dump()});
  EXPECT_EQ(other.code, 400) << "the names differ";
  auto none = ask({.method = "PUT", .target = path("none"), .body = service("none").dump()});
  EXPECT_EQ(none.code, 404);
}

TEST_F(ApiServerTest, MergePatch) {
  post(service("hello"));
  auto patched = patch(path("hello"), R"({"metadata":{"labels":{"a":"b"}},
      "spec":{"template":{"spec":{"containerConcurrency":7}}}})");
  ASSERT_EQ(patched.code, 200) << patched.body;
  EXPECT_EQ(patched.json()["spec"]["template"]["spec"]["containerConcurrency"], 7);
  EXPECT_EQ(patched.json()["metadata"]["labels"]["a"], "b");
  auto removed = patch(path("hello"), R"({"metadata":{"labels":{"a":null}}})");
  EXPECT_FALSE(removed.json()["metadata"].contains("labels"));
  EXPECT_EQ(patch(path("hello"), R"({"spec":{"template":{"spec":{"containers":[]}}}})").code, 422);
  EXPECT_EQ(patch(path("hello"), R"({"metadata":{"resourceVersion":"1"}})").code, 409);
  EXPECT_EQ(patch(path("hello"), R"({"metadata":{"name":"other"}})").code, 400);
  EXPECT_EQ(patch(path("hello"), R"({"metadata":null})").code, 422);
  EXPECT_EQ(patch(path("hello"), "[]").code, 400);
  EXPECT_EQ(patch(path("none"), "{}").code, 404);
}

TEST_F(ApiServerTest, OtherPatches) {
  post(service("hello"));
  auto steps = patch(path("hello"), R"([{"op":"add","path":"/metadata/labels","value":{"a":"b"}}])",
                     "application/json-patch+json");
  ASSERT_EQ(steps.code, 200) << steps.body;
  EXPECT_EQ(steps.json()["metadata"]["labels"]["a"], "b");
  EXPECT_EQ(
      patch(path("hello"), R"([{"op":"remove","path":"/none"}])", "application/json-patch+json")
          .code,
      422);
  auto strategic = patch(path("hello"), "{}", "application/strategic-merge-patch+json");
  EXPECT_EQ(strategic.code, 415);
  EXPECT_EQ(strategic.json()["reason"], "UnsupportedMediaType");
}

TEST_F(ApiServerTest, StatusIsApart) {
  post(service("hello"));
  auto through_spec = patch(path("hello"), R"({"status":{"url":"http://x"}})");
  EXPECT_EQ(through_spec.code, 200);
  EXPECT_FALSE(through_spec.json().contains("status"));
  auto status =
      patch(path("hello") + "/status", R"({"status":{"url":"http://x"},"spec":{"traffic":[]}})");
  ASSERT_EQ(status.code, 200) << status.body;
  EXPECT_EQ(status.json()["status"]["url"], "http://x");
  EXPECT_EQ(status.json()["spec"]["traffic"].size(), 1U);
  EXPECT_EQ(get(path("hello") + "/status").json(), get(path("hello")).json());
}

TEST_F(ApiServerTest, DryRunStoresNothing) {
  std::string dry = "?dryRun=All";
  auto created = ask({.method = "POST", .target = kServices + dry, .body = service("a").dump()});
  EXPECT_EQ(created.code, 201) << created.body;
  EXPECT_EQ(created.json()["spec"]["template"]["spec"]["timeoutSeconds"], 300);
  EXPECT_EQ(get(path("a")).code, 404);
  Json object = post(service("a")).json();
  EXPECT_EQ(ask({.method = "POST", .target = kServices + dry, .body = service("a").dump()}).code,
            409);
  auto patched = patch(path("a") + dry, R"({"metadata":{"labels":{"x":"y"}}})");
  EXPECT_EQ(patched.json()["metadata"]["labels"]["x"], "y");
  EXPECT_EQ(remove(path("a") + dry).code, 200);
  EXPECT_EQ(remove(path("a"), R"({"dryRun":["All"]})").code, 200);
  EXPECT_EQ(get(path("a")).json(), object);
  EXPECT_EQ(remove(path("a") + "?dryRun=Some").code, 400);
}

TEST_F(ApiServerTest, DeletePreconditions) {
  Json object = post(service("a")).json();
  EXPECT_EQ(remove(path("a"), R"({"preconditions":{"uid":"other"}})").code, 409);
  EXPECT_EQ(remove(path("a"), R"({"preconditions":{"resourceVersion":"77"}})").code, 409);
  Json options;
  options["preconditions"]["uid"] = object["metadata"]["uid"];
  EXPECT_EQ(remove(path("a"), options.dump()).code, 200);
}

TEST_F(ApiServerTest, Selectors) {
  Json a = service("a");
  a["metadata"]["labels"]["tier"] = "front";
  post(a);
  post(service("b"));
  auto names = [&](const std::string& query) {
    std::string out;
    auto list = get(kServices + query).json();
    for (const auto& item : list["items"]) out += item["metadata"]["name"];
    return out;
  };
  EXPECT_EQ(names("?labelSelector=tier%3Dfront"), "a");
  EXPECT_EQ(names("?labelSelector=tier!=front"), "b");
  EXPECT_EQ(names("?labelSelector=tier"), "a");
  EXPECT_EQ(names("?labelSelector=!tier"), "b");
  EXPECT_EQ(names("?fieldSelector=metadata.name%3Db"), "b");
  EXPECT_EQ(names("?limit=1&unknown=x"), "ab") << "limit is a hint";
  EXPECT_EQ(get(std::string(kServices) + "?fieldSelector=spec.x%3Db").code, 400);
  EXPECT_EQ(names("?labelSelector=tier+in+(front,back)"), "a");
  EXPECT_EQ(get(std::string(kServices) + "?labelSelector=a+of+(b)").code, 400);
  EXPECT_EQ(get(std::string(kServices) + "?continue=abc").json()["reason"], "Expired");
}

TEST_F(ApiServerTest, Namespaces) {
  const auto names = [&] {
    std::string out;
    auto list = get("/api/v1/namespaces").json();
    for (const auto& item : list["items"]) out += item["metadata"]["name"].get<std::string>() + " ";
    return out;
  };
  EXPECT_EQ(names(), "default ");
  ask({.method = "POST",
       .target = "/apis/serving.knative.dev/v1/namespaces/team-a/services",
       .body = service("x").dump()});
  EXPECT_EQ(names(), "default team-a ");
  EXPECT_EQ(get("/api/v1/namespaces/team-a").json()["status"]["phase"], "Active");
  auto none = get("/api/v1/namespaces/none");
  EXPECT_EQ(none.code, 404);
  EXPECT_EQ(none.json()["message"], "namespaces \"none\" not found");
  auto table = ask({.target = "/api/v1/namespaces", .accept = "application/json;as=Table;v=v1"});
  EXPECT_EQ(table.json()["rows"].size(), 2U);
  EXPECT_EQ(remove("/api/v1/namespaces/team-a").code, 405);
}

TEST_F(ApiServerTest, OpenApi) {
  auto index = get("/openapi/v3").json();
  const std::string url = index["paths"]["apis/serving.knative.dev/v1"]["serverRelativeURL"];
  auto document = get(url).json();
  EXPECT_EQ(document["openapi"], "3.0.0");
  const Json& schemas = document["components"]["schemas"];
  const Json& service = schemas["dev.knative.serving.v1.Service"];
  EXPECT_EQ(service["x-kubernetes-group-version-kind"][0]["kind"], "Service");
  // Every reference leads somewhere.
  const std::string text = document.dump();
  const std::string mark = "#/components/schemas/";
  size_t references = 0;
  for (size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + 1)) {
    const size_t from = at + mark.size();
    EXPECT_TRUE(schemas.contains(text.substr(from, text.find('"', from) - from)));
    ++references;
  }
  EXPECT_GT(references, 10U);
  EXPECT_EQ(get("/openapi/v3/api/v1").code, 200);
  EXPECT_EQ(get("/openapi/v3/apis/none/v1").code, 404);
}

TEST_F(ApiServerTest, MethodsThatAreNotThere) {
  EXPECT_EQ(ask({.method = "POST",
                 .target = "/apis/serving.knative.dev/v1/services",
                 .body = service("a").dump()})
                .code,
            405);
  EXPECT_EQ(remove(kServices).code, 405);
  EXPECT_EQ(ask({.method = "POST", .target = "/version", .body = "{}"}).code, 405);
}

TEST_F(ApiServerTest, Tables) {
  post(service("hello"));
  clock_.advance(std::chrono::seconds(65));
  const std::string accept =
      "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;"
      "g=meta.k8s.io,application/json";
  auto table = ask({.target = kServices, .accept = accept}).json();
  EXPECT_EQ(table["kind"], "Table");
  EXPECT_EQ(table["columnDefinitions"][0]["name"], "Name");
  ASSERT_EQ(table["rows"].size(), 1U);
  EXPECT_EQ(table["rows"][0]["cells"][0], "hello");
  EXPECT_EQ(table["rows"][0]["cells"].back(), "65s");
  EXPECT_EQ(table["rows"][0]["cells"].size(), table["columnDefinitions"].size());
  EXPECT_EQ(table["rows"][0]["object"]["metadata"]["name"], "hello");
  EXPECT_EQ(ask({.target = path("none"), .accept = accept}).json()["kind"], "Status");
  auto whole = ask({.target = std::string(kServices) + "?includeObject=Object", .accept = accept});
  EXPECT_EQ(whole.json()["rows"][0]["object"]["kind"], "Service");
  auto bare = ask({.target = std::string(kServices) + "?includeObject=None", .accept = accept});
  EXPECT_TRUE(bare.json()["rows"][0]["object"].is_null());
}

TEST_F(ApiServerTest, PodsAndNodesAreLiveAndReadOnly) {
  auto& pod = live_.all_pods.emplace_back();
  pod.meta.name = "hello-1";
  pod.meta.ns = "default";
  pod.status.phase = "Running";
  live_.all_nodes.emplace_back().meta.name = "this";
  const std::string pods = "/api/v1/namespaces/default/pods";
  auto list = get(pods).json();
  EXPECT_EQ(list["kind"], "PodList");
  EXPECT_EQ(list["items"][0]["metadata"]["name"], "hello-1");
  EXPECT_EQ(get("/api/v1/namespaces/other/pods").json()["items"].size(), 0U);
  EXPECT_EQ(get(pods + "/hello-1").code, 200);
  EXPECT_EQ(get(pods + "/none").json()["message"], "pods \"none\" not found");
  EXPECT_EQ(get("/api/v1/nodes/this").code, 200);
  EXPECT_EQ(remove(pods + "/hello-1").code, 403);
  EXPECT_EQ(patch(pods + "/hello-1", "{}").code, 405);
  EXPECT_EQ(ask({.method = "POST", .target = pods, .body = R"({"metadata":{"name":"x"}})"}).code,
            405);
  live_.all_pods.clear();
  EXPECT_EQ(get(pods + "/hello-1").code, 404);
}

// --- code packages ---

TEST_F(ApiServerTest, CodePackages) {
  std::string content(300'000, 'x');
  std::string blob = "/apis/ebb.dev/v1/blobs/sha256:" + sha256_hex(content);
  EXPECT_EQ(ask({.method = "HEAD", .target = blob}).code, 404);
  auto put =
      ask({.method = "PUT", .target = blob, .body = content, .content_type = "application/x-tar"});
  EXPECT_EQ(put.code, 201) << put.body;
  EXPECT_EQ(put.json()["size"], content.size());
  EXPECT_EQ(ask({.method = "HEAD", .target = blob}).code, 200);
  auto got = get(blob);
  EXPECT_EQ(got.code, 200);
  EXPECT_EQ(got.body, content);
  EXPECT_EQ(ask({.method = "PUT", .target = blob, .body = content}).code, 201) << "again is fine";
}

// Announces a package of `size` bytes and sends nothing of it.
net::Task<int> announce(net::Executor* executor, net::Address to, std::string target,
                        uint64_t size) {
  TimePoint deadline = executor->now() + std::chrono::seconds(20);
  auto stream = co_await net::connect(*executor, to, deadline);
  http::ClientConnection connection(std::move(*stream));
  http::Fields fields;
  fields.add("Host", "localhost");
  fields.add("Authorization", "Bearer the-token");
  auto length = http::BodyLength::sized(size);
  (void)co_await connection.send_head("PUT", target, fields, length, "", deadline);
  auto head = co_await connection.read_head(deadline);
  co_return head ? (*head)->status : 0;
}

TEST_F(ApiServerTest, LargeCodePackagesAreRefusedAtOnce) {
  std::string blob = "/apis/ebb.dev/v1/blobs/sha256:" + std::string(64, '0');
  EXPECT_EQ(run(announce(&executor_, server_->address(), blob, BlobEndpoint::kMaxBytes + 1)), 413);
}

TEST_F(ApiServerTest, CodePackagesOfAnotherHashAreRefused) {
  std::string blob = "/apis/ebb.dev/v1/blobs/sha256:" + std::string(64, '0');
  auto put = ask({.method = "PUT", .target = blob, .body = "x"});
  EXPECT_EQ(put.code, 400);
  EXPECT_THAT(put.json()["message"].get<std::string>(), HasSubstr("has the digest"));
  EXPECT_EQ(get(blob).code, 404);
  EXPECT_EQ(get("/apis/ebb.dev/v1/blobs/sha256:..%2f..%2fetc").code, 400);
  EXPECT_EQ(remove(blob).code, 405);
}

}  // namespace
}  // namespace ebb::apiserver
