#include "control/reconcilers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <malloc.h>

#include <filesystem>
#include <set>

#include "api/defaults.h"
#include "base/sha256.h"
#include "control/conditions.h"
#include "control/routing_labels.h"
#include "control/scheduler.h"
#include "resources/client_fixture.h"
#include "store/file_blob_store.h"

namespace ebb::control {
namespace {

namespace fs = std::filesystem;
using resources::ObjectKey;
using store::testing::run;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

const ObjectKey kHello{"default", "hello"};
constexpr const char* kHost = "hello.default.example.com";

// Pods that start when they are wanted, and become ready or fail when the test says so.
class FakePods final : public scheduling::ScaleTarget, public scheduling::PodSource {
 public:
  void scale(const std::string& revision, int pods) override {
    auto& entry = revisions_[revision];
    while (static_cast<int>(entry.pods.size()) < pods) {
      const std::string pod = fmt::format("pod-{}", ++made);
      entry.pods.push_back(pod);
      entry.listener->pod_added({pod, "unix:/nowhere/" + pod, false});
    }
    const int extra = static_cast<int>(entry.pods.size()) - pods;
    if (extra <= 0) return;
    for (const auto& pod : entry.listener->begin_drain(extra).chosen) std::erase(entry.pods, pod);
  }
  void subscribe(std::shared_ptr<const scheduling::PodTemplate> revision,
                 std::shared_ptr<scheduling::PodListener> listener) override {
    revisions_[revision->revision].listener = std::move(listener);
  }
  void unsubscribe(const std::string& uid) override { revisions_.erase(uid); }
  void pod_drained(const std::string& /*pod*/) override {}

  [[nodiscard]] bool starting(const std::string& uid) const {
    const auto found = revisions_.find(uid);
    return found != revisions_.end() && !found->second.pods.empty();
  }
  void ready(const std::string& uid) {
    auto& entry = revisions_.at(uid);
    entry.listener->pod_ready(entry.pods.front());
  }
  void fail(const std::string& uid, const std::string& message) {
    auto& entry = revisions_.at(uid);
    const std::string pod = entry.pods.front();
    entry.pods.erase(entry.pods.begin());
    entry.listener->pod_gone(pod, {.reason = "LoadFailed", .message = message});
  }
  [[nodiscard]] size_t subscribed() const { return revisions_.size(); }

  int made = 0;

 private:
  struct Entry {
    std::shared_ptr<scheduling::PodListener> listener;
    std::vector<std::string> pods;
  };
  std::map<std::string, Entry> revisions_;
};

// All of a control plane above the pods.
struct Plane {
  Plane(net::Executor& executor, resources::ResourceClient& client, node::CodeCache& code,
        const Clock& clock, RevisionGcSettings gc = {})
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
                               .gateway_port = 8080,
                               .retries = {.first_retry = std::chrono::milliseconds(5)},
                               .gc = gc,
                               .events = &events}) {
    reconcilers.start();
  }

  EventRecorder events;
  FakePods pods;
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

TEST_F(ReconcilersTest, AServiceBecomesReadyWhenOnePodHasStarted) {
  create(1);
  until_starting("hello-00001");
  until([&] { return ready<api::Service>("hello").starts_with("Unknown: Deploying"); }, "unknown");
  until([&] { return not_ready() == "it is being deployed"; }, "the host says so");
  EXPECT_THAT(targets(kHost), IsEmpty());

  start_well("hello-00001");
  until_service("True");
  EXPECT_EQ(ready<api::Configuration>("hello"), "True");
  EXPECT_EQ(ready<api::Route>("hello"), "True");
  EXPECT_EQ(condition<api::Revision>("hello-00001", "ContainerHealthy"), "True");
  EXPECT_THAT(targets(kHost), ElementsAre(Pair("hello-00001", 100)));
  EXPECT_FALSE(plane_->pods.starting(uid("hello-00001"))) << "it was not given back";
  EXPECT_TRUE(fs::exists(code_->path_of(digest(1).substr(7))));

  const auto service = get<api::Service>("hello");
  EXPECT_EQ(service->status.url, "http://hello.default.example.com:8080");
  EXPECT_EQ(service->status.address_url, service->status.url);
  EXPECT_EQ(service->status.latest_created_revision, "hello-00001");
  EXPECT_EQ(service->status.latest_ready_revision, "hello-00001");
  EXPECT_EQ(service->status.observed_generation, 1);
  ASSERT_EQ(service->status.traffic.size(), 1U);
  EXPECT_EQ(service->status.traffic[0].revision_name, "hello-00001");
  EXPECT_EQ(service->status.traffic[0].latest_revision, true);

  const auto configuration = get<api::Configuration>("hello");
  EXPECT_EQ(configuration->meta.owners[0].uid, service->meta.uid);
  EXPECT_EQ(configuration->meta.labels.at("team"), "a");
  EXPECT_THAT(configuration->meta.annotations, IsEmpty());
  const auto revision = get<api::Revision>("hello-00001");
  EXPECT_EQ(revision->meta.owners[0].uid, configuration->meta.uid);
  EXPECT_EQ(revision->meta.labels.at("color"), "blue");
  EXPECT_EQ(revision->meta.labels.at(std::string(api::kServiceLabel)), "hello");
  EXPECT_EQ(revision->meta.labels.at(std::string(api::kConfigurationLabel)), "hello");
  EXPECT_EQ(revision->meta.labels.at(std::string(api::kConfigurationGenerationLabel)), "1");
  EXPECT_EQ(revision->spec, configuration->spec.revision_template.spec);
  expect_quiet();
}

TEST_F(ReconcilersTest, AFailureOfSeveralLinesEndsAsItIs) {
  create(1);
  until_starting("hello-00001");
  plane_->pods.fail(uid("hello-00001"), "its last output:\ncannot open config\n");
  until_service("False");
  EXPECT_EQ(ready<api::Configuration>("hello"),
            "False: RevisionFailed: Revision \"hello-00001\" failed with message: its last "
            "output:\ncannot open config");
}

TEST_F(ReconcilersTest, AFailedStartIsToldToTheTop) {
  create(1);
  until_starting("hello-00001");
  plane_->pods.fail(uid("hello-00001"), "main.py has no function handle");
  until_service("False");
  EXPECT_EQ(condition<api::Revision>("hello-00001", "ContainerHealthy"),
            "False: StartFailed: main.py has no function handle");
  EXPECT_EQ(ready<api::Revision>("hello-00001"),
            "False: StartFailed: main.py has no function handle");
  const std::string failed =
      "False: RevisionFailed: Revision \"hello-00001\" failed with message: main.py has no "
      "function handle.";
  EXPECT_EQ(ready<api::Configuration>("hello"), failed);
  EXPECT_EQ(ready<api::Service>("hello"), failed);
  until([&] { return ready<api::Route>("hello").starts_with("False"); }, "the route fails");
  EXPECT_EQ(ready<api::Route>("hello"),
            "False: RevisionMissing: Configuration \"hello\" does not have any ready Revision.");
  EXPECT_THAT(targets(kHost), IsEmpty());
  EXPECT_THAT(not_ready(), HasSubstr("main.py has no function handle"));
  expect_quiet();
  EXPECT_EQ(plane_->pods.made, 1) << "a failed proof is final";
}

// Whoever waits for a deployment goes by what the Service says of its generation.
TEST_F(ReconcilersTest, WhatFailedBeforeIsNoVerdictOnTheNext) {
  create(1);
  until_starting("hello-00001");
  plane_->pods.fail(uid("hello-00001"), "FIRST");
  until_service("False");
  until([&] { return ready<api::Route>("hello").starts_with("False"); }, "the route fails");

  std::vector<std::string> verdicts;  // of the second and the third
  std::unique_ptr<resources::Informer<api::Service>> services;
  services = std::make_unique<resources::Informer<api::Service>>(
      executor_, client_, [&](const ObjectKey& key) {
        const auto* service = services->find(key);
        if (service == nullptr) return;
        const auto* found = api::find_condition(service->status.conditions, kReady);
        const auto generation = service->meta.generation;
        if (generation == 1 || service->status.observed_generation != generation) return;
        if (found == nullptr || found->status == api::Condition::Status::kUnknown) return;
        verdicts.push_back(fmt::format("{}: {}", generation, found->message));
      });
  services->start();
  update(2);
  until_starting("hello-00002");
  plane_->pods.fail(uid("hello-00002"), "SECOND");
  until_service("False: RevisionFailed: Revision \"hello-00002\"");
  expect_quiet();
  update(3);
  start_well("hello-00003");
  until_service("True");
  expect_quiet();
  EXPECT_THAT(verdicts, Contains(HasSubstr("SECOND")));
  for (const auto& verdict : verdicts) {
    EXPECT_THAT(verdict, AnyOf(HasSubstr("2: Revision \"hello-00002\" failed"), "3: "));
  }
  EXPECT_EQ(verdicts.back(), "3: ");
}

TEST_F(ReconcilersTest, TrafficMovesOnlyWhenTheNewRevisionIsReady) {
  create(1);
  start_well("hello-00001");
  until_service("True");
  update(2);
  until_starting("hello-00002");
  until_service("Unknown");
  EXPECT_THAT(targets(kHost), ElementsAre(Pair("hello-00001", 100)));
  start_well("hello-00002");
  until_service("True");
  EXPECT_THAT(targets(kHost), ElementsAre(Pair("hello-00002", 100)));
  EXPECT_EQ(get<api::Service>("hello")->status.latest_ready_revision, "hello-00002");
  EXPECT_EQ(get<api::Service>("hello")->status.traffic[0].revision_name, "hello-00002");
  expect_quiet();
}

TEST_F(ReconcilersTest, AFailedUpdateLeavesTheTrafficAlone) {
  create(1);
  start_well("hello-00001");
  until_service("True");
  update(2);
  until_starting("hello-00002");
  plane_->pods.fail(uid("hello-00002"), "SyntaxError");
  until_service("False: RevisionFailed: Revision \"hello-00002\"");
  EXPECT_THAT(targets(kHost), ElementsAre(Pair("hello-00001", 100)));
  EXPECT_EQ(ready<api::Route>("hello"), "True");
  const auto status = get<api::Service>("hello")->status;
  EXPECT_EQ(status.latest_created_revision, "hello-00002");
  EXPECT_EQ(status.latest_ready_revision, "hello-00001");

  update(3);
  start_well("hello-00003");
  until_service("True");
  EXPECT_THAT(targets(kHost), ElementsAre(Pair("hello-00003", 100)));
}

TEST_F(ReconcilersTest, ADeletedServiceTakesAllWithIt) {
  create(1);
  start_well("hello-00001");
  until_service("True");
  update(2);
  start_well("hello-00002");
  until_service("True");
  ASSERT_TRUE(run(executor_, client_.remove(api::Service::kind(), kHello, "")));
  until([&] { return !get<api::Configuration>("hello") && !get<api::Route>("hello"); }, "gone");
  until([&] { return !get<api::Revision>("hello-00001") && !get<api::Revision>("hello-00002"); },
        "revisions gone");
  until([&] { return plane_->pods.subscribed() == 0; }, "unhosted");
  until([&] { return targets(kHost).contains("no such host"); }, "host gone");
  expect_quiet();
}

TEST_F(ReconcilersTest, AServiceMayBeMadeAnewAtOnce) {
  create(1);
  start_well("hello-00001");
  until_service("True");
  const std::string old = uid("hello-00001");
  ASSERT_TRUE(run(executor_, client_.remove(api::Service::kind(), kHello, "")));
  must(resources::create<api::Service>(client_, hello(1)));
  until([&] { return !uid("hello-00001").empty() && uid("hello-00001") != old; }, "a new one");
  start_well("hello-00001");
  until_service("True");
  EXPECT_THAT(targets(kHost), ElementsAre(Pair("hello-00001", 100)));
  EXPECT_EQ(plane_->pods.subscribed(), 1U);
}

TEST_F(ReconcilersTest, MissingCodeIsWaitedFor) {
  must(resources::create<api::Service>(client_, hello(1)));
  until_service("False: RevisionFailed");
  EXPECT_EQ(
      condition<api::Revision>("hello-00001", "ResourcesAvailable"),
      fmt::format("False: CodeMissing: the code package {} has not been uploaded", digest(1)));
  upload(1);
  start_well("hello-00001");
  until_service("True");
}

TEST_F(ReconcilersTest, ABadPackageIsFinal) {
  const std::string bytes(5000, 'x');
  const std::string digest = "sha256:" + sha256_hex(bytes);
  auto writer = must(blobs_->create(digest));
  ASSERT_TRUE(run(executor_, writer->write(bytes)) && run(executor_, writer->commit()));
  auto service = hello(1);
  service.spec.revision_template.meta.annotations[std::string(api::kCodeAnnotation)] = digest;
  must(resources::create<api::Service>(client_, service));
  until_service("False: RevisionFailed");
  EXPECT_THAT(ready<api::Revision>("hello-00001"),
              HasSubstr("Invalid: the package is no tar archive"));
  expect_quiet();
}

TEST_F(ReconcilersTest, AfterARestartWhatWasReadyIsServedWithoutAProof) {
  create(1);
  start_well("hello-00001");
  until_service("True");
  update(2);
  until_starting("hello-00002");
  plane_->pods.fail(uid("hello-00002"), "SyntaxError");
  until_service("False");
  expect_quiet();

  plane_.reset();
  plane_ = std::make_unique<Plane>(executor_, client_, *code_, clock_);
  until([&] { return plane_->reconcilers.synced(); }, "synced");
  EXPECT_THAT(targets(kHost), ElementsAre(Pair("hello-00001", 100)));
  // The failed one gets another chance.
  start_well("hello-00002");
  until_service("True");
  EXPECT_EQ(plane_->pods.made, 1);
  EXPECT_THAT(targets(kHost), ElementsAre(Pair("hello-00002", 100)));
}

api::TrafficTarget share(const std::string& tag, const std::string& revision, int64_t percent) {
  api::TrafficTarget target;
  target.tag = tag;
  target.revision_name = revision;
  target.percent = percent;
  return target;
}

TEST_F(ReconcilersTest, TrafficIsSplitAndTagged) {
  create_two();
  change([](api::Service& service) {
    service.spec.traffic = {share("", "hello-00001", 90), share("next", "", 10),
                            share("old", "hello-00001", 0)};
    api::apply_defaults(service);
  });
  until([&] { return targets(kHost).size() == 2; }, "split");
  EXPECT_THAT(targets(kHost), ElementsAre(Pair("hello-00001", 90), Pair("hello-00002", 10)));
  EXPECT_THAT(targets("next-hello.default.example.com"), ElementsAre(Pair("hello-00002", 100)));
  EXPECT_THAT(targets("old-hello.default.example.com"), ElementsAre(Pair("hello-00001", 100)));
  until([&] { return get<api::Service>("hello")->status.traffic.size() == 3; }, "status");
  EXPECT_EQ(get<api::Service>("hello")->status.traffic[1].url,
            "http://next-hello.default.example.com:8080");

  // A target that is not there: all stays as it was.
  change([](api::Service& service) {
    service.spec.traffic = {share("", "hello-00009", 100)};
    api::apply_defaults(service);
  });
  until_service("False: RevisionMissing: Revision \"hello-00009\" referenced in traffic not found");
  EXPECT_THAT(targets(kHost), ElementsAre(Pair("hello-00001", 90), Pair("hello-00002", 10)));
  EXPECT_EQ(get<api::Service>("hello")->status.traffic.size(), 3U);
  expect_quiet();
}

TEST_F(ReconcilersTest, ATagThatCannotBeHadTakesNothingFromTheTraffic) {
  create_two();
  change([](api::Service& service) {
    service.spec.traffic = {share("", "", 100), share("old", "hello-00001", 0)};
    api::apply_defaults(service);
  });
  until([&] { return targets("old-hello.default.example.com").size() == 1; }, "the tag");
  ASSERT_TRUE(
      run(executor_, client_.remove(api::Revision::kind(), {kHello.ns, "hello-00001"}, "")));
  until_service(
      "False: RevisionMissing: Revision \"hello-00001\" referenced in traffic not found. Only the "
      "tag old names it: take that off, as with `ebb traffic hello --untag old`.");
  EXPECT_THAT(targets(kHost), ElementsAre(Pair("hello-00002", 100)));
  // What comes next gets the traffic all the same.
  update(3);
  start_well("hello-00003");
  until([&] { return targets(kHost).contains("hello-00003"); }, "the traffic moves");
}

TEST_F(ReconcilersTest, WhatIsLeftOfTheTrafficStaysWhenARevisionIsDeleted) {
  create_two();
  change([](api::Service& service) {
    service.spec.traffic = {share("", "hello-00001", 90), share("", "hello-00002", 10)};
    api::apply_defaults(service);
  });
  until([&] { return targets(kHost).size() == 2; }, "split");
  ASSERT_TRUE(
      run(executor_, client_.remove(api::Revision::kind(), {kHello.ns, "hello-00001"}, "")));
  until_service("False: RevisionMissing: Revision \"hello-00001\" referenced in traffic not found");
  EXPECT_THAT(targets(kHost), ElementsAre(Pair("hello-00002", 100)));
}

TEST_F(ReconcilersTest, ARevisionMayHaveItsOwnName) {
  upload(1);
  auto service = hello(1);
  service.spec.revision_template.meta.name = "hello-first";
  must(resources::create<api::Service>(client_, service));
  start_well("hello-first");
  until_service("True");
  EXPECT_THAT(targets(kHost), ElementsAre(Pair("hello-first", 100)));
  EXPECT_FALSE(get<api::Revision>("hello-00001"));
}

TEST_F(ReconcilersTest, AForeignConfigurationIsLeftAlone) {
  api::Configuration foreign;
  foreign.meta.name = kHello.name;
  foreign.meta.ns = kHello.ns;
  foreign.spec.revision_template = hello(1).spec.revision_template;
  must(resources::create<api::Configuration>(client_, foreign));
  must(resources::create<api::Service>(client_, hello(2)));
  until_service("False: NotOwned: There is an existing Configuration \"hello\"");
  EXPECT_EQ(get<api::Configuration>("hello")->spec, foreign.spec);
}

TEST_F(ReconcilersTest, AResizedTemplateOfTheSameCodeIsANewRevision) {
  create(1);
  start_well("hello-00001");
  change(
      [](api::Service& service) { service.spec.revision_template.spec.container_concurrency = 7; });
  start_well("hello-00002");
  until_service("True");
  const auto backend = plane_->host.backend(uid("hello-00002"));
  ASSERT_TRUE(backend);
  // A change that does not touch the template makes none.
  change([](api::Service& service) { service.meta.labels["team"] = "b"; });
  until([&] { return get<api::Configuration>("hello")->meta.labels.at("team") == "b"; }, "copied");
  expect_quiet();
  EXPECT_FALSE(get<api::Revision>("hello-00003"));
}

// --- Labels, garbage collection, events ---

TEST_F(ReconcilersTest, RevisionsAreLabelledAsRoutesUseThem) {
  create(1);
  start_well("hello-00001");
  const auto state = [&](const std::string& name) {
    return get<api::Revision>(name)->meta.labels[std::string(kRoutingState)];
  };
  until([&] { return state("hello-00001") == kActive; }, "active");
  const auto first = get<api::Revision>("hello-00001")->meta;
  EXPECT_EQ(first.annotation(kRoutes), "hello");
  EXPECT_EQ(first.annotation(kRoutingStateModified), api::to_rfc3339(clock_.wall()));
  EXPECT_EQ(first.labels.at(std::string(kServiceUidLabel)), get<api::Service>("hello")->meta.uid);

  clock_.advance(std::chrono::hours(1));
  update(2);
  until_starting("hello-00002");
  EXPECT_EQ(state("hello-00002"), kPending);
  start_well("hello-00002");
  until([&] { return state("hello-00002") == kActive; }, "the new one is active");
  until([&] { return state("hello-00001") == kReserve; }, "the old one is in reserve");
  const auto old = get<api::Revision>("hello-00001")->meta;
  EXPECT_EQ(old.annotation(kRoutes), "");
  EXPECT_EQ(old.annotation(kRoutingStateModified), api::to_rfc3339(clock_.wall()));
  expect_quiet();

  // One that was never used is not waited for when a newer one is there.
  update(3);
  until_starting("hello-00003");
  plane_->pods.fail(uid("hello-00003"), "SyntaxError");
  update(4);
  until_starting("hello-00004");
  until([&] { return state("hello-00003") == kReserve; }, "passed over");
}

TEST_F(ReconcilersTest, OldRevisionsAreCollectedWhenTheirTimeHasCome) {
  until([&] { return plane_->reconcilers.synced(); }, "nothing of the first plane is under way");
  plane_.reset();
  plane_ = std::make_unique<Plane>(
      executor_, client_, *code_, clock_,
      RevisionGcSettings{.min_non_active_revisions = 1, .max_non_active_revisions = 2});
  for (size_t version = 1; version <= 4; ++version) {
    if (version == 1) create(version);
    if (version > 1) update(version);
    start_well(fmt::format("hello-{:05}", version));
    until_service("True");
    clock_.advance(std::chrono::hours(1));
  }
  // Three are in reserve, one more than the maximum.
  until([&] { return !get<api::Revision>("hello-00001"); }, "the oldest goes");
  expect_quiet();
  EXPECT_TRUE(get<api::Revision>("hello-00002") && get<api::Revision>("hello-00003"));
  until([&] { return plane_->pods.subscribed() == 3; }, "its pods' source forgets it");
  bool told = false;
  for (const auto& one : plane_->events.list()) {
    told |= one.event.involved.kind == "Service" && one.event.reason == "RevisionDeleted";
  }
  EXPECT_TRUE(told);

  clock_.advance(std::chrono::hours(72));
  change([](api::Service& service) { service.meta.labels["again"] = "yes"; });  // a look
  until([&] { return !get<api::Revision>("hello-00002"); }, "a stale one goes");
  EXPECT_TRUE(get<api::Revision>("hello-00003")) << "the minimum stays";
}

TEST_F(ReconcilersTest, OtherRulesForOldRevisionsHoldAtOnce) {
  for (size_t version = 1; version <= 3; ++version) {
    if (version == 1) create(version);
    if (version > 1) update(version);
    start_well(fmt::format("hello-{:05}", version));
    until_service("True");
    clock_.advance(std::chrono::hours(1));
  }
  expect_quiet();
  EXPECT_TRUE(get<api::Revision>("hello-00001"));
  plane_->reconcilers.set_gc({.min_non_active_revisions = 0, .max_non_active_revisions = 1});
  until([&] { return !get<api::Revision>("hello-00001"); }, "the oldest goes");
  expect_quiet();
  EXPECT_TRUE(get<api::Revision>("hello-00002"));
}

TEST_F(ReconcilersTest, OtherDefaultsScaleWhatThereIs) {
  create(1);
  start_well("hello-00001");
  until_service("True");
  EXPECT_EQ(plane_->autoscaler.status(uid("hello-00001")).desired, 0);
  plane_->host.set_defaults({{"autoscaling.knative.dev/min-scale", "2"}});
  EXPECT_EQ(plane_->autoscaler.status(uid("hello-00001")).desired, 2);
  // What a revision says itself wins.
  change([](api::Service& service) {
    service.spec.revision_template.meta.annotations["autoscaling.knative.dev/min-scale"] = "1";
  });
  start_well("hello-00002");
  until_service("True");
  plane_->host.set_defaults({{"autoscaling.knative.dev/min-scale", "3"}});
  EXPECT_EQ(plane_->autoscaler.status(uid("hello-00002")).desired, 1);
  // Against the other one's 3 a maximum of 2 makes no sense: it stays as it was.
  plane_->host.set_defaults(
      {{"autoscaling.knative.dev/min-scale", "3"}, {"autoscaling.knative.dev/max-scale", "2"}});
  EXPECT_EQ(plane_->autoscaler.status(uid("hello-00002")).desired, 1);
}

TEST_F(ReconcilersTest, EventsTellAServicesStory) {
  create(1);
  start_well("hello-00001");
  until_service("True");
  update(2);
  until_starting("hello-00002");
  plane_->pods.fail(uid("hello-00002"), "SyntaxError");
  until_service("False");
  std::vector<std::string> told;
  const std::string service = get<api::Service>("hello")->meta.uid;
  for (const auto& one : plane_->events.list()) {
    if (one.event.involved.uid == service) told.push_back(one.event.reason);
  }
  EXPECT_THAT(told, ::testing::IsSupersetOf(
                        {"RevisionCreated", "RevisionReady", "TrafficSwitched", "RevisionFailed"}));
}

TEST_F(ReconcilersTest, TheNumberOfPodsIsWrittenBehind) {
  create(1);
  start_well("hello-00001");
  until_service("True");
  plane_->autoscaler.wake(uid("hello-00001"));
  plane_->pods.ready(uid("hello-00001"));
  EXPECT_EQ(get<api::Revision>("hello-00001")->status.actual_replicas, 0);
  until([&] { return get<api::Revision>("hello-00001")->status.actual_replicas == 1; }, "written");
  EXPECT_EQ(get<api::Revision>("hello-00001")->status.desired_replicas, 1);
  EXPECT_EQ(condition<api::Revision>("hello-00001", "Active"), "True");
  EXPECT_EQ(ready<api::Revision>("hello-00001"), "True");
}

// --- Nothing stays of what was deleted ---

TEST(RevisionHostTest, TenThousandRevisionsLeaveNothingBehind) {
  net::Executor executor("control");
  FakeClock clock;
  EventRecorder events(clock);
  serving::Traffic traffic;
  Scheduler scheduler({.pods_folder = "/run",
                       .pool_of =
                           [](const std::string& /*runtime*/) {
                             return scheduling::PoolSize{.least = 2, .most = 2};
                           },
                       .events = &events},
                      clock);
  scheduler.add_node("local", [](const node::ToController& /*m*/) -> Result<void> { return {}; });
  scheduler.on_message(
      "local",
      node::Welcome{
          .node = "local", .slots = 4, .pods = {}, .node_address = {}, .network_problem = {}});
  AutoScaler autoscaler(executor, traffic, scheduler, clock, {.events = &events});
  RevisionHost host(traffic, scheduler, autoscaler, clock);
  std::vector<std::weak_ptr<serving::Throttler>> throttlers;
  size_t after_warm_up = 0;
  constexpr int kCycles = 10'000;
  for (int i = 0; i < kCycles; ++i) {
    api::Revision revision;
    revision.meta.uid = fmt::format("uid-{}", i);
    revision.meta.ns = "default";
    revision.meta.name = fmt::format("hello-{}-00001", i);
    revision.meta.annotations[std::string(api::kCodeAnnotation)] = "sha256:" + std::string(64, 'a');
    revision.spec.containers.emplace_back().image = fmt::format("ebb.dev/runtimes/r{}", i % 100);
    host.announce(revision);
    ASSERT_TRUE(host.add(revision));
    throttlers.push_back(traffic.find(revision.meta.uid));
    autoscaler.wake(revision.meta.uid);  // no pod comes: it waits in line
    if (i % 2 == 0) {
      const std::string pod = fmt::format("pod-{}", i);
      scheduler.on_message("local", node::PodCold{pod, fmt::format("r{}", i % 100)});
      scheduler.on_message("local", node::PodReady{pod, 1});
    }
    host.remove(revision.meta.uid);
    if (i % 2 == 0) {
      scheduler.on_message("local", node::PodGone{fmt::format("pod-{}", i), "Stopped", ""});
    }
    executor.run_until(TimePoint{});
    static_cast<void>(autoscaler.take_rescaled());
    if (i == kCycles / 2) after_warm_up = mallinfo2().uordblks;
  }
  for (const auto& throttler : throttlers) EXPECT_TRUE(throttler.expired());
  EXPECT_TRUE(scheduler.pods().empty());
  EXPECT_TRUE(autoscaler.list().empty());
  EXPECT_EQ(autoscaler.active(), 0u);
  // The list of weak pointers above grows; nothing else does.
  const size_t grown = mallinfo2().uordblks - std::min(after_warm_up, mallinfo2().uordblks);
  EXPECT_LT(grown, size_t{4} << 20);
}

}  // namespace
}  // namespace ebb::control
