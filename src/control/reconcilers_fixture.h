// For tests: all reconcilers over a real store, with pods that do what the test says.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <filesystem>

#include "api/defaults.h"
#include "base/sha256.h"
#include "control/conditions.h"
#include "control/reconcilers.h"
#include "control/routing_labels.h"
#include "control/staged_pods.h"
#include "resources/client_fixture.h"
#include "store/file_blob_store.h"

namespace ebb::control {

namespace fs = std::filesystem;
using resources::ObjectKey;
using store::testing::run;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

const ObjectKey kHello{"default", "hello"};
constexpr const char* kHost = "hello.default.example.com";

// All of a control plane above the pods.
struct Plane {
  Plane(net::Executor& executor, resources::ResourceClient& client, node::CodeCache& code,
        const Clock& clock, RevisionGcSettings gc = {}, GatewayPorts ports = {.http = 8080})
      : events(clock),
        autoscaler(executor, traffic, pods, clock, {.events = &events}),
        host(traffic, pods, autoscaler, clock),
        reconcilers(executor, {.client = client,
                               .host = host,
                               .autoscaler = autoscaler,
                               .code = code,
                               .publisher = publisher,
                               .clock = clock,
                               .domain = "example.com",
                               .ports = ports,
                               .retries = {.first_retry = std::chrono::milliseconds(5)},
                               .gc = gc,
                               .events = &events}) {
    reconcilers.start();
  }

  EventRecorder events;
  StagedPods pods;
  serving::Traffic traffic;
  AutoScaler autoscaler;
  RevisionHost host;
  serving::RoutingPublisher publisher;
  Reconcilers reconcilers;
};

class ReconcilersTest : public resources::ClientFixture {
 protected:
  ReconcilersTest() {
    fs::create_directory(folder_ + "/code");
    blobs_ = std::move(*store::FileBlobStore::open(executor_, disk_, folder_ + "/blobs"));
    code_ = std::make_unique<node::CodeCache>(executor_, *blobs_, disk_, folder_ + "/code");
    plane_ = std::make_unique<Plane>(executor_, client_, *code_, clock_);
  }

  template <class Done>
  void until(Done done, const std::string& what) {
    const TimePoint patience = executor_.now() + std::chrono::seconds(20);
    while (!done()) {
      ASSERT_LT(executor_.now(), patience) << "never: " << what;
      executor_.run_until(executor_.now() + std::chrono::milliseconds(2));
    }
  }

  // An empty package, another one for each `version`.
  static std::string package(size_t version) { return std::string(1024 + 512 * version, '\0'); }
  static std::string digest(size_t version) { return "sha256:" + sha256_hex(package(version)); }
  void upload(size_t version) {
    auto writer = must(blobs_->create(digest(version)));
    auto written = run(executor_, writer->write(package(version)));
    auto committed = run(executor_, writer->commit());
    ASSERT_TRUE(written && committed);
  }
  static api::Service hello(size_t version) {
    api::Service service;
    service.meta.name = kHello.name;
    service.meta.ns = kHello.ns;
    service.meta.labels["team"] = "a";
    service.meta.annotations["kubectl.kubernetes.io/last-applied-configuration"] = "{}";
    auto& pattern = service.spec.revision_template;
    pattern.meta.labels["color"] = "blue";
    pattern.meta.annotations[std::string(api::kCodeAnnotation)] = digest(version);
    pattern.spec.containers.emplace_back().image = "ebb.dev/runtimes/python";
    api::apply_defaults(service);
    return service;
  }
  void create(size_t version) {
    upload(version);
    must(resources::create<api::Service>(client_, hello(version)));
  }
  // Another version of the code.
  void update(size_t version) {
    upload(version);
    change([&](api::Service& service) {
      service.spec.revision_template.meta.annotations[std::string(api::kCodeAnnotation)] =
          digest(version);
      service.spec.revision_template.spec.timeout_seconds = static_cast<int64_t>(version);
    });
  }
  template <class Change>
  void change(Change change) {
    auto service = must(resources::get<api::Service>(client_, kHello));
    change(service);
    service.meta.resource_version.clear();
    must(resources::update<api::Service>(client_, service));
  }

  template <class T>
  std::optional<T> get(const std::string& name) {
    auto found = run(executor_, resources::get<T>(client_, ObjectKey{"default", name}));
    if (!found) return std::nullopt;
    return std::move(*found);
  }
  template <class T>
  std::string ready(const std::string& name) {
    return condition<T>(name, kReady);
  }
  // "True", "False: REASON: MESSAGE" or "Unknown: ..."; "" if there is no such object.
  template <class T>
  std::string condition(const std::string& name, std::string_view type) {
    const auto object = get<T>(name);
    if (!object) return "";
    const auto* found = api::find_condition(object->status.conditions, type);
    if (found == nullptr) return "none";
    if (found->status == api::Condition::Status::kTrue) return "True";
    const bool no = found->status == api::Condition::Status::kFalse;
    return fmt::format("{}: {}: {}", no ? "False" : "Unknown", found->reason, found->message);
  }
  std::string uid(const std::string& revision) {
    const auto found = get<api::Revision>(revision);
    return found ? found->meta.uid : "";
  }
  void until_starting(const std::string& revision) {
    until([&] { return plane_->pods.starting(uid(revision)); }, revision + " starts");
  }
  void start_well(const std::string& revision) {
    until_starting(revision);
    plane_->pods.ready(uid(revision));
    until([&] { return ready<api::Revision>(revision) == "True"; }, revision + " is ready");
  }
  // Both ready; the traffic goes to the second.
  void create_two() {
    create(1);
    start_well("hello-00001");
    until_service("True");
    update(2);
    start_well("hello-00002");
    until_service("True");
  }
  void until_service(const std::string& status) {
    until([&] { return ready<api::Service>("hello").starts_with(status); },
          "service " + status + ", it is " + ready<api::Service>("hello"));
  }
  // The revisions that a host's requests go to, with their percentage.
  std::map<std::string, int> targets(const std::string& host) {
    const auto table = plane_->publisher.table();
    const auto route = table->find(host);
    std::map<std::string, int> out;
    if (!route) return {{"no such host", 0}};
    for (const auto& target : route->targets) out[target.backend.name] += target.percent;
    return out;
  }
  std::string not_ready() {
    const auto table = plane_->publisher.table();
    const auto route = table->find(kHost);
    return route ? route->not_ready : "no such host";
  }
  // Nothing is written any more.
  void expect_quiet() {
    until([&] { return plane_->reconcilers.idle(); }, "idle");
    auto version = [&] {
      std::string everywhere;
      return must(client_.list(api::Service::kind(), everywhere)).resource_version;
    };
    const TimePoint settle = executor_.now() + std::chrono::milliseconds(50);
    while (executor_.now() < settle) executor_.run_until(settle);
    const std::string before = version();
    const TimePoint end = executor_.now() + std::chrono::milliseconds(100);
    while (executor_.now() < end) executor_.run_until(end);
    EXPECT_EQ(version(), before);
    EXPECT_TRUE(plane_->reconcilers.idle());
  }

  store::DiskThread disk_;
  std::unique_ptr<store::FileBlobStore> blobs_;
  std::unique_ptr<node::CodeCache> code_;
  std::unique_ptr<Plane> plane_;
};

}  // namespace ebb::control
