#include "api/policy_annotations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/autoscaling.h"

namespace ebb::api {
namespace {

using namespace std::chrono_literals;
using Annotations = std::map<std::string, std::string>;

constexpr const char* kClass = "autoscaling.knative.dev/class";

struct ParsedPolicy {
  PolicyAnnotations policy;
  std::vector<FieldError> errors;
};

ParsedPolicy parse_annotations(const Annotations& annotations) {
  ParsedPolicy out;
  out.policy = parse_policy(annotations, "metadata.annotations", out.errors);
  return out;
}

TEST(PolicyAnnotationsTest, WithoutAnyTheDefaultsHold) {
  const auto parsed = parse_annotations(
      {{"ebb.dev/network", "none"}, {"ebb.dev/code", "sha256:"}, {"example.com/a", "b"}});
  EXPECT_TRUE(parsed.errors.empty());
  EXPECT_EQ(parsed.policy, PolicyAnnotations());
}

TEST(PolicyAnnotationsTest, ReadsEachOfThem) {
  const auto adaptive = parse_annotations({{kClass, "ebb.dev/adaptive"},
                                           {"ebb.dev/policy-wait", "250ms"},
                                           {"ebb.dev/policy-patience", "0.5"},
                                           {"ebb.dev/policy-share", "0.05"},
                                           {"ebb.dev/schedule", "0 8 * * * | 0 18 * * * | 2"},
                                           {"ebb.dev/schedule-timezone", "Europe/Berlin"},
                                           {"ebb.dev/forecast", "true"},
                                           {"ebb.dev/forecast-lead", "2m"},
                                           {"ebb.dev/keep-alive", "hybrid"}});
  EXPECT_TRUE(adaptive.errors.empty());
  EXPECT_EQ(adaptive.policy, (PolicyAnnotations{.wait = 250ms,
                                                .patience = 0.5,
                                                .share = 0.05,
                                                .file = "",
                                                .schedule = "0 8 * * * | 0 18 * * * | 2",
                                                .timezone = "Europe/Berlin",
                                                .forecast = true,
                                                .forecast_lead = 2min,
                                                .hybrid_keep_alive = true}));
  const auto lua =
      parse_annotations({{kClass, "ebb.dev/lua"}, {"ebb.dev/policy-file", "gentle-2.lua"}});
  EXPECT_TRUE(lua.errors.empty());
  EXPECT_EQ(lua.policy.file, "gentle-2.lua");
}

struct BadPolicyCase {
  Annotations annotations;
  const char* key;  // that the error names
  const char* why;
};

class BadPolicy : public testing::TestWithParam<BadPolicyCase> {};

TEST_P(BadPolicy, IsRefusedByName) {
  const auto parsed = parse_annotations(GetParam().annotations);
  ASSERT_EQ(parsed.errors.size(), 1u);
  EXPECT_EQ(parsed.errors[0].path, "metadata.annotations[" + std::string(GetParam().key) + "]");
  EXPECT_THAT(parsed.errors[0].message, testing::HasSubstr(GetParam().why));
}

const std::pair<const std::string, std::string> kAdaptive{kClass, "ebb.dev/adaptive"};
const std::pair<const std::string, std::string> kLua{kClass, "ebb.dev/lua"};

INSTANTIATE_TEST_SUITE_P(
    Annotations, BadPolicy,
    testing::Values(
        BadPolicyCase{{{kClass, "ebb.dev/magic"}}, kClass, "ebb.dev/adaptive, ebb.dev/average or"},
        BadPolicyCase{
            {kAdaptive, {"ebb.dev/policy-wait", "0s"}}, "ebb.dev/policy-wait", "in [1ms, 1m"},
        BadPolicyCase{{kAdaptive, {"ebb.dev/policy-wait", "fast"}}, "ebb.dev/policy-wait", "fast"},
        BadPolicyCase{
            {kAdaptive, {"ebb.dev/policy-patience", "-1"}}, "ebb.dev/policy-patience", "[0, 100]"},
        BadPolicyCase{
            {kAdaptive, {"ebb.dev/policy-share", "1"}}, "ebb.dev/policy-share", "[0.0001, 0.5]"},
        BadPolicyCase{
            {kAdaptive, {"ebb.dev/policy-share", "nan"}}, "ebb.dev/policy-share", "a number"},
        BadPolicyCase{{{kClass, std::string(kKpaClass)}, {"ebb.dev/policy-wait", "1s"}},
                      "ebb.dev/policy-wait",
                      "ebb.dev/adaptive"},
        BadPolicyCase{{{kClass, "EBB.dev/adaptive"}}, kClass, "must be ebb.dev/adaptive"},
        BadPolicyCase{{{"ebb.dev/policy-file", "a.lua"}}, "ebb.dev/policy-file", "ebb.dev/lua"},
        BadPolicyCase{{kLua}, kClass, "needs ebb.dev/policy-file"},
        BadPolicyCase{
            {kLua, {"ebb.dev/policy-file", "../a.lua"}}, "ebb.dev/policy-file", "a folder"},
        BadPolicyCase{{kLua, {"ebb.dev/policy-file", ".lua"}}, "ebb.dev/policy-file", "NAME.lua"},
        BadPolicyCase{{kLua, {"ebb.dev/policy-file", "a.txt"}}, "ebb.dev/policy-file", "NAME.lua"},
        BadPolicyCase{{{"ebb.dev/service-max-scale", "-1"}}, "ebb.dev/service-max-scale", "[0, "},
        BadPolicyCase{
            {{"ebb.dev/service-max-scale", "1.5"}}, "ebb.dev/service-max-scale", "whole number"},
        BadPolicyCase{{{"ebb.dev/keepalive", "hybrid"}}, "ebb.dev/keepalive", "unknown annotation"},
        BadPolicyCase{{{"ebb.dev/service-max", "1"}}, "ebb.dev/service-max", "unknown"},
        BadPolicyCase{{{"ebb.dev/schedule", " ; "}}, "ebb.dev/schedule", "must be windows"},
        BadPolicyCase{
            {{"ebb.dev/schedule-timezone", "UTC"}}, "ebb.dev/schedule-timezone", "schedule"},
        BadPolicyCase{{{"ebb.dev/forecast", "yes"}}, "ebb.dev/forecast", "\"true\" or \"false\""},
        BadPolicyCase{{{"ebb.dev/forecast-lead", "1m"}}, "ebb.dev/forecast-lead", "only with"},
        BadPolicyCase{{{"ebb.dev/forecast", "true"}, {"ebb.dev/forecast-lead", "2h"}},
                      "ebb.dev/forecast-lead",
                      "must be in [1s, 1h"},
        BadPolicyCase{
            {{"ebb.dev/keep-alive", "long"}}, "ebb.dev/keep-alive", "\"hybrid\" or \"fixed\""},
        BadPolicyCase{{{"ebb.dev/policy-wiat", "1s"}}, "ebb.dev/policy-wiat", "unknown"}));

TEST(PolicyAnnotationsTest, KnowsWhatIsAboutScaling) {
  EXPECT_TRUE(is_scaling_annotation("autoscaling.knative.dev/window"));
  EXPECT_TRUE(is_scaling_annotation("ebb.dev/policy-file"));
  EXPECT_TRUE(is_scaling_annotation("ebb.dev/schedule"));
  EXPECT_FALSE(is_scaling_annotation("ebb.dev/network"));
}

// Knative's own annotations, with classes that are Ebb's.
TEST(AutoscalingOfOwnClassesTest, WindowsMayBeShort) {
  std::vector<FieldError> errors;
  const auto own = parse_autoscaling(
      {{kClass, "ebb.dev/adaptive"}, {"autoscaling.knative.dev/window", "1s"}}, "a", errors);
  EXPECT_TRUE(errors.empty());
  EXPECT_EQ(own.stable_window, 1s);
  static_cast<void>(parse_autoscaling(
      {{kClass, "ebb.dev/adaptive"}, {"autoscaling.knative.dev/window", "900ms"}}, "a", errors));
  ASSERT_EQ(errors.size(), 1u);
  errors.clear();
  static_cast<void>(parse_autoscaling(
      {{kClass, std::string(kKpaClass)}, {"autoscaling.knative.dev/window", "5s"}}, "a", errors));
  EXPECT_EQ(errors.size(), 1u) << "Knative's bound for Knative's class";
}

TEST(AutoscalingOfOwnClassesTest, DefaultsAndMetricsFollowTheClass) {
  std::vector<FieldError> errors;
  EXPECT_EQ(parse_autoscaling({{kClass, "ebb.dev/average"}}, "a", errors).stable_window, 10s);
  EXPECT_EQ(parse_autoscaling({{kClass, "ebb.dev/adaptive"}}, "a", errors).stable_window, 45s);
  EXPECT_TRUE(errors.empty());
  for (const char* metric : {"cpu", "memory"}) {
    errors.clear();
    static_cast<void>(parse_autoscaling(
        {{kClass, "ebb.dev/average"}, {"autoscaling.knative.dev/metric", metric}}, "a", errors));
    EXPECT_EQ(errors.size(), 1u);
  }
  errors.clear();
  static_cast<void>(parse_autoscaling(
      {{kClass, "ebb.dev/adaptive"}, {"autoscaling.knative.dev/metric", "rps"}}, "a", errors));
  EXPECT_EQ(errors.size(), 1u) << "it looks at both by itself";
}

TEST(OutsideMetricsTest, AreDeclaredByName) {
  std::vector<FieldError> errors;
  const auto policy = parse_policy({{"ebb.dev/metric-jobs", "json http://q/stats /length"}},
                                   "metadata.annotations", errors);
  EXPECT_TRUE(errors.empty());
  EXPECT_THAT(policy.outside,
              testing::ElementsAre(testing::Pair("jobs", "json http://q/stats /length")));
  EXPECT_TRUE(is_scaling_annotation("ebb.dev/metric-jobs"));
  for (const auto& [key, value, why] :
       {std::tuple{"ebb.dev/metric-", "json http://q/ /a", "name"},
        std::tuple{"ebb.dev/metric-Jobs", "json http://q/ /a", "lower case"},
        std::tuple{"ebb.dev/metric-cpu", "json http://q/ /a", "measured anyway"},
        std::tuple{"ebb.dev/metric-jobs", "", "prometheus URL QUERY"}}) {
    errors.clear();
    EXPECT_TRUE(parse_policy({{key, value}}, "a", errors).outside.empty()) << key;
    ASSERT_EQ(errors.size(), 1u) << key;
    EXPECT_EQ(errors[0].path, annotation_path("a", key));
    EXPECT_THAT(errors[0].message, testing::HasSubstr(why));
  }
  std::map<std::string, std::string> many;
  for (size_t i = 0; i <= kMaxOutsideMetrics; ++i) {
    many[outside_annotation("m" + std::to_string(i))] = "json http://q/ /a";
  }
  errors.clear();
  EXPECT_EQ(parse_outside_metrics(many, "a", errors).size(), kMaxOutsideMetrics);
  EXPECT_EQ(errors.size(), 1u);
}

TEST(OutsideMetricsTest, MayBeTheMetricOfAverageAndHpa) {
  const std::string kMetric = "autoscaling.knative.dev/metric";
  const auto errors_of = [&](const std::string& used, bool declared) {
    std::map<std::string, std::string> annotations{{kMetric, "jobs"}};
    if (!used.empty()) annotations[kClass] = used;
    if (declared) annotations["ebb.dev/metric-jobs"] = "json http://q/ /a";
    std::vector<FieldError> errors;
    const auto spec = parse_autoscaling(annotations, "a", errors);
    if (errors.empty()) {
      EXPECT_EQ(spec.metric, "jobs");
      EXPECT_EQ(spec.total_target(5), kDefaultTargetConcurrency) << "slots do not count";
    }
    return errors;
  };
  EXPECT_TRUE(errors_of("ebb.dev/average", true).empty());
  EXPECT_TRUE(errors_of("hpa.autoscaling.knative.dev", true).empty());
  EXPECT_EQ(errors_of("ebb.dev/adaptive", true).size(), 1u);
  EXPECT_EQ(errors_of("", true).size(), 1u) << "kpa looks at requests";
  EXPECT_EQ(errors_of("ebb.dev/average", false).size(), 1u);
  const auto undeclared = errors_of("hpa.autoscaling.knative.dev", false);
  ASSERT_EQ(undeclared.size(), 1u);
  EXPECT_THAT(undeclared[0].message, testing::HasSubstr("ebb.dev/metric-jobs"));
}

}  // namespace
}  // namespace ebb::api
