#include "cli/description.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "api/hpa.h"
#include "api/pod_autoscaler.h"
#include "api/types.h"

namespace ebb::cli {
namespace {

using api::Json;
using testing::HasSubstr;
using testing::Not;

const DescriptionStyle kStyle{.now = std::chrono::sys_days{std::chrono::year{2026} / 1 / 1} +
                                     std::chrono::minutes(10)};

Facts facts() {
  Facts out;
  out.object = Json::parse(R"({"metadata": {"name": "hello", "namespace": "team", "generation": 3,
      "creationTimestamp": "2026-01-01T00:00:00Z"},
    "spec": {"template": {"metadata": {"annotations": {"ebb.dev/code": "sha256:ab",
        "autoscaling.knative.dev/min-scale": "2", "autoscaling.knative.dev/maxScale": "0",
        "autoscaling.knative.dev/window": "10s", "ebb.dev/network": "none",
        "serving.knative.dev/creator": "somebody", "serving.knative.dev/no-gc": "true"}},
      "spec": {"containerConcurrency": 5, "timeoutSeconds": 30,
               "containers": [{"image": "ebb.dev/runtimes/python",
                 "resources": {"limits": {"memory": "128Mi"},
                               "requests": {"memory": "64Mi", "cpu": 1}},
                 "env": [{"name": "GREETING", "value": "hi\u001b[31m"}, {"name": "EMPTY"}]}]}}},
    "status": {"url": "http://hello.team.localhost", "observedGeneration": 2,
      "conditions": [{"type": "Ready", "status": "False", "reason": "RevisionFailed",
        "message": "it broke", "lastTransitionTime": "2026-01-01T00:08:00Z"}],
      "traffic": [{"revisionName": "hello-1", "percent": 90},
                  {"revisionName": "hello-2", "percent": 10},
                  {"revisionName": "hello-2", "percent": 0, "tag": "next", "url": "http://n"}]}})");
  out.revisions = {Json::parse(R"({"metadata": {"name": "hello-2"}, "status": {"conditions":
        [{"type": "Ready", "status": "False", "reason": "ExitCode1",
          "message": "bad\u001b[31m\nits last output:\nTraceback"}]}})"),
                   Json::parse(R"({"metadata": {"name": "hello-1"}, "status": {"conditions":
        [{"type": "Ready", "status": "True"}]}})")};
  out.pods = {Json::parse(R"({"metadata": {"name": "p1", "labels": {"ebb.dev/state": "Warm",
      "serving.knative.dev/revision": "hello-1"}}, "spec": {"nodeName": "local"}})")};
  out.autoscalers = {Json::parse(R"({"metadata": {"name": "hello-1", "annotations":
      {}}, "status": {"class": "ebb.dev/adaptive", "desiredScale": 3,
      "actualScale": 1, "starting": 2, "inFlight": 40, "waiting": 7, "concurrency": 12.34,
      "requestsPerSecond": 99.96, "panic": true, "reason": "load outran the pods",
      "decidedAt": "2026-01-01T00:09:58Z"}})")};
  out.events = {Json::parse(R"({"type": "Warning", "reason": "FailedToStart", "message": "it broke",
      "count": 4, "lastTimestamp": "2026-01-01T00:09:00Z",
      "involvedObject": {"name": "hello-2"}})")};
  return out;
}

TEST(DescriptionTest, AServiceWithAllThatHappens) {
  const std::string text = description_of(api::Service::kind(), facts(), kStyle);
  EXPECT_THAT(text, testing::StartsWith("Service hello\n  Namespace     team\n"));
  for (const char* line : {
           "  URL           http://hello.team.localhost\n",
           "  Runtime       python\n",
           "  Min pods      2\n",
           "  Max pods      no limit\n",
           "  Concurrency   5\n",
           "  Timeout       30 s\n",
           "  Memory        128Mi (request 64Mi)\n",
           "  CPU           no limit (request 1)\n",
           "  Network       none\n",
           "Annotations\n  NAME                             VALUE\n"
           "  autoscaling.knative.dev/window   10s\n"
           "  serving.knative.dev/no-gc        true\n\n",
           "Environment\n  NAME       VALUE\n  GREETING   hi [31m\n  EMPTY\n",
           "  Generation    3 (not worked on yet)\n",
           "  Ready   False    2m      RevisionFailed   it broke\n",
           "  NAME      TRAFFIC   TAGS   READY   PODS   AGE   REASON\n",
           "  hello-2   10%       next   False   0      -     ExitCode1: bad [31m ...\n",
           "  hello-1   90%       -      True    1      -\n",
           "  next   hello-2    http://n\n",
           "  hello-1    adaptive   3         1       2          40          7         12.3        "
           "  100.0   "
           "yes "
           "    2s ago    load outran the pods\n",
           "Last failure\n  hello-2: bad [31m\n  its last output:\n  Traceback\n",
           "  60s         Warning   FailedToStart   4       it broke\n",
       }) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  const DescriptionStyle colored{.now = kStyle.now, .colors = true};
  EXPECT_THAT(description_of(api::Service::kind(), facts(), colored), HasSubstr("\x1b[1mEvents"));
}

std::string last_failure_of(const char* states) {
  Facts some;
  some.object = Json::parse(R"({"metadata": {"name": "hello"}})");
  for (int generation = static_cast<int>(std::strlen(states)); generation > 0; --generation) {
    const char state = states[generation - 1];
    some.revisions.push_back(Json::parse(fmt::format(
        R"({{"metadata": {{"name": "hello-{}"}}, "status": {{"conditions": [
          {{"type": "Ready", "status": "{}", "message": "number {}"}}]}}}})",
        generation,
        state == '+'   ? "True"
        : state == '-' ? "False"
                       : "Unknown",
        generation)));
  }
  const std::string text = description_of(api::Service::kind(), some, kStyle);
  const size_t at = text.find("Last failure\n");
  if (at == std::string::npos) return "none";
  const size_t begin = at + std::strlen("Last failure\n  ");
  return text.substr(begin, text.find('\n', begin) - begin);
}

TEST(DescriptionTest, TheLastFailureIsTheNewest) {
  EXPECT_EQ(last_failure_of("---"), "hello-3: number 3");
  EXPECT_EQ(last_failure_of("+-"), "hello-2: number 2");
  EXPECT_EQ(last_failure_of("-?"), "hello-1: number 1") << "nothing is known of the next";
  EXPECT_EQ(last_failure_of("-+"), "none") << "that is mended";
  EXPECT_EQ(last_failure_of("-+-+"), "none");
}

TEST(DescriptionTest, AServiceAtRest) {
  Facts rest;
  rest.object = Json::parse(R"({"metadata": {"name": "hello"}})");
  rest.revisions = {Json::parse(R"({"metadata": {"name": "hello-2"}, "status": {"conditions":
                        [{"type": "Ready", "status": "Unknown"}]}})"),
                    Json::parse(R"({"metadata": {"name": "hello-1"}, "status": {"conditions":
                        [{"type": "Ready", "status": "True"}]}})")};
  const std::string text = description_of(api::Service::kind(), rest, kStyle);
  EXPECT_THAT(text, HasSubstr("Pods\n  none: the next request starts one\n"));
  EXPECT_THAT(text, HasSubstr("Events\n  none\n"));
  EXPECT_THAT(text, Not(HasSubstr("Last failure")));
  EXPECT_THAT(text, Not(HasSubstr("Autoscaler")));
}

TEST(DescriptionTest, NoRequestStartsAPodOfWhatIsNotReady) {
  Facts failed;
  failed.revisions = {Json::parse(R"({"metadata": {"name": "hello-1"}, "status": {"conditions":
                          [{"type": "Ready", "status": "False"}]}})")};
  failed.object = Json::parse(R"({"metadata": {"name": "hello"}})");
  EXPECT_THAT(description_of(api::Service::kind(), failed, kStyle),
              HasSubstr("Pods\n  none: no revision is ready\n"));
  failed.object = failed.revisions[0];
  failed.revisions.clear();
  EXPECT_THAT(description_of(api::Revision::kind(), failed, kStyle),
              HasSubstr("Pods\n  none: the revision is not ready\n"));
}

TEST(DescriptionTest, OnlyTheLatestEventsAreShown) {
  Facts many = facts();
  for (size_t i = 0; i < 2 * kMaxShownEvents; ++i) {
    many.events.push_back(Json{{"message", "event " + std::to_string(i) + ";"}});
  }
  const std::string text = description_of(api::Service::kind(), many, kStyle);
  EXPECT_THAT(text, HasSubstr("event 39;"));
  EXPECT_THAT(text, Not(HasSubstr("event 19;")));
}

TEST(DescriptionTest, APod) {
  Facts pod = facts();
  pod.object = pod.pods[0];
  pod.object["spec"]["containers"] = Json::parse(R"([{"image": "ebb.dev/runtimes/python"}])");
  pod.revisions.clear();
  const std::string text = description_of(api::Pod::kind(), pod, kStyle);
  EXPECT_THAT(text, testing::StartsWith("Pod p1\n"));
  EXPECT_THAT(text, HasSubstr("  State      Warm\n"));
  EXPECT_THAT(text, HasSubstr("  Node       local\n"));
  EXPECT_THAT(text, HasSubstr("  Runtime    python\n"));
  EXPECT_THAT(text, Not(HasSubstr("Memory")));
}

TEST(DescriptionTest, APodHasTheSettingsOfItsRevision) {
  Facts pod;
  pod.object = facts().pods[0];
  pod.revisions = {Json::parse(R"({"metadata": {"name": "hello-1", "annotations":
        {"ebb.dev/network": "egress"}}, "spec": {"containers": [{"image": "ebb.dev/runtimes/node",
        "resources": {"limits": {"cpu": "500m"}}}]}, "status": {"conditions":
        [{"type": "Ready", "status": "False", "message": "another pod broke"}]}})")};
  const std::string text = description_of(api::Pod::kind(), pod, kStyle);
  EXPECT_THAT(text, HasSubstr("  Runtime       node\n"));
  EXPECT_THAT(text, HasSubstr("  Memory        default\n"));
  EXPECT_THAT(text, HasSubstr("  CPU           500m\n"));
  EXPECT_THAT(text, HasSubstr("  Network       egress\n"));
  EXPECT_THAT(text, Not(HasSubstr("another pod broke")));
}

TEST(DescriptionTest, APodAutoscalerSaysWhatWasDecidedAndWhy) {
  Facts scaler;
  scaler.object = Json::parse(R"({"metadata": {"name": "h-00001", "namespace": "default",
      "annotations": {}},
      "status": {"class": "ebb.dev/lua", "desiredScale": 3, "actualScale": 2, "reason": "three to be sure",
                 "error": "mine.lua:2: oh"}})");
  const std::string text = description_of(api::PodAutoscaler::kind(), scaler, kStyle);
  EXPECT_THAT(text, testing::StartsWith("PodAutoscaler h-00001\n"));
  EXPECT_THAT(text, HasSubstr("three to be sure"));
  EXPECT_THAT(text, HasSubstr("h-00001: the policy failed: mine.lua:2: oh"));
}

TEST(DescriptionTest, AHorizontalPodAutoscaler) {
  Facts hpa;
  hpa.object = Json::parse(R"({"metadata": {"name": "h", "namespace": "default"},
      "spec": {"scaleTargetRef": {"kind": "Service", "name": "hello"}, "maxReplicas": 9,
               "metrics": [{"type": "Resource", "resource": {"name": "cpu",
                            "target": {"averageUtilization": 50}}}]},
      "status": {"currentReplicas": 3, "desiredReplicas": 4}})");
  const std::string text = description_of(api::HorizontalPodAutoscaler::kind(), hpa, kStyle);
  EXPECT_THAT(text, testing::StartsWith("HorizontalPodAutoscaler h\n"));
  EXPECT_THAT(text, HasSubstr("  Scales      Service/hello\n"));
  EXPECT_THAT(text, HasSubstr("  Metrics     cpu: <unknown>/50%\n"));
  EXPECT_THAT(text, HasSubstr("  Bounds      1 to 9 pods\n"));
  EXPECT_THAT(text, HasSubstr("  Wanted      4\n"));
}

TEST(DescriptionTest, SurvivesObjectsOfAnyShape) {
  for (const char* text : {"{}", "[]", "1", R"({"metadata": 1, "spec": [], "status": {"traffic": 3,
                            "conditions": [1, null]}})"}) {
    Facts odd;
    odd.object = Json::parse(text);
    odd.revisions = odd.pods = odd.autoscalers = odd.events = {odd.object};
    for (const api::Kind* kind : {&api::Service::kind(), &api::Revision::kind(), &api::Pod::kind(),
                                  &api::HorizontalPodAutoscaler::kind()}) {
      EXPECT_THAT(description_of(*kind, odd, kStyle), HasSubstr("Events"));
    }
  }
}

}  // namespace
}  // namespace ebb::cli
