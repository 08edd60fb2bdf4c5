#include "api/autoscaling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ebb::api {
namespace {

using std::chrono::seconds;

struct Parsed {
  AutoscalingSpec spec;
  std::vector<FieldError> errors;
};

Parsed parse(const std::map<std::string, std::string>& short_keys) {
  std::map<std::string, std::string> annotations;
  for (const auto& [key, value] : short_keys) {
    annotations[std::string(kAutoscalingPrefix) + key] = value;
  }
  Parsed parsed;
  parsed.spec = parse_autoscaling(annotations, "annotations", parsed.errors);
  return parsed;
}

TEST(Autoscaling, DefaultsOfKpaAreKnatives) {
  auto [spec, errors] = parse({{"class", "kpa.autoscaling.knative.dev"}});
  EXPECT_TRUE(errors.empty());
  EXPECT_EQ(spec.target_burst_capacity, 211);
  EXPECT_EQ(spec.target_utilization, 0.7);
  EXPECT_EQ(spec.stable_window, seconds(60));
}

TEST(Autoscaling, WithoutAClassItIsAdaptiveUnlessSomethingIsSetThatOnlyKpaHas) {
  auto [spec, errors] = parse({});
  EXPECT_TRUE(errors.empty());
  EXPECT_EQ(spec, AutoscalingSpec());
  EXPECT_EQ(spec.autoscaler_class, "ebb.dev/adaptive");
  EXPECT_EQ(spec.stable_window, seconds(45));
  EXPECT_EQ(parse({{"target", "10"}, {"window", "2s"}}).spec.autoscaler_class, "ebb.dev/adaptive");
  for (const auto& [key, value] : {std::pair{"metric", "rps"},
                                   {"target-utilization-percentage", "80"},
                                   {"targetUtilizationPercentage", "80"},
                                   {"target-burst-capacity", "0"},
                                   {"panic-window-percentage", "20"},
                                   {"panic-threshold-percentage", "150"},
                                   {"scale-down-delay", "1m"},
                                   {"metric-aggregation-algorithm", "linear"}}) {
    const auto one = parse({{key, value}});
    EXPECT_TRUE(one.errors.empty()) << key;
    EXPECT_EQ(one.spec.autoscaler_class, "kpa.autoscaling.knative.dev") << key;
    EXPECT_EQ(one.spec.stable_window, seconds(60));
    if (std::string_view(key) == "metric") continue;
    const auto other = parse({{"class", "ebb.dev/adaptive"}, {key, value}});
    ASSERT_EQ(other.errors.size(), 1U) << key;
    EXPECT_THAT(other.errors[0].message, testing::HasSubstr("has an effect only with class kpa"));
  }
}

TEST(Autoscaling, ReadsEveryAnnotation) {
  auto [spec, errors] = parse({{"class", "kpa.autoscaling.knative.dev"},
                               {"metric", "rps"},
                               {"target", "12.5"},
                               {"target-utilization-percentage", "80"},
                               {"target-burst-capacity", "-1"},
                               {"window", "2m"},
                               {"panic-window-percentage", "20"},
                               {"panic-threshold-percentage", "150"},
                               {"min-scale", "2"},
                               {"max-scale", "10"},
                               {"initial-scale", "0"},
                               {"activation-scale", "3"},
                               {"scale-down-delay", "30s"},
                               {"scale-to-zero-pod-retention-period", "1m5s"},
                               {"metric-aggregation-algorithm", "weighted-exponential"}});
  EXPECT_TRUE(errors.empty()) << to_error(errors).message;
  EXPECT_EQ(spec.metric, "rps");
  EXPECT_EQ(spec.target, 12.5);
  EXPECT_DOUBLE_EQ(spec.target_utilization, 0.8);
  EXPECT_EQ(spec.target_burst_capacity, -1);
  EXPECT_EQ(spec.stable_window, seconds(120));
  EXPECT_EQ(spec.panic_window_percentage, 20);
  EXPECT_EQ(spec.panic_threshold_percentage, 150);
  EXPECT_EQ(spec.min_scale, 2);
  EXPECT_EQ(spec.max_scale, 10);
  EXPECT_EQ(spec.initial_scale, 0);
  EXPECT_EQ(spec.activation_scale, 3);
  EXPECT_EQ(spec.scale_down_delay, seconds(30));
  EXPECT_EQ(spec.retention, seconds(65));
  EXPECT_EQ(spec.aggregation, "weighted-exponential");
}

TEST(Autoscaling, TakesTheOldSpellings) {
  auto [spec, errors] = parse({{"minScale", "1"}, {"maxScale", "4"}});
  EXPECT_TRUE(errors.empty());
  EXPECT_EQ(spec.min_scale, 1);
  EXPECT_EQ(spec.max_scale, 4);
}

struct Bad {
  const char* key;
  const char* value;
};
class AutoscalingBounds : public testing::TestWithParam<Bad> {};

TEST_P(AutoscalingBounds, OneErrorAndTheDefault) {
  const std::string key = GetParam().key;
  std::map<std::string, std::string> annotations;
  if (key != "class") annotations["class"] = "kpa.autoscaling.knative.dev";
  const auto untouched = parse(annotations).spec;
  annotations[key] = GetParam().value;
  auto [spec, errors] = parse(annotations);
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_EQ(errors[0].path,
            "annotations[" + std::string(kAutoscalingPrefix) + GetParam().key + "]");
  EXPECT_EQ(spec, untouched);
}

INSTANTIATE_TEST_SUITE_P(
    All, AutoscalingBounds,
    testing::Values(Bad{"window", "5s"}, Bad{"window", "61m"}, Bad{"window", "6500ms"},
                    Bad{"window", "60"}, Bad{"min-scale", "-1"}, Bad{"min-scale", "1.5"},
                    Bad{"min-scale", ""}, Bad{"max-scale", "-1"}, Bad{"max-scale", "3000000000"},
                    Bad{"initial-scale", "-1"}, Bad{"activation-scale", "1"},
                    Bad{"target", "0.001"}, Bad{"target", "nan"}, Bad{"target", "ten"},
                    Bad{"target-utilization-percentage", "0.5"},
                    Bad{"target-utilization-percentage", "101"}, Bad{"target-burst-capacity", "-2"},
                    Bad{"target-burst-capacity", "-0.5"}, Bad{"panic-window-percentage", "0.9"},
                    Bad{"panic-window-percentage", "101"}, Bad{"panic-threshold-percentage", "109"},
                    Bad{"panic-threshold-percentage", "1001"}, Bad{"scale-down-delay", "-1s"},
                    Bad{"scale-down-delay", "1500ms"}, Bad{"scale-down-delay", "2h"},
                    Bad{"scale-to-zero-pod-retention-period", "61m"}, Bad{"metric", "cpu"},
                    Bad{"class", "x.knative.dev"}, Bad{"metric-aggregation-algorithm", "max"},
                    Bad{"scale-to-zero-grace-period", "30s"}, Bad{"minscale", "1"}));

TEST(Autoscaling, ScalesMustFitTogether) {
  EXPECT_EQ(parse({{"min-scale", "5"}, {"max-scale", "4"}}).errors.size(), 1U);
  EXPECT_EQ(parse({{"activation-scale", "5"}, {"max-scale", "4"}}).errors.size(), 1U);
  EXPECT_EQ(parse({{"activation-scale", "2"}, {"min-scale", "3"}}).errors.size(), 1U);
  EXPECT_TRUE(parse({{"min-scale", "5"}, {"max-scale", "0"}}).errors.empty());
}

TEST(Autoscaling, OtherClassesHaveOtherMetrics) {
  EXPECT_TRUE(
      parse({{"class", "hpa.autoscaling.knative.dev"}, {"metric", "memory"}}).errors.empty());
  EXPECT_EQ(parse({{"class", "hpa.autoscaling.knative.dev"}}).spec.metric, "cpu");
  EXPECT_TRUE(parse({{"class", "example.com"}, {"metric", "queue"}}).errors.empty());
}

TEST(Autoscaling, TotalTarget) {
  AutoscalingSpec spec;
  EXPECT_EQ(spec.total_target(0), 100);
  EXPECT_EQ(spec.total_target(7), 7);
  spec.target = 20;
  EXPECT_EQ(spec.total_target(0), 20);
  EXPECT_EQ(spec.total_target(7), 7);
  spec.metric = "rps";
  EXPECT_EQ(spec.total_target(7), 20);
  spec.target.reset();
  EXPECT_EQ(spec.total_target(7), 200);
}

TEST(ProgressDeadline, WholeSecondsFromOne) {
  std::vector<FieldError> errors;
  EXPECT_EQ(parse_progress_deadline({}, "a", errors), seconds(600));
  EXPECT_EQ(
      parse_progress_deadline({{"serving.knative.dev/progress-deadline", "30s"}}, "a", errors),
      seconds(30));
  EXPECT_TRUE(errors.empty());
  for (const char* bad : {"0s", "-5s", "1500ms", "soon"}) {
    errors.clear();
    EXPECT_EQ(
        parse_progress_deadline({{"serving.knative.dev/progress-deadline", bad}}, "a", errors),
        seconds(600));
    EXPECT_EQ(errors.size(), 1U) << bad;
  }
}

TEST(Autoscaling, OfAClassThatIsNoneOnlyThatIsSaid) {
  std::vector<FieldError> errors;
  static_cast<void>(parse_autoscaling({{"autoscaling.knative.dev/class", "foo.knative.dev"},
                                       {"autoscaling.knative.dev/target-burst-capacity", "5"}},
                                      "metadata", errors));
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].path, "metadata[autoscaling.knative.dev/class]");
}

}  // namespace
}  // namespace ebb::api
