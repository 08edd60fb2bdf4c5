#include "scaling/policy_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ebb::scaling {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kBegin{1h};
constexpr WallTime kMondayNoon{std::chrono::sys_days{std::chrono::year{2024} / 1 / 1} + 12h};

std::shared_ptr<LuaFile> file(std::string_view text) {
  auto out = std::make_shared<LuaFile>("mine.lua");
  out->set(std::string(text));
  return out;
}

// What it wishes after 10 s with so many requests in the system.
Decision after_load(Policy& policy, double load) {
  TimePoint now = kBegin;
  for (int i = 0; i < 10; ++i) {
    now += 1s;
    policy.observe(
        {.at = now, .concurrency = load, .requests = load, .ended = load, .service_seconds = load});
  }
  return policy.decide({.now = now,
                        .ready = 1,
                        .in_flight = 1,
                        .pod_concurrency = 1,
                        .wall = kMondayNoon + std::chrono::seconds(10)});
}

TEST(PolicySpecTest, ClassesHaveTheNamesOfTheAnnotation) {
  for (const auto one : {PolicyClass::kKpa, PolicyClass::kHpa, PolicyClass::kAdaptive,
                         PolicyClass::kAverage, PolicyClass::kLua}) {
    EXPECT_EQ(policy_class(to_string(one)), one);
  }
  EXPECT_EQ(policy_class("ebb.dev/adaptive"), PolicyClass::kAdaptive);
  EXPECT_EQ(policy_class("keda.example.com"), std::nullopt);
}

TEST(PolicySpecTest, MakesEachClass) {
  PolicySpec spec;
  spec.kpa.target = 7;
  EXPECT_EQ(after_load(*make_policy(spec, 1, kBegin), 21).desired, 3);
  spec.policy = PolicyClass::kAverage;
  spec.average.target = 10;
  EXPECT_EQ(after_load(*make_policy(spec, 1, kBegin), 100).desired, 10);
  spec.policy = PolicyClass::kHpa;
  spec.hpa.spec.max = 100;
  spec.hpa.spec.metrics = {{.source = HpaMetricSpec::Source::kExternal,
                            .name = "concurrency",
                            .type = HpaMetricSpec::Type::kAverageValue,
                            .target = 5000}};
  EXPECT_EQ(after_load(*make_policy(spec, 1, kBegin), 20).desired, 4);
  spec.policy = PolicyClass::kAdaptive;
  EXPECT_GE(after_load(*make_policy(spec, 1, kBegin), 4).desired, 4);
  spec.policy = PolicyClass::kLua;
  spec.lua = file("function decide(m, s) return {desired = 6} end");
  EXPECT_EQ(after_load(*make_policy(spec, 1, kBegin), 4).desired, 6);
}

TEST(PolicySpecTest, WhatRaisesTheFloorIsAddedToTheClass) {
  PolicySpec spec{.policy = PolicyClass::kAverage, .average = {.target = 10}};
  EXPECT_FALSE(spec.never_rests());
  spec.schedule = *parse_schedule("0 8 * * mon-fri | 0 18 * * mon-fri | 5");
  EXPECT_TRUE(spec.never_rests());
  auto policy = make_policy(spec, 0, kBegin);
  const Decision decision = policy->decide({.now = kBegin, .wall = kMondayNoon});
  EXPECT_EQ(decision.desired, 5);
  EXPECT_THAT(decision.reason, testing::HasSubstr("schedule"));
  EXPECT_EQ(after_load(*policy, 100).desired, 10);
}

TEST(PolicySpecTest, AnswersWhatTheAutoScalerAsks) {
  PolicySpec spec;
  spec.kpa.stable_window = 30s;
  spec.adaptive.window = 2s;
  EXPECT_EQ(spec.window(), 30s);
  EXPECT_FALSE(spec.learns());
  EXPECT_EQ(spec.burst(), PolicySpec::Burst::kLoadOverTarget);
  spec.policy = PolicyClass::kAdaptive;
  EXPECT_EQ(spec.window(), 2s);
  EXPECT_TRUE(spec.learns());
  EXPECT_EQ(spec.burst(), PolicySpec::Burst::kAskPolicy);
  spec.policy = PolicyClass::kHpa;
  EXPECT_EQ(spec.burst(), PolicySpec::Burst::kWait);
  EXPECT_EQ(spec.window(), 300s);
}

TEST(PolicySpecTest, TheHpaInsideIsFound) {
  PolicySpec spec{.policy = PolicyClass::kHpa};
  EXPECT_NE(hpa_of(*make_policy(spec, 0, kBegin)), nullptr);
  spec.schedule = *parse_schedule("0 8 * * mon-fri | 0 18 * * mon-fri | 5");
  EXPECT_NE(hpa_of(*make_policy(spec, 0, kBegin)), nullptr);
  spec.policy = PolicyClass::kAverage;
  EXPECT_EQ(hpa_of(*make_policy(spec, 0, kBegin)), nullptr);
  spec.schedule.clear();
  EXPECT_FALSE(spec.never_rests());
  spec.outside = true;
  EXPECT_TRUE(spec.never_rests()) << "the number may want pods where no request comes";
}

TEST(LuaFileTest, ANewTextIsTakenOverAndABrokenOneLeavesTheOldAtWork) {
  auto text = file("function decide(m, s) return {desired = 3} end");
  LuaFilePolicy policy(text);
  const Situation now{.now = kBegin};
  EXPECT_EQ(policy.decide(now).desired, 3);
  text->set("function decide(m, s) return {desired = s.desired + 1} end");
  EXPECT_EQ(policy.decide(now).desired, 4) << "goes on from the last answer";

  text->set("function decide(m, s)\n  return {desired = = 1}\nend");
  Decision decision = policy.decide(now);
  EXPECT_TRUE(decision.valid);
  EXPECT_EQ(decision.desired, 5);
  EXPECT_THAT(decision.error, testing::StartsWith("mine.lua:2:"));
  text->set("function decide(m, s)\n  error('boom')\nend");
  decision = policy.decide(now);
  EXPECT_EQ(decision.error, "mine.lua:2: boom");
  EXPECT_THAT(decision.reason, testing::HasSubstr("mine.lua:2: boom"));
  text->set(fail(Errc::kNotFound, "there is no such file"));
  EXPECT_EQ(policy.decide(now).error, "mine.lua: there is no such file");

  text->set("function decide(m, s) return {desired = 1} end");
  decision = policy.decide(now);
  EXPECT_EQ(decision.desired, 1);
  EXPECT_EQ(decision.error, "");
}

TEST(LuaFileTest, ErrorsNameFileAndLine) {
  EXPECT_EQ(in_file("m.lua", "policy:3: no"), "m.lua:3: no");
  EXPECT_EQ(in_file("m.lua", "one pod: policy:3: no"), "m.lua:3: no (one pod)");
  EXPECT_EQ(in_file("m.lua", "my policy: no"), "m.lua: my policy: no");
  EXPECT_EQ(in_file("m.lua", "policy:12: my policy: no"), "m.lua:12: my policy: no");
}

TEST(LuaFileTest, WithoutAnyTextTheLastAmountStays) {
  auto missing = std::make_shared<LuaFile>("mine.lua");
  LuaFilePolicy policy(missing);
  const Decision decision = policy.decide({.now = kBegin, .ready = 2, .in_flight = 1});
  EXPECT_FALSE(decision.valid);
  EXPECT_EQ(decision.error, "mine.lua: it was not read yet");
}

TEST(LuaFileTest, KnowsWhetherItIsUsed) {
  auto text = file("function decide(m, s) end");
  EXPECT_FALSE(text->take_used());
  LuaFilePolicy policy(text);
  EXPECT_TRUE(text->take_used());
  EXPECT_FALSE(text->take_used());
}

}  // namespace
}  // namespace ebb::scaling
