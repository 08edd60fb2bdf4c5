#include "api/types.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/defaults.h"
#include "api/json.h"
#include "api/validate.h"

namespace ebb::api {
namespace {

using testing::Contains;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr const char* kHello = R"({
  "apiVersion": "serving.knative.dev/v1", "kind": "Service",
  "metadata": {"name": "hello", "namespace": "default", "creationTimestamp": null,
               "labels": {"app": "x"}, "finalizers": ["a/b"]},
  "spec": {
    "template": {
      "metadata": {"annotations": {"autoscaling.knative.dev/min-scale": "1",
        "ebb.dev/code": "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}},
      "spec": {
        "containerConcurrency": 5, "timeoutSeconds": 30, "enableServiceLinks": false,
        "containers": [{
          "image": "ebb.dev/runtimes/python", "name": "fn", "args": ["a"], "command": ["c"],
          "env": [{"name": "A", "value": "1"}, {"name": "EMPTY"}],
          "ports": [{"containerPort": 8080, "name": "http1", "protocol": "TCP"}],
          "readinessProbe": {"httpGet": {"path": "/"}},
          "resources": {"limits": {"cpu": 1, "memory": "128Mi"}, "requests": {"cpu": "500m"}}
        }]
      }
    },
    "traffic": [{"latestRevision": true, "percent": 90, "tag": "new"},
                {"revisionName": "hello-00001", "percent": 10}]
  },
  "status": {"observedGeneration": 3, "url": "http://hello.default.localhost",
    "address": {"url": "http://hello"}, "latestReadyRevisionName": "hello-00002",
    "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    "traffic": [{"revisionName": "hello-00002", "percent": 100, "latestRevision": true}]}
})";

Service hello() {
  auto service = Service::from_json(*parse_json(kHello));
  EXPECT_TRUE(service) << service.error().message;
  return *service;
}

// The paths of the errors of a service after `change`.
template <class Change>
std::vector<FieldError> errors_of(Change change) {
  Service service = hello();
  change(service);
  apply_defaults(service);
  return validate(service);
}

auto at(const char* path) { return Contains(Field(&FieldError::path, path)); }

Container& container(Service& s) { return s.spec.revision_template.spec.containers[0]; }

TEST(ServiceJson, ReadsAllMembers) {
  Service s = hello();
  EXPECT_EQ(s.meta.name, "hello");
  EXPECT_EQ(s.meta.labels.at("app"), "x");
  EXPECT_THAT(s.spec.revision_template.meta.annotation(kCodeAnnotation), StartsWith("sha256:01"));
  EXPECT_EQ(s.spec.revision_template.spec.container_concurrency, 5);
  EXPECT_EQ(container(s).resources.limits.at("cpu"), "1");
  EXPECT_EQ(container(s).env[1].name, "EMPTY");
  EXPECT_EQ(container(s).ports[0].container_port, 8080);
  EXPECT_EQ(s.spec.traffic[0].percent, 90);
  EXPECT_EQ(s.spec.traffic[1].revision_name, "hello-00001");
  EXPECT_EQ(s.status.observed_generation, 3);
  EXPECT_EQ(s.status.address_url, "http://hello");
  EXPECT_EQ(s.status.conditions[0].status, Condition::Status::kTrue);
}

TEST(ServiceJson, RoundTripKeepsUnknownFields) {
  Json json = hello().to_json();
  EXPECT_EQ(json["metadata"]["finalizers"][0], "a/b");
  EXPECT_EQ(json["spec"]["template"]["spec"]["enableServiceLinks"], false);
  const Json& c = json["spec"]["template"]["spec"]["containers"][0];
  EXPECT_EQ(c["readinessProbe"]["httpGet"]["path"], "/");
  EXPECT_EQ(c["ports"][0]["protocol"], "TCP");
  EXPECT_EQ(*Service::from_json(json), hello());
  EXPECT_EQ(Service::from_json(json)->to_json(), json);
}

TEST(ServiceJson, NamesTheFieldOfAWrongType) {
  Json json = *parse_json(kHello);
  json["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = 5;
  json["spec"]["traffic"][0]["percent"] = "90";
  auto service = Service::from_json(json);
  ASSERT_FALSE(service);
  EXPECT_EQ(service.error().code, Errc::kInvalid);
  EXPECT_THAT(service.error().message,
              HasSubstr("spec.template.spec.containers[0].env[0].value: Invalid value: 5: must be "
                        "of type string, not number"));
  EXPECT_THAT(service.error().message, HasSubstr("spec.traffic[0].percent"));
}

TEST(ServiceJson, RefusesAnotherKind) {
  EXPECT_FALSE(Route::from_json(*parse_json(kHello)));
  EXPECT_FALSE(Service::from_json(*parse_json(R"({"apiVersion":"v1","kind":"Service"})")));
  EXPECT_FALSE(Service::from_json(Json(5)));
  EXPECT_FALSE(
      Service::from_json(*parse_json(R"({"metadata":{"generation":18446744073709551615}})")));
}

TEST(OtherKinds, RoundTrip) {
  Revision revision;
  revision.meta.name = "hello-00001";
  revision.meta.ns = "default";
  revision.meta.owners.push_back(
      {"serving.knative.dev/v1", "Configuration", "hello", "u1", true, R"({"x":1})"});
  revision.spec = hello().spec.revision_template.spec;
  revision.status.actual_replicas = 2;
  EXPECT_EQ(Revision::from_json(revision.to_json()), revision);

  Route route;
  route.meta.name = "hello";
  route.spec.traffic = hello().spec.traffic;
  route.status.url = "http://x";
  EXPECT_EQ(Route::from_json(route.to_json()), route);

  Configuration configuration;
  configuration.spec.revision_template = hello().spec.revision_template;
  configuration.status.latest_ready_revision = "hello-00001";
  EXPECT_EQ(Configuration::from_json(configuration.to_json()), configuration);
}

TEST(OtherKinds, PodAndNodeShowWhatKubectlReads) {
  Pod pod;
  pod.meta.name = "hello-1";
  pod.spec.node_name = "n1";
  pod.spec.containers.emplace_back().name = "user-container";
  pod.status.phase = "Running";
  pod.status.start_time = "2026-01-01T00:00:00Z";
  pod.status.ready = true;
  Json json = pod.to_json();
  EXPECT_EQ(json["apiVersion"], "v1");
  EXPECT_EQ(json["status"]["containerStatuses"][0]["ready"], true);
  EXPECT_EQ(json["status"]["containerStatuses"][0]["state"]["running"]["startedAt"],
            "2026-01-01T00:00:00Z");
  EXPECT_EQ(Pod::from_json(json), pod);

  Node node;
  node.meta.name = "n1";
  node.spec.unschedulable = true;
  node.status.capacity = {{"pods", "50"}, {"memory", "8Gi"}};
  node.status.internal_ip = "127.0.0.1";
  node.status.version = "0.1";
  EXPECT_EQ(node.to_json()["status"]["addresses"][0]["type"], "InternalIP");
  EXPECT_EQ(Node::from_json(node.to_json()), node);
}

TEST(Defaults, FillWhatIsMissing) {
  Service s;
  s.meta.name = "a";
  s.spec.revision_template.spec.containers.emplace_back().image = "ebb.dev/runtimes/python";
  apply_defaults(s);
  const auto& spec = s.spec.revision_template.spec;
  EXPECT_EQ(s.meta.ns, "default");
  EXPECT_EQ(spec.containers[0].name, "") << "a list is left as it was";
  EXPECT_EQ(spec.container_concurrency, 0);
  EXPECT_EQ(spec.timeout_seconds, 300);
  EXPECT_EQ(spec.response_start_timeout_seconds, 300);
  ASSERT_EQ(s.spec.traffic.size(), 1U);
  EXPECT_EQ(s.spec.traffic[0].latest_revision, true);
  EXPECT_EQ(s.spec.traffic[0].percent, 100);
  EXPECT_THAT(validate(s), IsEmpty());
  Service again = s;
  apply_defaults(again);
  EXPECT_EQ(again, s);
}

TEST(Defaults, ResponseStartStaysWithinTheTimeout) {
  Service s = hello();
  apply_defaults(s);
  EXPECT_EQ(s.spec.revision_template.spec.response_start_timeout_seconds, 30);
}

TEST(Validate, AcceptsTheExample) {
  EXPECT_THAT(errors_of([](Service&) {}), IsEmpty());
}

TEST(Validate, Names) {
  for (const char* name : {"", "Hello", "1a", "a-", "a.b", "a_b"}) {
    EXPECT_THAT(errors_of([&](Service& s) { s.meta.name = name; }), at("metadata.name")) << name;
  }
  EXPECT_THAT(errors_of([](Service& s) { s.meta.name = std::string(64, 'a'); }),
              at("metadata.name"));
  EXPECT_THAT(errors_of([](Service& s) {
                s.meta.name = std::string(63, 'a');
                for (auto& target : s.spec.traffic) target.tag.clear();
              }),
              IsEmpty());
}

TEST(Validate, TrafficSumsTo100) {
  auto errors = errors_of([](Service& s) { s.spec.traffic[0].percent = 80; });
  ASSERT_THAT(errors, at("spec.traffic"));
  EXPECT_EQ(errors[0].message, "Invalid value: 90: traffic percentages must sum to 100");
  errors = errors_of([](Service& s) { s.spec.traffic[0].percent = 120; });
  ASSERT_EQ(errors.size(), 2U);
  EXPECT_EQ(errors[0].path, "spec.traffic[0].percent");
  EXPECT_EQ(errors[1].message, "Invalid value: 130: traffic percentages must sum to 100")
      << "what is out of bounds counts too";
  EXPECT_THAT(errors_of([](Service& s) {
                s.spec.traffic[0].percent = 190;
                s.spec.traffic[1].percent = -90;
              }),
              at("spec.traffic[1].percent"));
}

TEST(Validate, TrafficNamesOneRevision) {
  EXPECT_THAT(errors_of([](Service& s) { s.spec.traffic[1].latest_revision = true; }),
              at("spec.traffic[1].latestRevision"));
  EXPECT_THAT(errors_of([](Service& s) { s.spec.traffic[0].latest_revision = false; }),
              at("spec.traffic[0].latestRevision"));
  EXPECT_THAT(errors_of([](Service& s) { s.spec.traffic[0].configuration_name = "hello"; }),
              at("spec.traffic[0].configurationName"));
  EXPECT_THAT(errors_of([](Service& s) { s.spec.traffic[0].url = "http://x"; }),
              at("spec.traffic[0].url"));
}

TEST(Validate, TagsAreUnique) {
  EXPECT_THAT(errors_of([](Service& s) { s.spec.traffic[1].tag = "new"; }),
              at("spec.traffic[1].tag"));
  EXPECT_THAT(errors_of([](Service& s) { s.spec.traffic[1].tag = "Old"; }),
              at("spec.traffic[1].tag"));
}

TEST(Validate, RouteTargets) {
  Route route;
  route.meta.name = "r";
  route.spec.traffic.emplace_back().configuration_name = "c";
  route.spec.traffic[0].percent = 100;
  apply_defaults(route);
  EXPECT_THAT(validate(route), IsEmpty());
  route.spec.traffic[0].revision_name = "c-00001";
  EXPECT_THAT(validate(route), at("spec.traffic[0]"));
  route.spec.traffic.clear();
  EXPECT_THAT(validate(route), at("spec.traffic"));
}

TEST(Validate, Image) {
  const char* path = "spec.template.spec.containers[0].image";
  for (const char* image : {"", "gcr.io/x/y", "ebb.dev/runtimes/", "ebb.dev/runtimes/../x"}) {
    EXPECT_THAT(errors_of([&](Service& s) { container(s).image = image; }), at(path)) << image;
  }
}

TEST(Validate, CodeAnnotation) {
  for (const std::string& code :
       {std::string("sha256:12"), std::string("md5:1"), "sha256:" + std::string(64, 'A')}) {
    EXPECT_THAT(errors_of([&](Service& s) {
                  s.spec.revision_template.meta.annotations["ebb.dev/code"] = code;
                }),
                at("spec.template.metadata.annotations[ebb.dev/code]"));
  }
}

TEST(Validate, SwitchesAmongAnnotations) {
  for (const std::string key : {"ebb.dev/freeze", "ebb.dev/preload"}) {
    const auto with = [&key](const char* wish) {
      return errors_of(
          [&key, wish](Service& s) { s.spec.revision_template.meta.annotations[key] = wish; });
    };
    for (const char* wish : {"", "yes", "True"}) {
      const std::string place = "spec.template.metadata.annotations[" + key + "]";
      EXPECT_THAT(with(wish), at(place.c_str()));
    }
    EXPECT_THAT(with("true"), testing::IsEmpty());
    EXPECT_THAT(with("false"), testing::IsEmpty());
    if (key == "ebb.dev/preload") {
      EXPECT_THAT(with("auto"), testing::IsEmpty());
    }
  }
}

TEST(Validate, LoadBalancingAnnotation) {
  const auto with = [](const char* wish) {
    return errors_of([wish](Service& s) {
      s.spec.revision_template.meta.annotations["ebb.dev/load-balancing"] = wish;
    });
  };
  EXPECT_THAT(with("pack"), IsEmpty());
  EXPECT_THAT(with("spread"), IsEmpty());
  for (const char* wish : {"", "Pack", "least-loaded"}) {
    EXPECT_THAT(with(wish), at("spec.template.metadata.annotations[ebb.dev/load-balancing]"));
    EXPECT_THAT(with(wish).front().message, testing::HasSubstr("must be \"pack\" or \"spread\""));
  }
}

TEST(Validate, NetworkAnnotation) {
  const auto with = [](const char* network) {
    return errors_of([network](Service& s) {
      s.spec.revision_template.meta.annotations["ebb.dev/network"] = network;
    });
  };
  EXPECT_THAT(with("egress"), IsEmpty());
  EXPECT_THAT(with("none"), IsEmpty());
  for (const char* network : {"", "host", "None"}) {
    EXPECT_THAT(with(network), at("spec.template.metadata.annotations[ebb.dev/network]"));
  }
}

TEST(Validate, Bounds) {
  auto spec_at = [](auto change) {
    return errors_of([&](Service& s) { change(s.spec.revision_template.spec); });
  };
  EXPECT_THAT(spec_at([](RevisionSpec& r) { r.container_concurrency = 1001; }),
              at("spec.template.spec.containerConcurrency"));
  EXPECT_THAT(spec_at([](RevisionSpec& r) { r.container_concurrency = 1000; }), IsEmpty());
  EXPECT_THAT(spec_at([](RevisionSpec& r) { r.timeout_seconds = 601; }),
              at("spec.template.spec.timeoutSeconds"));
  EXPECT_THAT(spec_at([](RevisionSpec& r) { r.response_start_timeout_seconds = 601; }),
              at("spec.template.spec.responseStartTimeoutSeconds"));
  EXPECT_THAT(spec_at([](RevisionSpec& r) {
                r.timeout_seconds = 30;  // its default of before stays in what is stored
                r.response_start_timeout_seconds = r.idle_timeout_seconds = 300;
              }),
              IsEmpty());
  EXPECT_THAT(spec_at([](RevisionSpec& r) { r.idle_timeout_seconds = -1; }),
              at("spec.template.spec.idleTimeoutSeconds"));
  EXPECT_THAT(spec_at([](RevisionSpec& r) { r.containers.clear(); }),
              at("spec.template.spec.containers"));
  EXPECT_THAT(spec_at([](RevisionSpec& r) { r.containers.push_back(r.containers[0]); }),
              at("spec.template.spec.containers"));
}

TEST(Validate, Resources) {
  EXPECT_THAT(errors_of([](Service& s) { container(s).resources.limits["memory"] = "lots"; }),
              at("spec.template.spec.containers[0].resources.limits.memory"));
  EXPECT_THAT(errors_of([](Service& s) { container(s).resources.limits["gpu"] = "1"; }),
              at("spec.template.spec.containers[0].resources.limits.gpu"));
  EXPECT_THAT(errors_of([](Service& s) { container(s).resources.requests["cpu"] = "1001m"; }),
              at("spec.template.spec.containers[0].resources.requests.cpu"));
}

TEST(Validate, Env) {
  for (const char* name : {"", "1A", "A=B", "PORT", "K_SERVICE"}) {
    EXPECT_THAT(errors_of([&](Service& s) { container(s).env[0].name = name; }),
                at("spec.template.spec.containers[0].env[0].name"))
        << name;
  }
  EXPECT_THAT(errors_of([](Service& s) { container(s).env[0].value = std::string("a\0b", 3); }),
              at("spec.template.spec.containers[0].env[0].value"));
}

TEST(Validate, RefusesFieldsThatWouldHaveNoEffect) {
  EXPECT_THAT(errors_of([](Service& s) { container(s).extra = R"({"volumeMounts":[]})"; }),
              at("spec.template.spec.containers[0].volumeMounts"));
  EXPECT_THAT(errors_of([](Service& s) {
                container(s).env[0].extra = R"({"valueFrom":{"secretKeyRef":{}}})";
              }),
              at("spec.template.spec.containers[0].env[0].valueFrom"));
  EXPECT_THAT(
      errors_of([](Service& s) { s.meta.annotations["autoscaling.knative.dev/min-scale"] = "1"; }),
      at("metadata.annotations[autoscaling.knative.dev/min-scale]"));
}

TEST(Validate, RevisionNameHasTheServicesPrefix) {
  auto named = [](const char* name) {
    return errors_of([&](Service& s) { s.spec.revision_template.meta.name = name; });
  };
  EXPECT_THAT(named("hello-v1"), IsEmpty());
  EXPECT_THAT(named("other-v1"), at("spec.template.metadata.name"));
  EXPECT_THAT(named("hello-"), at("spec.template.metadata.name"));
}

TEST(ValidateUpdate, ANamedTemplateNeedsANewNameToChange) {
  Service before = hello();
  before.spec.revision_template.meta.name = "hello-v1";
  Service after = before;
  after.spec.traffic.clear();
  EXPECT_THAT(validate_update(before, after), IsEmpty());
  container(after).env[0].value = "2";
  EXPECT_THAT(validate_update(before, after), at("spec.template.metadata.name"));
  after.spec.revision_template.meta.name = "hello-v2";
  EXPECT_THAT(validate_update(before, after), IsEmpty());
}

TEST(ValidateUpdate, ARevisionsSpecIsImmutable) {
  Revision before;
  before.spec = hello().spec.revision_template.spec;
  Revision after = before;
  after.meta.labels["x"] = "y";
  EXPECT_THAT(validate_update(before, after), IsEmpty());
  after.spec.timeout_seconds = 31;
  EXPECT_THAT(validate_update(before, after), at("spec"));
}

TEST(Validate, LabelsAndAnnotations) {
  const auto label = [](const std::string& key, const std::string& value) {
    return errors_of([&](Service& s) { s.meta.labels[key] = value; });
  };
  for (const char* good : {"a", "A-b_c.d", "example.com/x", "a-b.c/x", "1"}) {
    EXPECT_THAT(label(good, "v"), IsEmpty()) << good;
    EXPECT_THAT(errors_of([&](Service& s) { s.meta.annotations[good] = "any text, \n too"; }),
                IsEmpty());
  }
  for (const char* bad : {"", "-a", "a-", "a b", "/a", "a/", "a/b/c", "Example.com/x", "a..b/x",
                          ".a/x", "a-.b/x", "é"}) {
    EXPECT_THAT(label(bad, "v"), at("metadata.labels")) << bad;
    EXPECT_THAT(errors_of([&](Service& s) { s.spec.revision_template.meta.annotations[bad] = ""; }),
                at("spec.template.metadata.annotations"))
        << bad;
  }
  EXPECT_THAT(label("a", ""), IsEmpty());
  EXPECT_THAT(label("a", "with blank"), at("metadata.labels[a]"));
  EXPECT_THAT(label("a", std::string(64, 'x')), at("metadata.labels[a]"));
  EXPECT_THAT(label(std::string(64, 'x'), "v"), at("metadata.labels"));
  EXPECT_THAT(errors_of([](Service& s) {
                s.meta.annotations["a"] = std::string(kMaxAnnotationBytes, 'x');
              }),
              at("metadata.annotations"));
}

TEST(Validate, RoutingMarks) {
  const auto rollout = [](const std::string& value) {
    return errors_of(
        [&](Service& s) { s.meta.annotations[std::string(kRolloutDuration)] = value; });
  };
  EXPECT_THAT(rollout("30s"), IsEmpty());
  EXPECT_THAT(rollout("2m"), IsEmpty());
  for (const char* bad : {"1500ms", "-5s", "soon"}) {
    EXPECT_THAT(rollout(bad), at("metadata.annotations[serving.knative.dev/rollout-duration]"));
  }
  EXPECT_THAT(
      errors_of([](Service& s) { s.meta.labels[std::string(kVisibilityLabel)] = "cluster-local"; }),
      IsEmpty());
  EXPECT_THAT(
      errors_of([](Service& s) { s.meta.labels[std::string(kVisibilityLabel)] = "everyone"; }),
      at("metadata.labels[networking.knative.dev/visibility]"));
}

}  // namespace
}  // namespace ebb::api
