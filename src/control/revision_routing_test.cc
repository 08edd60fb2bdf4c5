// Which revisions a service's requests go to, and what becomes of those that get none.
#include "control/reconcilers_fixture.h"

namespace ebb::control {
namespace {

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

}  // namespace
}  // namespace ebb::control
