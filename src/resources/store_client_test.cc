#include "resources/store_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "api/json.h"
#include "api/types.h"
#include "resources/client_fixture.h"

namespace ebb::resources {
namespace {

using ::testing::HasSubstr;

class StoreClientTest : public ClientFixture {};

TEST_F(StoreClientTest, CreateFillsWhatTheServerDecides) {
  auto created = must(client_.create(kService, service("hello")));
  const auto& meta = created["metadata"];
  EXPECT_EQ(meta["uid"].get<std::string>().size(), 36U);
  EXPECT_EQ(meta["creationTimestamp"], "2026-01-01T00:00:00Z");
  EXPECT_EQ(meta["generation"], 1);
  EXPECT_EQ(meta["resourceVersion"], "1");
  EXPECT_EQ(must(client_.get(kService, key("hello"))), created);
}

TEST_F(StoreClientTest, CreateTwiceFails) {
  must(client_.create(kService, service("hello")));
  auto again = run(executor_, client_.create(kService, service("hello")));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Errc::kAlreadyExists);
  EXPECT_EQ(again.error().message, "services.serving.knative.dev \"hello\" already exists");
}

TEST_F(StoreClientTest, KindsAndNamespacesAreApart) {
  must(client_.create(kService, service("hello")));
  must(client_.create(kService, service("hello", "other")));
  must(client_.create(kService, service("hello", "oth")));
  auto found = run(executor_, client_.get(api::Route::kind(), key("hello")));
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Errc::kNotFound);
  EXPECT_EQ(found.error().message, "routes.serving.knative.dev \"hello\" not found");
  EXPECT_EQ(must(client_.list(kService, "oth")).items.size(), 1U);
  EXPECT_EQ(must(client_.list(kService, "")).items.size(), 3U);
  EXPECT_EQ(must(client_.list(kService, "")).resource_version, "3");
}

TEST_F(StoreClientTest, NamesCannotLeaveTheirFolder) {
  for (const auto& bad : {ObjectKey{"default", ""}, ObjectKey{"", "a"}, ObjectKey{"a", "b/c"},
                          ObjectKey{"a/b", "c"}}) {
    EXPECT_EQ(run(executor_, client_.get(kService, bad)).error().code, Errc::kInvalid);
    EXPECT_EQ(run(executor_, client_.remove(kService, bad, "")).error().code, Errc::kInvalid);
  }
  EXPECT_EQ(run(executor_, client_.create(kService, service("a/b"))).error().code, Errc::kInvalid);
  EXPECT_EQ(run(executor_, client_.create(kService, api::Json(1))).error().code, Errc::kInvalid);
}

TEST_F(StoreClientTest, UpdateCountsGenerationsOfTheSpecOnly) {
  auto object = must(client_.create(kService, service("hello")));
  object["metadata"]["labels"]["a"] = "b";
  object = must(client_.update(kService, object));
  EXPECT_EQ(object["metadata"]["generation"], 1);
  EXPECT_EQ(object["metadata"]["resourceVersion"], "2");
  object["spec"]["traffic"] = api::Json::array();
  object = must(client_.update(kService, object));
  EXPECT_EQ(object["metadata"]["generation"], 2);
}

// Whoever compares what it wants with what is there would write for ever.
TEST_F(StoreClientTest, WhatIsNoTextIsNotWrittenAgain) {
  auto object = must(client_.create(kService, service("hello")));
  object["status"]["url"] = "http://\xff";
  object = must(client_.update_status(kService, object));
  const auto version = object["metadata"]["resourceVersion"];
  object["status"]["url"] = "http://\xff";
  EXPECT_EQ(must(client_.update_status(kService, object))["metadata"]["resourceVersion"], version);
}

TEST_F(StoreClientTest, UpdateLeavesTheStatusAndStatusTheRest) {
  auto object = must(client_.create(kService, service("hello")));
  object["status"]["url"] = "http://x";
  object["spec"]["a"] = 1;
  auto updated = must(client_.update(kService, object));
  EXPECT_FALSE(updated.contains("status"));
  EXPECT_EQ(updated["spec"]["a"], 1);

  updated["status"]["url"] = "http://x";
  updated["spec"]["a"] = 2;
  updated["metadata"]["labels"]["a"] = "b";
  updated = must(client_.update_status(kService, updated));
  EXPECT_EQ(updated["status"]["url"], "http://x");
  EXPECT_EQ(updated["spec"]["a"], 1);
  EXPECT_FALSE(updated["metadata"].contains("labels"));
  EXPECT_EQ(updated["metadata"]["generation"], 2);

  updated.erase("status");
  updated["spec"]["a"] = 3;
  updated = must(client_.update(kService, updated));
  EXPECT_EQ(updated["status"]["url"], "http://x");
}

TEST_F(StoreClientTest, UpdateCannotChangeIdentity) {
  auto created = must(client_.create(kService, service("hello")));
  auto object = created;
  object["metadata"]["creationTimestamp"] = "1999-01-01T00:00:00Z";
  object["metadata"]["generation"] = 77;
  auto updated = must(client_.update(kService, object));
  EXPECT_EQ(updated, created);
  object["metadata"]["uid"] = "another";
  EXPECT_EQ(run(executor_, client_.update(kService, object)).error().code, Errc::kConflict);
}

TEST_F(StoreClientTest, AnUpdateThatChangesNothingWritesNothing) {
  auto object = must(client_.create(kService, service("hello")));
  EXPECT_EQ(must(client_.update(kService, object)), object);
  EXPECT_EQ(must(client_.update_status(kService, object)), object);
  EXPECT_EQ(must(client_.list(kService, "")).resource_version, "1");
}

TEST_F(StoreClientTest, AStaleVersionIsAConflict) {
  auto old = must(client_.create(kService, service("hello")));
  auto object = old;
  object["spec"]["a"] = 1;
  must(client_.update(kService, object));
  old["spec"]["a"] = 2;
  for (auto stale : {run(executor_, client_.update(kService, old)),
                     run(executor_, client_.update_status(kService, old))}) {
    ASSERT_FALSE(stale);
    EXPECT_EQ(stale.error().code, Errc::kConflict);
    EXPECT_THAT(stale.error().message, HasSubstr("the object has been modified"));
  }
  old["metadata"].erase("resourceVersion");
  EXPECT_EQ(must(client_.update(kService, old))["spec"]["a"], 2) << "no version: the newest";
}

TEST_F(StoreClientTest, UpdateOfNothingIsNotFound) {
  EXPECT_EQ(run(executor_, client_.update(kService, service("none"))).error().code,
            Errc::kNotFound);
}

TEST_F(StoreClientTest, RemoveComparesTheVersionIfGiven) {
  must(client_.create(kService, service("a")));
  must(client_.create(kService, service("b")));
  EXPECT_EQ(run(executor_, client_.remove(kService, key("a"), "9")).error().code, Errc::kConflict);
  EXPECT_TRUE(run(executor_, client_.remove(kService, key("a"), "1")));
  EXPECT_TRUE(run(executor_, client_.remove(kService, key("b"), "")));
  EXPECT_EQ(run(executor_, client_.remove(kService, key("b"), "")).error().code, Errc::kNotFound);
}

TEST_F(StoreClientTest, WatchTellsAddedModifiedDeleted) {
  auto object = must(client_.create(kService, service("hello")));
  auto watch = client_.watch(kService, "default", "0");
  object["spec"]["a"] = 1;
  must(client_.update(kService, object));
  must(client_.create(kService, service("elsewhere", "other")));
  ASSERT_TRUE(run(executor_, client_.remove(kService, key("hello"), "")));
  std::vector<ResourceEvent> events;
  while (events.size() < 3) {
    auto next = must(watch->next(executor_.now() + std::chrono::seconds(20)));
    events.insert(events.end(), next.begin(), next.end());
  }
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(events[0].type, ResourceEvent::Type::kAdded);
  EXPECT_EQ(events[1].type, ResourceEvent::Type::kModified);
  EXPECT_EQ(events[1].object["metadata"]["resourceVersion"], "2");
  EXPECT_EQ(events[2].type, ResourceEvent::Type::kDeleted);
  EXPECT_EQ(events[2].object["metadata"]["resourceVersion"], "4");
  EXPECT_EQ(events[2].object["spec"]["a"], 1);
}

TEST_F(StoreClientTest, WatchOfAForeignVersionIsGone) {
  for (const char* version : {"", "abc", "-1", "99", "1x"}) {
    auto watch = client_.watch(kService, "", version);
    auto events = run(executor_, watch->next(executor_.now() + std::chrono::seconds(20)));
    ASSERT_FALSE(events) << version;
    EXPECT_EQ(events.error().code, Errc::kGone) << version;
  }
}

TEST_F(StoreClientTest, TypedHelpers) {
  api::Service typed;
  typed.meta.name = "hello";
  typed.meta.ns = "default";
  typed.spec.revision_template.spec.containers.emplace_back().image = "ebb.dev/runtimes/python";
  auto created = must(resources::create(client_, typed));
  created.status.url = "http://x";
  auto updated = must(resources::update_status(client_, created));
  EXPECT_EQ(must(resources::get<api::Service>(client_, key("hello"))), updated);
  EXPECT_EQ(must(resources::list<api::Service>(client_, "")).size(), 1U);
}

}  // namespace
}  // namespace ebb::resources
