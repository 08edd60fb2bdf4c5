#include "control/policy_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/policy_annotations.h"

namespace ebb::control {
namespace {

using namespace std::chrono_literals;
using scaling::HpaMetricSpec;
using scaling::PolicyClass;

const std::string kPrefix = "autoscaling.knative.dev/";

struct Planned {
  ScalePlan plan;
  std::vector<api::FieldError> errors;
  [[nodiscard]] const scaling::PolicySpec& spec() const { return *plan.policy; }
};

Planned plan(const Annotations& annotations, const scheduling::PodTemplate& pod = {}) {
  Planned out;
  plan_scaling(annotations, pod, out.plan, out.errors);
  return out;
}

TEST(PolicyPlanTest, WithoutAnnotationsItIsAdaptive) {
  const auto planned = plan({});
  EXPECT_TRUE(planned.errors.empty());
  EXPECT_EQ(planned.spec().policy, PolicyClass::kAdaptive);
  EXPECT_EQ(planned.spec().window(), 45s);
}

TEST(PolicyPlanTest, KpaIsKnatives) {
  const auto planned = plan({{kPrefix + "class", std::string(api::kKpaClass)}});
  EXPECT_TRUE(planned.errors.empty());
  EXPECT_EQ(planned.spec().policy, PolicyClass::kKpa);
  EXPECT_EQ(planned.spec().kpa.target, 70);
  EXPECT_EQ(planned.spec().window(), 60s);
  EXPECT_FALSE(planned.spec().never_rests());
  EXPECT_EQ(plan({{kPrefix + "class", "keda.example.com"}}).spec().policy, PolicyClass::kKpa);
}

TEST(PolicyPlanTest, RatesAndDefaultTargetsAreSettings) {
  const auto planned = plan({{kPrefix + "max-scale-up-rate", "10"},
                             {kPrefix + "max-scale-down-rate", "1.5"},
                             {kPrefix + "container-concurrency-target-default", "50"}});
  EXPECT_TRUE(planned.errors.empty());
  EXPECT_EQ(planned.spec().policy, PolicyClass::kKpa) << "only kpa has rates";
  EXPECT_EQ(planned.spec().kpa.max_scale_up_rate, 10);
  EXPECT_EQ(planned.spec().kpa.max_scale_down_rate, 1.5);
  EXPECT_EQ(planned.spec().kpa.target, 35);
  EXPECT_EQ(plan({{kPrefix + "max-scale-up-rate", "1"}}).errors.size(), 1u);
}

TEST(PolicyPlanTest, KnowsHowManyRequestsAPodIsMeantToHold) {
  const auto target = [](const Annotations& wish) {
    Annotations prefixed;
    for (const auto& [name, value] : wish) prefixed[kPrefix + name] = value;
    const auto planned = plan(prefixed);
    EXPECT_TRUE(planned.errors.empty());
    return planned.plan.pod_target;
  };
  EXPECT_EQ(target({}), 100);
  EXPECT_EQ(target({{"target", "0.5"}}), 1);
  EXPECT_EQ(target({{"target", "2.5"}}), 3) << "the third begins before the target is reached";
  const std::string kpa(api::kKpaClass);
  EXPECT_EQ(target({{"class", kpa}}), 70);
  EXPECT_EQ(target({{"class", kpa}, {"target", "20"}}), 14);
  EXPECT_EQ(target({{"class", kpa}, {"target", "20"}, {"target-utilization-percentage", "100"}}),
            20);
  EXPECT_EQ(target({{"class", kpa}, {"metric", "rps"}, {"target", "20"}}), 70)
      << "calls in a second say nothing of how many there are at a time";
}

// Nothing that an operator sets may take away what a revision asks for, or make it impossible.
TEST(ScaleAnnotationsTest, ADefaultHoldsWhereItContradictsNothing) {
  const auto with = [](Annotations own, const Annotations& defaults) {
    Annotations prefixed;
    for (const auto& [name, value] : own) {
      prefixed[name.find('/') == std::string::npos ? kPrefix + name : name] = value;
    }
    Annotations all;
    for (const auto& [name, value] : defaults) all[kPrefix + name] = value;
    const ScaleAnnotations made(prefixed, all);
    EXPECT_EQ(made.own, prefixed);
    EXPECT_TRUE(plan(made.all).errors.empty());
    return made.all;
  };
  const auto has = [](const Annotations& all, const std::string& name) {
    const auto found = all.find(kPrefix + name);
    return found == all.end() ? "" : found->second;
  };
  EXPECT_EQ(has(with({}, {{"window", "30s"}}), "window"), "30s");
  EXPECT_EQ(has(with({{"window", "20s"}}, {{"window", "30s"}}), "window"), "20s");
  // Too short for kpa.
  const Annotations brief{{"class", "ebb.dev/adaptive"}, {"window", "2s"}, {"min-scale", "2"}};
  EXPECT_EQ(has(with({}, brief), "window"), "2s");
  EXPECT_EQ(has(with({{"class", "kpa.autoscaling.knative.dev"}}, brief), "window"), "");
  EXPECT_EQ(has(with({{"max-scale", "1"}}, brief), "min-scale"), "");
  // The class follows what the revision says.
  EXPECT_EQ(has(with({{"metric", "rps"}}, brief), "class"), "");
  EXPECT_EQ(has(with({{"target-burst-capacity", "5"}}, brief), "class"), "");
  EXPECT_EQ(has(with({{"ebb.dev/policy-wait", "50ms"}}, {{"class", "kpa.autoscaling.knative.dev"}}),
                "class"),
            "");
  // What only kpa has is for those that have kpa, and makes nobody one.
  const Annotations rate{{"max-scale-up-rate", "10"}};
  EXPECT_EQ(has(with({}, rate), "max-scale-up-rate"), "");
  EXPECT_EQ(has(with({{"class", "kpa.autoscaling.knative.dev"}}, rate), "max-scale-up-rate"), "10");
  EXPECT_EQ(has(with({{"metric", "rps"}}, rate), "max-scale-up-rate"), "10");
  EXPECT_EQ(plan(with({}, rate)).spec().policy, PolicyClass::kAdaptive);
  // Which average and hpa look at, too.
  const Annotations rps{{"class", "ebb.dev/average"}, {"metric", "rps"}};
  EXPECT_EQ(has(with({}, rps), "metric"), "rps");
  EXPECT_EQ(has(with({}, {{"metric", "rps"}}), "metric"), "");
  // An old spelling says it as well.
  EXPECT_EQ(has(with({{"minScale", "5"}}, {{"min-scale", "1"}}), "min-scale"), "");
  // hpa holds a wish for its window.
  EXPECT_EQ(has(with({{"class", "hpa.autoscaling.knative.dev"}}, {{"window", "60s"}}), "window"),
            "");
}

TEST(PolicyPlanTest, Adaptive) {
  scheduling::PodTemplate pod;
  pod.concurrency = 4;
  const auto planned = plan({{kPrefix + "class", "ebb.dev/adaptive"},
                             {kPrefix + "window", "2s"},
                             {kPrefix + "max-scale", "9"},
                             {"ebb.dev/policy-wait", "50ms"},
                             {"ebb.dev/policy-share", "0.1"}},
                            pod);
  EXPECT_TRUE(planned.errors.empty());
  EXPECT_EQ(planned.spec().policy, PolicyClass::kAdaptive);
  EXPECT_EQ(planned.spec().adaptive.window, 2s);
  EXPECT_EQ(planned.spec().adaptive.wait, 50ms);
  EXPECT_EQ(planned.spec().adaptive.share, 0.1);
  EXPECT_EQ(planned.spec().adaptive.target, 4);
  EXPECT_EQ(planned.plan.bounds.max, 9);
}

TEST(PolicyPlanTest, Average) {
  const auto planned = plan({{kPrefix + "class", "ebb.dev/average"},
                             {kPrefix + "metric", "rps"},
                             {kPrefix + "target", "25"}});
  EXPECT_EQ(planned.spec().average.metric, scaling::MetricKind::kRequests);
  EXPECT_EQ(planned.spec().average.target, 25);
  EXPECT_EQ(planned.spec().average.window, 10s);
}

TEST(PolicyPlanTest, HpaAsKnativeMakesIt) {
  scheduling::PodTemplate pod;
  pod.cpu_millis = 500;
  const std::pair<const std::string, std::string> hpa{kPrefix + "class",
                                                      "hpa.autoscaling.knative.dev"};
  auto planned = plan({hpa, {kPrefix + "target", "60"}, {kPrefix + "max-scale", "5"}}, pod);
  ASSERT_EQ(planned.spec().hpa.spec.metrics.size(), 1u);
  EXPECT_EQ(planned.spec().hpa.spec.metrics[0].name, "cpu");
  EXPECT_EQ(planned.spec().hpa.spec.metrics[0].type, HpaMetricSpec::Type::kUtilization);
  EXPECT_EQ(planned.spec().hpa.spec.metrics[0].target, 60);
  EXPECT_EQ(planned.spec().hpa.cpu_request, 500);
  EXPECT_EQ(planned.spec().hpa.spec.max, 5);
  EXPECT_EQ(planned.spec().window(), 300s);
  EXPECT_TRUE(scaling::validate(planned.spec().hpa.spec));

  planned = plan({hpa, {kPrefix + "metric", "concurrency"}, {kPrefix + "target", "7"}});
  const auto& metric = planned.spec().hpa.spec.metrics[0];
  EXPECT_EQ(metric.source, HpaMetricSpec::Source::kExternal);
  EXPECT_EQ(metric.type, HpaMetricSpec::Type::kAverageValue);
  EXPECT_EQ(metric.target, 7000);
  EXPECT_TRUE(scaling::validate(planned.spec().hpa.spec));
}

TEST(PolicyPlanTest, AWindowIsTheStabilizationOfClassHpa) {
  const std::string hpa(api::kHpaClass);
  const auto plain = plan({{"autoscaling.knative.dev/class", hpa}});
  EXPECT_FALSE(plain.spec().hpa.spec.behavior);
  EXPECT_EQ(plain.spec().hpa.zero_after, 300s);
  const auto set =
      plan({{"autoscaling.knative.dev/class", hpa}, {"autoscaling.knative.dev/window", "20s"}});
  ASSERT_TRUE(set.spec().hpa.spec.behavior);
  EXPECT_EQ(set.spec().hpa.spec.behavior->up.window, 20s);
  EXPECT_EQ(set.spec().hpa.spec.behavior->down.window, 20s);
  EXPECT_EQ(set.spec().hpa.zero_after, 20s);
  EXPECT_TRUE(scaling::validate(set.spec().hpa.spec));
}

TEST(PolicyPlanTest, WhatRaisesTheFloor) {
  const auto planned = plan({{"ebb.dev/schedule", "0 8 * * * | 0 18 * * * | 2"},
                             {"ebb.dev/schedule-timezone", "Europe/Berlin"},
                             {"ebb.dev/forecast", "true"},
                             {"ebb.dev/forecast-lead", "30s"},
                             {"ebb.dev/keep-alive", "hybrid"}});
  EXPECT_TRUE(planned.errors.empty());
  ASSERT_EQ(planned.spec().schedule.size(), 1u);
  ASSERT_TRUE(planned.spec().forecast);
  EXPECT_EQ(planned.spec().forecast->lead, 30s);
  EXPECT_EQ(planned.spec().forecast->target, 100);
  ASSERT_TRUE(planned.spec().hybrid_keep_alive);
  EXPECT_EQ(planned.spec().hybrid_keep_alive->fallback, 10min);
}

TEST(PolicyPlanTest, AScheduleThatCannotBeReadIsTold) {
  for (const auto& [schedule, zone, why, where] :
       {std::tuple{"8 o'clock | 0 18 * * * | 2", "UTC", "8 o'clock", "ebb.dev/schedule"},
        std::tuple{"0 8 * * * | 00 08 * * * | 2", "UTC", "same moments", "ebb.dev/schedule"},
        std::tuple{"0 8 * * * | 0 18 * * * | 2", "Mars/Base", "Mars/Base",
                   "ebb.dev/schedule-timezone"}}) {
    const Annotations annotations{{"ebb.dev/schedule", schedule},
                                  {"ebb.dev/schedule-timezone", zone}};
    EXPECT_EQ(plan(annotations).errors.size(), 1u);
    std::vector<api::FieldError> errors;
    check_scaling(annotations, "spec.template.metadata.annotations", errors);
    ASSERT_EQ(errors.size(), 1u);
    EXPECT_EQ(errors[0].path, fmt::format("spec.template.metadata.annotations[{}]", where));
    EXPECT_THAT(errors[0].message, testing::HasSubstr(why));
  }
}

TEST(PolicyPlanTest, UseIsTakenAsAPartOfTheRequestElseOfTheLimit) {
  scheduling::PodTemplate pod;
  EXPECT_EQ(plan({}, pod).spec().hpa.cpu_request, 1000) << "without either, one core";
  pod.cpu_millis = 500;
  pod.memory_bytes = 1 << 28;
  EXPECT_EQ(plan({}, pod).spec().hpa.cpu_request, 500);
  EXPECT_EQ(plan({}, pod).spec().hpa.memory_request, 1 << 28);
  pod.cpu_request_millis = 100;
  pod.memory_request = 1 << 20;
  EXPECT_EQ(plan({}, pod).spec().hpa.cpu_request, 100);
  EXPECT_EQ(plan({}, pod).spec().hpa.memory_request, 1 << 20);
}

// As control/revision_host.h gets it.
Planned plan_with(const Annotations& annotations, const HpaWish* hpa,
                  std::vector<OutsideNeed>& needs) {
  Planned out;
  plan_scaling(annotations, {}, out.plan, out.errors, hpa, &needs);
  EXPECT_TRUE(out.errors.empty());
  return out;
}

TEST(PolicyPlanTest, AnAutoscalerTakesThePlaceOfTheAnnotations) {
  HpaWish hpa;
  hpa.spec.max = 7;
  hpa.spec.metrics = {{.source = HpaMetricSpec::Source::kExternal,
                       .name = "jobs",
                       .type = HpaMetricSpec::Type::kValue,
                       .target = 5000}};
  hpa.outside = {{"jobs", "json http://own/ /a"}, {"unused", "json http://own/ /b"}};
  std::vector<OutsideNeed> needs;
  auto planned = plan_with({{kPrefix + "class", "ebb.dev/adaptive"},
                            {kPrefix + "window", "20s"},
                            {"ebb.dev/metric-jobs", "json http://theirs/ /a"}},
                           &hpa, needs);
  EXPECT_EQ(planned.spec().policy, PolicyClass::kHpa);
  EXPECT_EQ(planned.spec().hpa.spec.metrics[0].name, "jobs");
  EXPECT_EQ(planned.spec().hpa.zero_after, 20s);
  EXPECT_EQ(planned.plan.bounds.max, 7);
  EXPECT_EQ(planned.plan.bounds.min, 0) << "the last pod may go";
  ASSERT_EQ(needs.size(), 1u);
  EXPECT_EQ(needs[0].declaration, "json http://own/ /a");
  EXPECT_TRUE(planned.spec().never_rests());

  // Both bounds hold; a minimum above one is kept, also without a request.
  hpa.spec.min = 3;
  planned = plan_with({{kPrefix + "max-scale", "2"}, {kPrefix + "min-scale", "1"}}, &hpa, needs);
  EXPECT_EQ(planned.plan.bounds.max, 2);
  EXPECT_EQ(planned.plan.bounds.min, 2);
}

TEST(PolicyPlanTest, MetricsFromOutsideByAnnotation) {
  const Annotations declared{{"ebb.dev/metric-jobs", "json http://q/ /a"},
                             {kPrefix + "metric", "jobs"},
                             {kPrefix + "target", "25"}};
  const auto with = [&](const char* used) {
    Annotations all = declared;
    all[kPrefix + "class"] = used;
    if (std::string_view(used) == "ebb.dev/lua") {
      all.erase(kPrefix + "metric");
      all["ebb.dev/policy-file"] = "a.lua";
    }
    return all;
  };
  std::vector<OutsideNeed> needs;
  auto planned = plan_with(with("ebb.dev/average"), nullptr, needs);
  EXPECT_EQ(planned.spec().average.outside, "jobs");
  EXPECT_EQ(planned.spec().average.target, 25);
  planned = plan_with(with("ebb.dev/lua"), nullptr, needs);
  EXPECT_TRUE(planned.spec().outside);
  planned = plan_with(with("hpa.autoscaling.knative.dev"), nullptr, needs);
  ASSERT_EQ(needs.size(), 3u);
  EXPECT_EQ(needs[2].name, "jobs");
  const auto& hpa = planned.spec().hpa.spec;
  EXPECT_EQ(hpa.min, 0) << "what comes from outside is known at zero, too";
  EXPECT_EQ(hpa.metrics[0].source, HpaMetricSpec::Source::kExternal);
  EXPECT_EQ(hpa.metrics[0].target, 25'000);
  EXPECT_TRUE(scaling::validate(hpa));
  // Declared and looked at by nobody: it is not asked for.
  planned = plan_with({{"ebb.dev/metric-jobs", "json http://q/ /a"}}, nullptr, needs);
  EXPECT_EQ(needs.size(), 3u);
  EXPECT_FALSE(planned.spec().never_rests());
}

TEST(PolicyPlanTest, ADeclarationThatCannotBeReadIsTold) {
  std::vector<api::FieldError> errors;
  check_scaling({{"ebb.dev/metric-jobs", "carrier-pigeon http://q/ /a"}}, "metadata.annotations",
                errors);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].path, "metadata.annotations[ebb.dev/metric-jobs]");
  EXPECT_THAT(errors[0].message, testing::HasSubstr("prometheus"));
}

TEST(PolicyShareTest, ThoseThatAreScaledAlikeShareOne) {
  PolicyShare share;
  PolicyFolder folder("/nowhere");
  scheduling::PodTemplate pod;
  const Annotations plain;
  const auto one = share.get(plain, pod, plan(plain).plan.policy, &folder);
  EXPECT_EQ(share.get(plain, pod, plan(plain).plan.policy, &folder), one);
  pod.concurrency = 1;
  EXPECT_NE(share.get(plain, pod, plan(plain, pod).plan.policy, &folder), one);

  const Annotations lua{{kPrefix + "class", "ebb.dev/lua"}, {"ebb.dev/policy-file", "a.lua"}};
  const auto mine = share.get(lua, pod, plan(lua).plan.policy, &folder);
  EXPECT_EQ(mine->lua, folder.file("a.lua"));
  for (int i = 0; i < 1000; ++i) {  // what no revision has any more does not pile up
    pod.memory_bytes = static_cast<uint64_t>(i);
    static_cast<void>(share.get(plain, pod, plan(plain, pod).plan.policy, &folder));
  }
  EXPECT_EQ(share.get(lua, pod, plan(lua).plan.policy, &folder)->policy, PolicyClass::kLua);
}

}  // namespace
}  // namespace ebb::control
