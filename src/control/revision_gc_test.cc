#include "control/revision_gc.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <list>

#include "control/routing_labels.h"

namespace ebb::control {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class RevisionGcTest : public testing::Test {
 protected:
  // A revision of so long ago that no route has used for so long.
  api::Revision& add(const std::string& name, Duration age, Duration unused,
                     std::string_view state = kReserve) {
    api::Revision revision;
    revision.meta.name = name;
    revision.meta.creation_timestamp = ago(age);
    revision.meta.labels[std::string(kRoutingState)] = state;
    revision.meta.annotations[std::string(kRoutingStateModified)] = ago(unused);
    return revisions_.emplace_back(std::move(revision));
  }
  std::string ago(Duration time) {
    return api::to_rfc3339(now_ - std::chrono::duration_cast<WallTime::duration>(time));
  }
  std::vector<std::string> removed() {
    std::vector<const api::Revision*> all;
    for (const auto& revision : revisions_) all.push_back(&revision);
    plan_ = plan_revision_gc(configuration_, all, settings_, now_);
    std::vector<std::string> names;
    for (const auto* revision : plan_.remove) names.push_back(revision->meta.name);
    return names;
  }

  WallTime now_{std::chrono::sys_days{std::chrono::year{2026} / 6 / 1}};
  RevisionGcSettings settings_{.min_non_active_revisions = 0};
  api::Configuration configuration_;
  std::list<api::Revision> revisions_;
  RevisionGcPlan plan_;
};

TEST_F(RevisionGcTest, WhatIsOlderThanBothLimitsGoesTheLongestUnusedFirst) {
  add("b", 100h, 20h);
  add("a", 100h, 30h);
  add("created lately", 47h, 20h);
  add("used lately", 100h, 14h);
  EXPECT_THAT(removed(), ElementsAre("a", "b"));
  EXPECT_EQ(plan_.again, 1h);
}

TEST_F(RevisionGcTest, SomeStayInAnyCase) {
  add("latest ready", 100h, 100h);
  add("latest created", 100h, 100h);
  add("active", 100h, 100h, kActive);
  add("pending", 100h, 100h, kPending);
  add("no gc", 100h, 100h).meta.annotations[std::string(kNoGc)] = "true";
  add("unlabelled", 100h, 100h).meta.labels.clear();
  configuration_.status.latest_ready_revision = "latest ready";
  configuration_.status.latest_created_revision = "latest created";
  settings_.max_non_active_revisions = 0;
  EXPECT_THAT(removed(), IsEmpty());
  EXPECT_EQ(plan_.again, std::nullopt);
}

TEST_F(RevisionGcTest, TheMinimumStaysHoweverOld) {
  settings_.min_non_active_revisions = 2;
  for (int i = 0; i < 5; ++i) add(std::to_string(i), 1000h, 1000h - i * 1h);
  EXPECT_THAT(removed(), ElementsAre("0", "1", "2"));
}

TEST_F(RevisionGcTest, OverTheMaximumTheLongestUnusedGoHoweverYoung) {
  settings_.max_non_active_revisions = 2;
  for (int i = 0; i < 5; ++i) add(std::to_string(i), 10h, 10h - i * 1h);
  EXPECT_THAT(removed(), ElementsAre("0", "1", "2"));
}

TEST_F(RevisionGcTest, LimitsCanBeSwitchedOff) {
  for (int i = 0; i < 3; ++i) add(std::to_string(i), 1000h, 1000h);
  settings_ = {.retain_since_create_time = std::nullopt,
               .retain_since_last_active_time = std::nullopt,
               .min_non_active_revisions = 0,
               .max_non_active_revisions = std::nullopt};
  EXPECT_THAT(removed(), IsEmpty());
  settings_.retain_since_create_time = 1h;
  EXPECT_EQ(removed().size(), 3u);
}

TEST_F(RevisionGcTest, WithoutATimeOfUseThatOfCreationCounts) {
  add("a", 49h, 49h).meta.annotations.clear();
  add("b", 49h, 49h).meta.annotations[std::string(kRoutingStateModified)] = "yesterday";
  EXPECT_THAT(removed(), ElementsAre("a"));  // what cannot be read deletes nothing
}

TEST_F(RevisionGcTest, KnativesDefaults) {
  settings_ = {};
  for (int i = 0; i < 25; ++i) add(std::to_string(i), 49h, 16h);
  EXPECT_EQ(removed().size(), 5u);
}

}  // namespace
}  // namespace ebb::control
