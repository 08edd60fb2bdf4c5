#include "scaling/hpa.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scaling/combine.h"
#include "scaling/hpa_policy.h"

namespace ebb::scaling {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using Source = HpaMetricSpec::Source;
using Type = HpaMetricSpec::Type;
using Unit = HpaRules::Unit;
using Select = HpaRules::Select;

const TimePoint kNow{std::chrono::hours(10)};
constexpr int kNoSample = -1;

// Long ready, two containers of `request` millicores each.
HpaPod pod(int64_t request = 1000) {
  return {.ready_changed = kNow - seconds(7000),
          .started = kNow - seconds(7200),
          .containers = {{"a", request, 0}, {"b", request, 0}}};
}

// CPU of pods whose two containers use so many millicores each.
HpaInput cpu(const std::vector<int>& usages) {
  HpaInput input{.now = kNow, .current = static_cast<int>(usages.size())};
  input.readings.resize(1);
  for (const int usage : usages) {
    if (usage != kNoSample) {
      input.readings[0].samples.push_back(
          {input.pods.size(), 2LL * usage, kNow - seconds(10), seconds(60)});
    }
    input.pods.push_back(pod());
  }
  return input;
}

HpaSpec cpu_spec(int64_t target, int max = 1000) {
  return {.max = max, .metrics = {{.target = target}}, .behavior = {}};
}

// The wish of the metrics alone.
int proposed(const HpaSpec& spec, const HpaInput& input) {
  const HpaResult result = Hpa(spec).decide(input);
  EXPECT_TRUE(result.valid) << result.text;
  return result.proposed;
}

TEST(HpaReplicasTest, WorkedExamplesOfPodMetrics) {
  const auto unready = [](HpaPod& pod) {
    pod.ready = false;
    pod.started = kNow - seconds(60);
    pod.ready_changed = kNow - seconds(60);
  };
  struct Case {
    const char* name;
    HpaInput input;
    int64_t target;
    int wanted;
  };
  std::vector<Case> cases;
  cases.push_back({"1 up", cpu({300, 500, 700}), 30, 5});
  HpaInput input = cpu({300, 500, 700});
  unready(input.pods[0]);
  cases.push_back({"2 unready, less up", input, 30, 4});
  input = cpu({400, 500, 700});
  unready(input.pods[1]);
  unready(input.pods[2]);
  cases.push_back({"3 unready, none", input, 30, 3});
  input = cpu({300, 500, 700});
  input.pods[0].started = input.pods[0].ready_changed = kNow - seconds(30);
  cases.push_back({"4 just started", input, 30, 4});
  cases.push_back({"5 down", cpu({100, 300, 500, 250, 250}), 50, 3});
  input = cpu({1010, 1030, 1020});
  input.pods[0].containers = {{"a", 900, 0}, {"b", 900, 0}};
  input.pods[2].containers = {{"a", 1100, 0}, {"b", 1100, 0}};
  cases.push_back({"6 tolerance", input, 100, 3});
  cases.push_back({"7 missing", cpu({kNoSample, 400, kNoSample, 95}), 100, 3});
  input = cpu({100, 2000, kNoSample});
  unready(input.pods[0]);
  cases.push_back({"8 missing and unready", input, 50, 4});
  input = cpu({500, 700, kNoSample, kNoSample});
  input.current = 2;
  input.pods[2].phase = input.pods[3].phase = HpaPod::Phase::kFailed;
  cases.push_back({"11 failed are ignored", input, 30, 4});
  for (const auto& c : cases) EXPECT_EQ(proposed(cpu_spec(c.target), c.input), c.wanted) << c.name;
}

HpaInput external(int current, int64_t total) {
  HpaInput input{.now = kNow, .current = current};
  input.pods.assign(static_cast<size_t>(current), pod());
  input.readings.resize(1);
  input.readings[0].total = total;
  return input;
}

HpaSpec external_spec(Type type, int64_t target) {
  return {
      .min = 0,
      .max = 1000,
      .metrics = {{.source = Source::kExternal, .name = "queue", .type = type, .target = target}},
      .behavior = {}};
}

TEST(HpaReplicasTest, WorkedExamplesOfExternalMetrics) {
  EXPECT_EQ(proposed(external_spec(Type::kValue, 4400), external(1, 8600)), 2);         // 9
  EXPECT_EQ(proposed(external_spec(Type::kAverageValue, 2150), external(3, 8600)), 4);  // 10
}

TEST(HpaReplicasTest, ExternalMetricsSeeZero) {
  EXPECT_EQ(proposed(external_spec(Type::kValue, 4400), external(0, 8600)), 2);
  EXPECT_EQ(proposed(external_spec(Type::kValue, 4400), external(0, 0)), 0);
  EXPECT_EQ(proposed(external_spec(Type::kAverageValue, 2150), external(0, 1)), 1);
  EXPECT_EQ(proposed(external_spec(Type::kAverageValue, 2150), external(0, 0)), 0);
}

TEST(HpaReplicasTest, PodsAndObjectMetrics) {
  HpaSpec spec{.max = 100,
               .metrics = {{.source = Source::kPods,
                            .name = "qps",
                            .type = Type::kAverageValue,
                            .target = 15'000}},
               .behavior = {}};
  HpaInput input = cpu({10'000, 15'000, 5'000});  // 20, 30 and 10 a second
  EXPECT_EQ(proposed(spec, input), 4);            // 20 / 15 * 3
  spec.metrics[0].source = Source::kObject;
  spec.metrics[0].type = Type::kValue;
  input.readings[0].total = 20'000;
  EXPECT_EQ(proposed(spec, input), 4);
  input.pods[0].ready = false;  // only ready ones carry it
  EXPECT_EQ(proposed(spec, input), 3);
}

TEST(HpaReplicasTest, MemoryAgainstAnAverageAndAContainerAlone) {
  constexpr int64_t kMebi = 1000LL * 1024 * 1024;
  HpaInput input = cpu({0, 0, 0});
  for (auto& sample : input.readings[0].samples) sample.value = 300 * kMebi;
  const HpaSpec memory{
      .max = 100,
      .metrics = {{.name = "memory", .type = Type::kAverageValue, .target = 200 * kMebi}},
      .behavior = {}};
  EXPECT_EQ(proposed(memory, input), 5);  // 1.5 * 3
  // No CPU, no waiting for its warm-up.
  for (auto& pod : input.pods) pod.started = kNow;
  EXPECT_EQ(proposed(memory, input), 5);

  const HpaSpec container{
      .max = 100,
      .metrics = {{.source = Source::kContainerResource, .container = "b", .target = 50}},
      .behavior = {}};
  EXPECT_EQ(proposed(container, cpu({500, 500})), 4);  // 1000 of 1000: 100 % / 50 % * 2
}

TEST(HpaReplicasTest, ToleranceHasADirection) {
  HpaSpec spec = cpu_spec(100);
  EXPECT_EQ(proposed(spec, cpu({1100, 1100})), 2);  // just inside of 10 %
  EXPECT_EQ(proposed(spec, cpu({1110, 1110})), 3);
  spec.behavior = HpaBehavior();
  spec.behavior->up.tolerance = 0.3;
  EXPECT_EQ(proposed(spec, cpu({1290, 1290})), 2);
  spec.behavior->down.tolerance = 0.0;
  EXPECT_EQ(proposed(spec, cpu({980, 980, 980, 980})), 4);
  EXPECT_EQ(proposed(spec, cpu({740, 740, 740, 740})), 3);
}

TEST(HpaReplicasTest, WithoutSamplesOrRequestsNothingIsScaled) {
  HpaResult result = Hpa(cpu_spec(50)).decide(cpu({kNoSample, kNoSample}));
  EXPECT_FALSE(result.valid);
  EXPECT_EQ(result.desired, 2);
  EXPECT_EQ(result.scaling_active.reason, "FailedGetResourceMetric");
  HpaInput input = cpu({500, 500});
  input.pods[0].containers[1].cpu_request = 0;
  result = Hpa(cpu_spec(50)).decide(input);
  EXPECT_FALSE(result.valid);
  EXPECT_THAT(result.text, HasSubstr("container b has no request for cpu"));
}

TEST(HpaTest, TheLargestProposalCountsAndAnUnknownOneOnlyHoldsTheFall) {
  HpaSpec spec = cpu_spec(50);
  spec.metrics.push_back(
      {.source = Source::kExternal, .name = "queue", .type = Type::kValue, .target = 1000});
  HpaInput input = cpu({500, 500, 500});
  input.readings.push_back({.total = 3000});
  EXPECT_EQ(proposed(spec, input), 9);
  input.readings[1] = {.error = "the adapter is away"};
  EXPECT_EQ(proposed(spec, input), 3);
  input.readings[0].samples[0].value = input.readings[0].samples[1].value = 0;
  HpaResult result = Hpa(spec).decide(input);
  EXPECT_FALSE(result.valid);
  EXPECT_EQ(result.text, "the adapter is away");
  EXPECT_EQ(result.scaling_active.reason, "FailedGetExternalMetric");
  for (auto& sample : input.readings[0].samples) sample.value = 2000;
  EXPECT_EQ(proposed(spec, input), 6);
}

TEST(HpaTest, BoundsAndPauseComeFirst) {
  HpaSpec spec = cpu_spec(50, 4);
  spec.min = 2;
  EXPECT_EQ(Hpa(spec).decide(cpu({500, 500, 500, 500, 500})).desired, 4);
  EXPECT_EQ(Hpa(spec).decide(cpu({500})).desired, 2);
  const HpaResult paused = Hpa(spec).decide(cpu({}));
  EXPECT_FALSE(paused.valid);
  EXPECT_EQ(paused.desired, 0);
  EXPECT_EQ(paused.scaling_active.reason, "ScalingDisabled");
}

// A metric that asks for so many replicas.
HpaInput asking(int current, int desired, TimePoint now = kNow) {
  HpaInput input = external(current, desired * 1000LL);
  input.now = now;
  return input;
}

HpaSpec asking_spec(std::optional<HpaBehavior> behavior, int max, int min = 0) {
  HpaSpec spec = external_spec(Type::kAverageValue, 1000);
  spec.behavior = std::move(behavior);
  spec.min = min;
  spec.max = max;
  return spec;
}

HpaBehavior up(std::vector<HpaRules::Rate> rates) {
  HpaBehavior behavior;
  behavior.up.rates = std::move(rates);
  return behavior;
}

HpaBehavior down(std::vector<HpaRules::Rate> rates) {
  HpaBehavior behavior;
  behavior.down.rates = std::move(rates);
  behavior.down.window = Duration(0);
  return behavior;
}

TEST(HpaTest, WorkedExamplesOfLimits) {
  constexpr Duration kMinute = seconds(60);
  struct Case {
    const char* name;
    std::optional<HpaBehavior> behavior;
    int current;
    int desired;
    int max;
    int wanted;
    const char* limited;
  };
  const std::vector<Case> cases{
      {"12 default up", HpaBehavior(), 10, 50, 1000, 20, "ScaleUpLimit"},
      {"13 pods and percent", up({{Unit::kPods, 2, kMinute}, {Unit::kPercent, 100, kMinute}}), 10,
       500, 1000, 20, "ScaleUpLimit"},
      {"14 pods", up({{Unit::kPods, 1, kMinute}}), 3, 1000, 2000, 4, "ScaleUpLimit"},
      {"15 no behavior", std::nullopt, 3, 1000, 2000, 6, "ScaleUpLimit"},
      {"16 down pods", down({{Unit::kPods, 20, kMinute}}), 1000, 3, 2000, 980, "ScaleDownLimit"},
      {"17 down pods and percent", down({{Unit::kPods, 20, kMinute}, {Unit::kPercent, 1, kMinute}}),
       100, 2, 1000, 80, "ScaleDownLimit"},
      {"18 down percent", down({{Unit::kPercent, 50, kMinute}}), 10, 5, 1000, 5,
       "DesiredWithinRange"},
      {"20 to zero", down({{Unit::kPercent, 100, kMinute}}), 1, 0, 1000, 0, "DesiredWithinRange"},
      {"too many", HpaBehavior(), 10, 50, 15, 15, "TooManyReplicas"},
  };
  for (const auto& c : cases) {
    const HpaResult result =
        Hpa(asking_spec(c.behavior, c.max)).decide(asking(c.current, c.desired));
    EXPECT_TRUE(result.valid) << c.name;
    EXPECT_EQ(result.desired, c.wanted) << c.name << ": " << result.text;
    EXPECT_EQ(result.scaling_limited.reason, c.limited) << c.name;
  }
}

TEST(HpaTest, WorkedExample19EventsCountAgainstTheRate) {
  Hpa hpa(asking_spec(up({{Unit::kPods, 5, seconds(120)}}), 1000));
  for (const int change : {1, 5, 9}) hpa.record_change(kNow - seconds(30), change);
  EXPECT_EQ(hpa.decide(asking(100, 200)).desired, 100);  // 100 - 15 + 5, but never down
  EXPECT_EQ(hpa.decide(asking(100, 200, kNow + seconds(91))).desired, 105);
}

TEST(HpaTest, SelectMinAndDisabled) {
  HpaBehavior behavior = up({{Unit::kPods, 2}, {Unit::kPercent, 100}});
  behavior.up.select = Select::kMin;
  EXPECT_EQ(Hpa(asking_spec(behavior, 100)).decide(asking(10, 50)).desired, 12);
  behavior.up.select = Select::kDisabled;
  EXPECT_EQ(Hpa(asking_spec(behavior, 100)).decide(asking(10, 50)).desired, 10);
  behavior = down({{Unit::kPods, 2}, {Unit::kPercent, 50}});
  EXPECT_EQ(Hpa(asking_spec(behavior, 100)).decide(asking(10, 1)).desired, 5);
  behavior.down.select = Select::kMin;
  EXPECT_EQ(Hpa(asking_spec(behavior, 100)).decide(asking(10, 1)).desired, 8);
}

TEST(HpaTest, AFallWaitsForTheLargestRecommendationOfItsWindow) {
  for (const bool behavior : {false, true}) {
    Hpa hpa(asking_spec(behavior ? std::optional(HpaBehavior()) : std::nullopt, 100));
    EXPECT_EQ(hpa.decide(asking(10, 10)).desired, 10);
    EXPECT_EQ(hpa.decide(asking(10, 3, kNow + seconds(15))).desired, 10);
    const HpaResult held = hpa.decide(asking(10, 2, kNow + seconds(285)));
    EXPECT_EQ(held.desired, 10);
    EXPECT_EQ(held.able_to_scale.reason, "ScaleDownStabilized");
    EXPECT_EQ(hpa.decide(asking(10, 2, kNow + seconds(300))).desired, 3);
    EXPECT_EQ(hpa.decide(asking(3, 2, kNow + seconds(315))).desired, 2);
  }
}

TEST(HpaTest, ARiseWaitsForItsWindowButIsNeverAFall) {
  HpaBehavior behavior;
  behavior.up.window = seconds(60);
  Hpa hpa(asking_spec(behavior, 100));
  EXPECT_EQ(hpa.decide(asking(5, 2)).desired, 5);
  const HpaResult held = hpa.decide(asking(5, 9, kNow + seconds(15)));
  EXPECT_EQ(held.desired, 5);
  EXPECT_EQ(held.able_to_scale.reason, "ScaleUpStabilized");
  EXPECT_EQ(hpa.decide(asking(5, 8, kNow + seconds(60))).desired, 8);
}

TEST(HpaTest, ValidationSaysWhatIsWrong) {
  const auto problem = [](HpaSpec spec) {
    const auto good = validate(spec);
    return good ? std::string() : good.error().message;
  };
  EXPECT_EQ(problem({.max = 3}), "");
  EXPECT_THAT(problem({.min = 0, .max = 3}), HasSubstr("Object or External"));
  EXPECT_EQ(problem(external_spec(Type::kValue, 1)), "");
  EXPECT_THAT(problem({.min = 3, .max = 2}), HasSubstr("maxReplicas"));
  EXPECT_THAT(problem({.max = 3, .metrics = {{.name = "disk"}}}), HasSubstr("cpu or memory"));
  EXPECT_THAT(problem({.max = 3, .metrics = {{.target = 0}}}), HasSubstr("above 0"));
  EXPECT_THAT(problem({.max = 3, .metrics = {{.type = Type::kValue}}}), HasSubstr("Object and"));
  HpaSpec spec{.max = 3, .behavior = up({{Unit::kPods, 1, seconds(1801)}})};
  EXPECT_THAT(problem(spec), HasSubstr("scaleUp: periodSeconds"));
  spec.behavior = HpaBehavior();
  spec.behavior->down.window = seconds(3601);
  EXPECT_THAT(problem(spec), HasSubstr("scaleDown: stabilizationWindowSeconds"));
}

// --- As a Policy ---

PodUsage usage(uint64_t id, double millis, TimePoint at) {
  return {.pod = id,
          .cpu_millis = millis,
          .started = kNow - seconds(1000),
          .ready_changed = kNow - seconds(1000),
          .sampled = at,
          .window = seconds(1)};
}

TEST(HpaPolicyTest, ScalesByWhatPodsUse) {
  HpaPolicy policy({.spec = {.max = 10}, .cpu_request = 1000}, kNow);
  policy.observe(
      {.at = kNow, .concurrency = 1, .pods = {usage(1, 1600, kNow), usage(2, 1600, kNow)}});
  const Decision d = policy.decide({.now = kNow, .ready = 2});
  EXPECT_TRUE(d.valid);
  EXPECT_EQ(d.desired, 4);
  EXPECT_EQ(d.reason, "cpu 160 % / 80 % -> 4");
  // Asked in between, it repeats itself: its rates are made for 15 s.
  policy.observe({.at = kNow + seconds(2), .pods = {usage(1, 4000, kNow + seconds(2))}});
  EXPECT_EQ(policy.decide({.now = kNow + seconds(2), .ready = 2, .starting = 2}).desired, 4);
}

TEST(HpaPolicyTest, ByItselfTheAlgorithmCannotReachOrLeaveZero) {
  // One idle pod: zero use is still one pod, since the ratio has a floor of one replica.
  Hpa hpa(cpu_spec(80));
  EXPECT_EQ(hpa.decide(cpu({0})).desired, 1);
  // And with none there is nothing to measure: scaling is off, and stays off.
  HpaPolicy alone({.spec = {.max = 10}, .cpu_request = 1000, .zero_after = {}}, kNow);
  alone.observe({.at = kNow, .concurrency = 0});
  EXPECT_FALSE(alone.decide({.now = kNow}).valid);
  EXPECT_FALSE(alone.decide({.now = kNow + seconds(600)}).valid);
}

TEST(HpaPolicyTest, WithTheActivatorsWakeItGoesToZeroAndBack) {
  HpaPolicy policy({.spec = {.max = 10}, .cpu_request = 1000, .zero_after = seconds(60)}, kNow);
  policy.observe({.at = kNow, .concurrency = 1, .pods = {usage(1, 100, kNow)}});
  EXPECT_EQ(policy.decide({.now = kNow, .ready = 1, .in_flight = 1}).desired, 1);
  const auto later = [](int s) { return kNow + seconds(s); };
  for (int s = 1; s < 60; ++s) {
    policy.observe({.at = later(s), .pods = {usage(1, 0, later(s))}});
    ASSERT_EQ(policy.decide({.now = later(s), .ready = 1}).desired, 1) << s;
  }
  Decision d = policy.decide({.now = later(60), .ready = 1});
  EXPECT_TRUE(d.valid);
  EXPECT_EQ(d.desired, 0);
  EXPECT_EQ(policy.decide({.now = later(61)}).desired, 0);
  // A held request: at once, not at the next 15 s.
  d = policy.decide({.now = later(62), .waiting = 1});
  EXPECT_TRUE(d.valid);
  EXPECT_EQ(d.desired, 1);
}

TEST(HpaPolicyTest, TheRevisionsOwnLoadIsAnExternalMetric) {
  HpaSpec spec = external_spec(Type::kAverageValue, 10'000);
  spec.metrics[0].name = "concurrency";
  HpaPolicy policy({.spec = spec}, kNow);
  policy.observe({.at = kNow, .concurrency = 35});
  EXPECT_EQ(policy.decide({.now = kNow, .ready = 2}).desired, 4);
}

TEST(HpaPolicyTest, OfEachPodTheRevisionsOwnLoadIsAPodsMetric) {
  HpaSpec spec{
      .max = 100,
      .metrics = {
          {.source = Source::kPods, .name = "rps", .type = Type::kAverageValue, .target = 10'000}}};
  HpaPolicy policy({.spec = spec}, kNow);
  policy.observe({.at = kNow, .requests = 35});
  EXPECT_EQ(policy.decide({.now = kNow, .ready = 2}).desired, 4);
  // Pods that drain are still measured, and carry none of it.
  HpaPolicy draining({.spec = spec}, kNow);
  Metric metric{.at = kNow, .requests = 200};
  for (int i = 0; i < 20; ++i) metric.pods.push_back(usage(i, 100, kNow));
  draining.observe(metric);
  EXPECT_EQ(draining.decide({.now = kNow, .ready = 10}).desired, 20);
  // What nobody counts of each pod holds the pods.
  spec.metrics[0].name = "packets";
  HpaPolicy unknown({.spec = spec}, kNow);
  unknown.observe({.at = kNow, .requests = 35});
  EXPECT_FALSE(unknown.decide({.now = kNow, .ready = 2}).valid);
}

TEST(HpaPolicyTest, MissingAndStartingPodsAreTakenAsWhatHoldsTheChangeBack) {
  HpaPolicy policy({.spec = {.max = 100}, .cpu_request = 1000}, kNow);
  policy.observe({.at = kNow, .concurrency = 1, .pods = {usage(1, 1600, kNow)}});
  // 160 % of one pod; with one not measured and one starting: 53 %, the other direction.
  EXPECT_EQ(policy.decide({.now = kNow, .ready = 2, .starting = 1}).desired, 3);
}

HpaSpec queue_spec(int min) {
  HpaSpec spec = external_spec(Type::kAverageValue, 10'000);
  spec.metrics[0].name = "jobs";
  spec.min = min;
  spec.max = 20;
  return spec;
}

TEST(HpaPolicyTest, ANumberFromOutsideDecidesFromZeroAndBack) {
  HpaPolicy policy({.spec = queue_spec(0), .zero_after = seconds(60)}, kNow - seconds(600));
  policy.observe({.at = kNow, .outside = {{.name = "jobs", .value = 0}}});
  EXPECT_EQ(policy.decide({.now = kNow}).desired, 0);
  // No request has come: the queue alone wants pods.
  const TimePoint later = kNow + seconds(15);
  policy.observe({.at = later, .outside = {{.name = "jobs", .value = 35}}});
  const Decision d = policy.decide({.now = later});
  EXPECT_TRUE(d.valid);
  EXPECT_EQ(d.desired, 4);
  ASSERT_TRUE(policy.seen());
  EXPECT_EQ(policy.seen()->result.desired, 4);
  EXPECT_EQ(policy.seen()->input.readings.at(0).total, 35'000);
  // It is empty for as long as zero needs: the way down keeps its stabilization.
  const TimePoint end = later + seconds(60);
  policy.observe({.at = end, .outside = {{.name = "jobs", .value = 0}}});
  EXPECT_EQ(policy.decide({.now = end, .ready = 4}).desired, 4);
  // Only the last pod goes by the last request.
  EXPECT_EQ(policy.decide({.now = end, .ready = 1}).desired, 0);
  EXPECT_FALSE(policy.seen());
}

TEST(HpaPolicyTest, TheWayToTheLastPodKeepsItsRates) {
  HpaBehavior behavior;
  behavior.down.window = seconds(30);
  behavior.down.rates = {{HpaRules::Unit::kPods, 1, seconds(60)}};
  HpaSpec spec = queue_spec(1);
  spec.behavior = behavior;
  HpaPolicy policy({.spec = spec, .zero_after = seconds(6)}, kNow);
  int pods = 3;
  TimePoint three_until{};
  TimePoint two_until{};
  TimePoint one_until{};
  for (TimePoint now = kNow; now < kNow + seconds(600); now += seconds(2)) {
    policy.observe({.at = now, .outside = {{.name = "jobs", .value = now == kNow ? 30.0 : 0.0}}});
    const Decision d = policy.decide({.now = now, .ready = pods});
    if (d.valid) pods = d.desired;
    if (pods == 3) three_until = now;
    if (pods == 2) two_until = now;
    if (pods == 1) one_until = now;
  }
  EXPECT_EQ(pods, 0);
  EXPECT_GE(three_until - kNow, seconds(28));
  EXPECT_GE(two_until - three_until, seconds(58));
  EXPECT_GT(one_until, two_until) << "it passed the minimum on its way";
}

TEST(HpaPolicyTest, ANumberThatIsNotToBeHadKeepsThePodsAndSaysWhy) {
  HpaPolicy policy({.spec = queue_spec(1), .zero_after = seconds(60)}, kNow - seconds(600));
  policy.observe({.at = kNow, .outside = {{.name = "jobs", .error = "http://q/: refused"}}});
  Decision d = policy.decide({.now = kNow, .ready = 3});
  EXPECT_FALSE(d.valid);
  EXPECT_EQ(d.error, "metric jobs: http://q/: refused");
  EXPECT_EQ(policy.seen()->result.scaling_active.reason, "FailedGetExternalMetric");
  // Asked again at the next call, not 15 s later.
  policy.observe({.at = kNow + seconds(2), .outside = {{.name = "jobs", .value = 60}}});
  d = policy.decide({.now = kNow + seconds(2), .ready = 3});
  EXPECT_EQ(d.desired, 6);
  EXPECT_EQ(d.error, "");
  HpaPolicy nobody({.spec = queue_spec(1)}, kNow);
  nobody.observe({.at = kNow, .concurrency = 1});
  EXPECT_THAT(nobody.decide({.now = kNow, .ready = 1}).error, HasSubstr("where jobs is to be had"));
}

TEST(HpaPolicyTest, WhatNobodyMeasuresAnyMoreIsNotBelieved) {
  HpaPolicy policy({.spec = {.max = 10}, .cpu_request = 1000}, kNow);
  policy.observe({.at = kNow, .concurrency = 1, .pods = {usage(1, 1600, kNow)}});
  EXPECT_EQ(policy.decide({.now = kNow, .ready = 1}).desired, 2);
  const TimePoint later = kNow + seconds(16);
  policy.observe({.at = later, .concurrency = 1});
  EXPECT_FALSE(policy.decide({.now = later, .ready = 2}).valid);
  EXPECT_EQ(policy.seen()->result.scaling_active.reason, "FailedGetResourceMetric");
}

}  // namespace
}  // namespace ebb::scaling
