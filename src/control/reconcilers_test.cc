// The life of a service: from its manifest to ready pods, and its end.
#include "control/reconcilers_fixture.h"

namespace ebb::control {
namespace {

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

TEST_F(ReconcilersTest, UrlsAreWhereARequestIsAnswered) {
  create(1);
  start_well("hello-00001");
  until_service("True");
  const auto restart = [this](GatewayPorts ports) {
    until([&] { return plane_->reconcilers.synced(); }, "nothing is under way");
    plane_.reset();
    plane_ =
        std::make_unique<Plane>(executor_, client_, *code_, clock_, RevisionGcSettings{}, ports);
  };
  const auto until_url = [this](const std::string& url) {
    until([&] { return get<api::Service>("hello")->status.url == url; }, url);
  };
  restart({.http = 80, .https = 443});
  until_url("https://hello.default.example.com");
  EXPECT_EQ(get<api::Service>("hello")->status.address_url, "http://hello.default.example.com")
      << "functions' calls are not sent on";
  restart({.http = 8080, .https = 8443});
  until_url("https://hello.default.example.com:8443");
  // Nobody from outside is let in.
  change([](api::Service& service) {
    service.meta.labels[std::string(api::kVisibilityLabel)] = "cluster-local";
  });
  until_url("http://hello.default.example.com:8080");
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

// --- Defaults, events, status ---

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

}  // namespace
}  // namespace ebb::control
