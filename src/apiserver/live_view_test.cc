// Events and pod autoscalers as resources: list, get, watch.
#include "apiserver/live_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "api/defaults.h"
#include "api/event.h"
#include "api/pod_autoscaler.h"
#include "api/usage.h"
#include "apiserver/selector.h"
#include "resources/store_client.h"
#include "store/sqlite_store.h"
#include "store/testing.h"

namespace ebb::apiserver {
namespace {

using store::testing::run;
using ::testing::ElementsAre;
using Type = control::EventRecorder::Type;

class LiveViewTest : public testing::Test {
 protected:
  LiveViewTest() {
    auto pod = std::make_shared<scheduling::PodTemplate>();
    pod->revision = "uid-1";
    pod->ns = "default";
    pod->name = "hello-00001";
    pod->service = "hello";
    pod->service_uid = "uid-s";
    pod->configuration = "hello";
    pod_ = pod;
  }
  void add_revision() {
    traffic_.add(std::make_shared<serving::Throttler>(
        serving::ThrottlerOptions{.revision = "uid-1"}, scheduler_, clock_,
        [](const std::string& /*pod*/, const std::string& /*error*/) {}));
    control::ScalePlan plan;
    plan.pod = pod_;
    autoscaler_.add(plan);
  }
  // "ADDED name" and so on of what a watch has next; the reason of the error else.
  static std::vector<std::string> lines(const Result<std::vector<resources::ResourceEvent>>& got) {
    if (!got) return {got.error().message};
    std::vector<std::string> out;
    for (const auto& event : *got) {
      const char* type = event.type == resources::ResourceEvent::Type::kAdded      ? "ADDED "
                         : event.type == resources::ResourceEvent::Type::kModified ? "MODIFIED "
                                                                                   : "DELETED ";
      const auto about = event.object.find("involvedObject");
      out.push_back(type + (about != event.object.end()
                                ? about->value("kind", "")
                                : event.object["metadata"].value("name", "")));
    }
    return out;
  }
  static std::string make_folder() {
    std::string pattern = testing::TempDir() + "ebb-live-XXXXXX";
    return ::mkdtemp(pattern.data());
  }
  ~LiveViewTest() override {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }
  std::vector<std::string> next(resources::ResourceWatch& watch) {
    return lines(run(executor_, watch.next(executor_.now())));
  }

  FakeClock clock_;
  net::Executor executor_{"live-test"};
  control::EventRecorder events_{clock_};
  control::Scheduler scheduler_{{.pods_folder = "/run"}, clock_};
  serving::Traffic traffic_;
  control::AutoScaler autoscaler_{executor_, traffic_, scheduler_, clock_};
  control::PodMetrics metrics_{clock_};
  LiveView view_{{scheduler_, autoscaler_, events_, metrics_, clock_}, "1.0"};
  std::string folder_ = make_folder();
  std::unique_ptr<store::SqliteStore> store_ =
      std::move(*store::SqliteStore::open(executor_, folder_ + "/state.db"));
  resources::StoreClient stored_{*store_, clock_};
  LiveClient client_{executor_, view_, stored_, 1};
  std::shared_ptr<const scheduling::PodTemplate> pod_;
};

TEST_F(LiveViewTest, EventsAreListedSelectedAndWatched) {
  const std::string ns = "default";
  auto empty = run(executor_, client_.list(api::Event::kind(), ns));
  ASSERT_TRUE(empty);
  auto watch = client_.watch(api::Event::kind(), ns, empty->resource_version);
  events_.record(*pod_, Type::kNormal, "Ready", "well");
  EXPECT_THAT(next(*watch), ElementsAre("ADDED Revision", "ADDED Service"));
  events_.record(*pod_, Type::kNormal, "Ready", "well");
  EXPECT_THAT(next(*watch), ElementsAre("MODIFIED Revision", "MODIFIED Service"));

  const auto list = run(executor_, client_.list(api::Event::kind(), ns));
  const auto mine = Selector::parse("", "involvedObject.uid=uid-s,involvedObject.kind=Service");
  ASSERT_TRUE(mine);
  int found = 0;
  for (const auto& event : list->items) {
    if (!mine->matches(event)) continue;
    ++found;
    EXPECT_EQ(event["count"], 2);
    const resources::ObjectKey key{ns, event["metadata"]["name"]};
    EXPECT_EQ(*run(executor_, client_.get(api::Event::kind(), key)), event);
  }
  EXPECT_EQ(found, 1);
  EXPECT_FALSE(Selector::parse("", "involvedObject.color=red"));
  auto elsewhere = client_.watch(api::Event::kind(), "other", empty->resource_version);
  EXPECT_THAT(next(*elsewhere), ElementsAre("no change so far"));
  auto old = client_.watch(api::Event::kind(), ns, "1");
  EXPECT_THAT(next(*old), ElementsAre("too old resource version: list again"));
}

TEST_F(LiveViewTest, ANodesNetworkProblemIsACondition) {
  const auto nodes = [&](const std::string& problem) {
    scheduler_.remove_node("n");
    scheduler_.add_node("n", [](const node::ToController& /*m*/) -> Result<void> { return {}; });
    scheduler_.on_message(
        "n",
        node::Welcome{
            .node = "n", .slots = 1, .pods = {}, .node_address = {}, .network_problem = problem});
    return view_.nodes();
  };
  EXPECT_EQ(nodes("").at(0).status.conditions.size(), 1U);
  const auto conditions = nodes("no bridge").at(0).status.conditions;
  ASSERT_EQ(conditions.size(), 2U);
  EXPECT_EQ(conditions[1].type, "NetworkUnavailable");
  EXPECT_EQ(conditions[1].message, "pods reach only themselves: no bridge");
}

TEST_F(LiveViewTest, AutoscalersComeChangeAndGo) {
  const std::string ns;
  auto empty = run(executor_, client_.list(api::PodAutoscaler::kind(), ns));
  auto watch = client_.watch(api::PodAutoscaler::kind(), ns, empty->resource_version);
  add_revision();
  EXPECT_THAT(next(*watch), ElementsAre("ADDED hello-00001"));
  autoscaler_.wake("uid-1");
  EXPECT_THAT(next(*watch), ElementsAre("MODIFIED hello-00001"));
  const resources::ObjectKey key{"default", "hello-00001"};
  const auto scaler = run(executor_, client_.get(api::PodAutoscaler::kind(), key));
  ASSERT_TRUE(scaler);
  EXPECT_EQ((*scaler)["status"]["desiredScale"], 1);
  EXPECT_EQ((*scaler)["status"]["reason"], "a request waits");
  EXPECT_EQ((*scaler)["status"]["class"], "kpa.autoscaling.knative.dev");
  EXPECT_FALSE((*scaler)["spec"].contains("class")) << "nobody has declared it";
  EXPECT_EQ((*scaler)["metadata"]["labels"]["serving.knative.dev/service"], "hello");
  autoscaler_.remove("uid-1");
  EXPECT_THAT(next(*watch), ElementsAre("DELETED hello-00001"));
  EXPECT_FALSE(run(executor_, client_.get(api::PodAutoscaler::kind(), key)));
}

TEST_F(LiveViewTest, ConditionsSayWhetherItIsActiveAndThePolicyWorks) {
  add_revision();
  const resources::ObjectKey key{"default", "hello-00001"};
  const auto condition = [&](const char* type) {
    const auto scaler = run(executor_, client_.get(api::PodAutoscaler::kind(), key));
    for (const auto& one : (*scaler)["status"]["conditions"]) {
      if (one["type"] == type) {
        return one.value("status", "") + " " + one.value("reason", "") + " " +
               one.value("message", "");
      }
    }
    return std::string();
  };
  EXPECT_THAT(condition("Active"), testing::HasSubstr("False NoTraffic"));
  EXPECT_THAT(condition("ScalingActive"), testing::HasSubstr("True"));
  EXPECT_THAT(condition("Ready"), testing::HasSubstr("False NoTraffic"));
  autoscaler_.wake("uid-1");
  EXPECT_THAT(condition("Active"), testing::HasSubstr("Unknown Queued"));
  EXPECT_THAT(condition("Ready"), testing::HasSubstr("Unknown Queued"));
  // A policy whose file nobody has, also where nobody asks it.
  autoscaler_.remove("uid-1");
  scaling::PolicySpec spec;
  spec.policy = scaling::PolicyClass::kLua;
  auto file = std::make_shared<scaling::LuaFile>("mine.lua");
  file->set(fail(Errc::kNotFound, "there is no such file"));
  spec.lua = file;
  control::ScalePlan plan;
  plan.pod = pod_;
  plan.policy = std::make_shared<const scaling::PolicySpec>(spec);
  autoscaler_.add(plan);
  EXPECT_EQ(condition("ScalingActive"), "False PolicyFailed mine.lua: there is no such file");
  EXPECT_EQ(condition("Ready"), "False PolicyFailed mine.lua: there is no such file");
  file->set(std::string("function decide() return {desired = 1} end"));
  EXPECT_THAT(condition("ScalingActive"), testing::HasSubstr("True"));
  file->set(std::string("function decide("));
  EXPECT_THAT(condition("ScalingActive"), testing::HasSubstr("False PolicyFailed mine.lua:1: "));
}

TEST_F(LiveViewTest, WhatScalesARevisionIsWrittenToItsAnnotations) {
  add_revision();
  api::Revision revision;
  revision.meta.name = "hello-00001";
  revision.meta.ns = "default";
  revision.meta.annotations = {{"other", "kept"}};
  api::Container container;
  container.image = "ebb.dev/runtimes/python";
  revision.spec.containers.push_back(container);
  api::apply_defaults(revision);
  ASSERT_TRUE(run(executor_, resources::create<api::Revision>(stored_, revision)));
  const resources::ObjectKey key{"default", "hello-00001"};
  auto scaler = *run(executor_, client_.get(api::PodAutoscaler::kind(), key));
  scaler["spec"]["maxScale"] = 3;
  scaler["metadata"]["annotations"]["autoscaling.knative.dev/window"] = "30s";
  const auto written = run(executor_, client_.update(api::PodAutoscaler::kind(), scaler));
  ASSERT_TRUE(written) << written.error().message;
  const auto stored = run(executor_, resources::get<api::Revision>(stored_, key));
  ASSERT_TRUE(stored);
  EXPECT_EQ(stored->meta.annotations,
            (std::map<std::string, std::string>{{"autoscaling.knative.dev/max-scale", "3"},
                                                {"autoscaling.knative.dev/window", "30s"},
                                                {"other", "kept"}}));
  // What a revision may not be, it may not become this way either.
  scaler["metadata"]["annotations"]["ebb.dev/metric-jobs"] = std::string(300 << 10, 'x');
  const auto large = run(executor_, client_.update(api::PodAutoscaler::kind(), scaler));
  ASSERT_FALSE(large);
  EXPECT_THAT(large.error().message, testing::HasSubstr("metadata.annotations"));
  EXPECT_EQ(run(executor_, client_.update(api::Pod::kind(), scaler)).error().code,
            Errc::kPermission);
}

TEST_F(LiveViewTest, WhatPodsAndNodesUse) {
  scheduler_.add_node("local", [](const node::ToController&) { return Result<void>(); });
  node::Welcome welcome{
      .node = "local", .slots = 4, .pods = {}, .node_address = "", .network_problem = ""};
  welcome.pods.push_back({.pod = "python-1",
                          .runtime = "python",
                          .revision = "uid-1",
                          .state = static_cast<uint8_t>(node::PodState::kReady),
                          .concurrency = 0});
  scheduler_.on_message("local", welcome);
  class Nobody final : public scheduling::PodListener {
    void pod_added(const scheduling::PodEndpoint& /*pod*/) override {}
    void pod_ready(const std::string& /*pod*/, Duration /*load*/) override {}
    void pod_gone(const std::string& /*pod*/, const scheduling::PodExit& /*exit*/) override {}
    void pods_unavailable(const std::string& /*why*/) override {}
    Drain begin_drain(int /*count*/) override { return {}; }
  };
  scheduler_.subscribe(pod_, std::make_shared<Nobody>());
  EXPECT_TRUE(view_.pod_metrics().empty());

  node::NodeUsage node{
      .cores = 2, .memory_bytes = 3 << 20, .memory_total = 4 << 20, .pressure = {}};
  node::PodUsage pods;
  pods.pods.push_back({.pod = "python-1", .revision = "uid-1", .ready = 1});
  for (int second : {10, 25}) {
    node.at_ns = pods.pods[0].at_ns = static_cast<uint64_t>(second) * 1'000'000'000;
    node.cpu_ns = pods.pods[0].cpu_ns = static_cast<uint64_t>(second) * 100'000'000;
    pods.pods[0].memory_bytes = 5 << 20;
    metrics_.on_message("local", node);
    metrics_.on_message("local", pods);
  }
  const api::Json pod =
      run(executor_, client_.list(api::PodMetrics::kind(), "default"))->items.at(0);
  EXPECT_EQ(pod["apiVersion"], "metrics.k8s.io/v1beta1");
  EXPECT_EQ(pod["kind"], "PodMetrics");
  EXPECT_EQ(pod["metadata"]["name"], "python-1");
  EXPECT_EQ(pod["metadata"]["namespace"], "default");
  EXPECT_EQ(pod["metadata"]["labels"]["serving.knative.dev/service"], "hello");
  EXPECT_EQ(pod["timestamp"], "2026-01-01T00:00:00Z");
  EXPECT_EQ(pod["window"], "15.000s");
  EXPECT_EQ(pod["containers"][0]["name"], "user-container");
  EXPECT_EQ(pod["containers"][0]["usage"]["cpu"], "100000000n");
  EXPECT_EQ(pod["containers"][0]["usage"]["memory"], "5120Ki");
  EXPECT_TRUE(run(executor_, client_.list(api::PodMetrics::kind(), "other"))->items.empty());
  const auto local = run(executor_, client_.get(api::NodeMetrics::kind(), {"", "local"}));
  ASSERT_TRUE(local);
  EXPECT_EQ((*local)["usage"]["memory"], "3072Ki");
  EXPECT_EQ(view_.nodes().at(0).status.allocatable.at("cpu"), "2");
  EXPECT_EQ(view_.nodes().at(0).status.capacity.at("memory"), "4096Ki");
}

}  // namespace
}  // namespace ebb::apiserver
