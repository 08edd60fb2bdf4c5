#include "scaling/kpa_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ebb::scaling {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using Values = std::map<std::string, std::string>;

KpaConfig cluster(const Values& values) { return read_kpa_config({.cluster = values}); }

KpaConfig annotated(const Values& values, int container_concurrency = 0) {
  Values full;
  for (const auto& [name, value] : values) full["autoscaling.knative.dev/" + name] = value;
  return read_kpa_config({.annotations = full, .container_concurrency = container_concurrency});
}

TEST(KpaConfigTest, DefaultsAreKnatives) {
  const KpaConfig config = read_kpa_config({});
  EXPECT_THAT(config.violations, IsEmpty());
  EXPECT_DOUBLE_EQ(config.settings.target, 70);
  EXPECT_DOUBLE_EQ(config.settings.total, 100);
  EXPECT_DOUBLE_EQ(config.settings.target_burst_capacity, 211);
  EXPECT_EQ(config.initial_scale, 1);
  EXPECT_EQ(config.grace, seconds(30));
  EXPECT_TRUE(config.enable_scale_to_zero);
}

TEST(KpaConfigTest, TheClustersTargetsCountWhereNothingElseSaysOne) {
  const Values both{{"container-concurrency-target-default", "40"},
                    {"container-concurrency-target-percentage", "0.5"},
                    {"requests-per-second-target-default", "300"}};
  EXPECT_DOUBLE_EQ(cluster(both).settings.target, 20);
  EXPECT_DOUBLE_EQ(read_kpa_config({.cluster = both, .container_concurrency = 10}).settings.target,
                   5);
  // The percentage of the cluster is for concurrency; requests keep 70 %.
  const auto rps = read_kpa_config(
      {.cluster = both, .annotations = {{"autoscaling.knative.dev/metric", "rps"}}});
  EXPECT_DOUBLE_EQ(rps.settings.total, 300);
  EXPECT_DOUBLE_EQ(rps.settings.target, 210);
}

TEST(KpaConfigTest, AnnotationsWinInEitherSpelling) {
  const KpaConfig config =
      annotated({{"target", "25"}, {"targetUtilizationPercentage", "80"}, {"minScale", "2"}}, 50);
  EXPECT_THAT(config.violations, IsEmpty());
  EXPECT_DOUBLE_EQ(config.settings.target, 20);
  EXPECT_EQ(config.bounds.min, 2);
  EXPECT_DOUBLE_EQ(annotated({{"target", "50"}}, 10).settings.total, 10);
}

TEST(KpaConfigTest, AnInitialScaleOfZeroMustBeAllowed) {
  EXPECT_EQ(annotated({{"initial-scale", "0"}}).initial_scale, 1);
  const auto allowed =
      read_kpa_config({.cluster = {{"allow-zero-initial-scale", "true"}},
                       .annotations = {{"autoscaling.knative.dev/initial-scale", "0"}}});
  EXPECT_EQ(allowed.initial_scale, 0);
  EXPECT_THAT(allowed.violations, IsEmpty());
}

TEST(KpaConfigTest, UnreachableHasNoMinimum) {
  const auto config = read_kpa_config(
      {.annotations = {{"autoscaling.knative.dev/min-scale", "3"}}, .reachable = false});
  EXPECT_EQ(config.bounds.min, 0);
}

TEST(KpaConfigTest, ClusterBounds) {
  const std::vector<std::pair<const char*, const char*>> bad{
      {"container-concurrency-target-percentage", "0"},
      {"container-concurrency-target-percentage", "101"},
      {"container-concurrency-target-default", "0.005"},
      {"requests-per-second-target-default", "0"},
      {"target-burst-capacity", "-2"},
      {"stable-window", "5s"},
      {"stable-window", "61m"},
      {"stable-window", "6500ms"},
      {"panic-window-percentage", "0.5"},
      {"panic-window-percentage", "101"},
      {"max-scale-up-rate", "1"},
      {"max-scale-down-rate", "0.9"},
      {"scale-to-zero-grace-period", "0s"},
      {"scale-to-zero-pod-retention-period", "-1s"},
      {"scale-down-delay", "1500ms"},
      {"activator-capacity", "0.5"},
      {"initial-scale", "0"},
      {"min-scale", "-1"},
      {"max-scale", "-1"},
      {"max-scale-limit", "-1"},
      {"enable-scale-to-zero", "yes"},
      {"stable-window", "soon"},
      {"max-scale", "ten"}};
  for (const auto& [key, value] : bad) {
    EXPECT_THAT(cluster({{key, value}}).violations, testing::Contains(HasSubstr(key)))
        << key << "=" << value;
  }
  EXPECT_THAT(cluster({{"panic-threshold-percentage", "50"}}).violations, IsEmpty());
  EXPECT_THAT(cluster({{"target-burst-capacity", "-1"}}).violations, IsEmpty());
  EXPECT_THAT(cluster({{"max-scale-limit", "5"}, {"max-scale", "6"}}).violations,
              ElementsAre(HasSubstr("must be in [1, 5]")));
}

TEST(KpaConfigTest, AnnotationBounds) {
  const std::vector<std::pair<const char*, const char*>> bad{
      {"target", "0.005"},
      {"target-utilization-percentage", "0.5"},
      {"target-utilization-percentage", "101"},
      {"target-burst-capacity", "-3"},
      {"window", "5s"},
      {"window", "1h1s"},
      {"panic-window-percentage", "0"},
      {"panic-threshold-percentage", "109"},
      {"panic-threshold-percentage", "1001"},
      {"scale-to-zero-pod-retention-period", "61m"},
      {"scale-down-delay", "61m"},
      {"initial-scale", "-1"},
      {"min-scale", "-1"},
      {"min-scale", "1.5"},
      {"max-scale", "-1"},
      {"activation-scale", "1"},
      {"metric", "latency"},
      {"class", "other.knative.dev"},
      {"metric-aggregation-algorithm", "median"}};
  for (const auto& [key, value] : bad) {
    EXPECT_THAT(annotated({{key, value}}).violations, ElementsAre(HasSubstr(key)))
        << key << "=" << value;
  }
  EXPECT_THAT(annotated({{"min-scale", "5"}, {"max-scale", "4"}}).violations,
              ElementsAre(HasSubstr("min-scale")));
  EXPECT_THAT(annotated({{"min-scale", "3"}, {"activation-scale", "2"}}).violations,
              ElementsAre(HasSubstr("activation-scale")));
  EXPECT_THAT(annotated({{"class", "ebb.dev/adaptive"}, {"metric", "cpu"}}).violations, IsEmpty());
}

}  // namespace
}  // namespace ebb::scaling
