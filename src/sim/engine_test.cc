#include "sim/engine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <deque>

#include "scaling/kpa.h"
#include "sim/keep_alive_run.h"
#include "sim/trace_files.h"

namespace ebb::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

PolicyChoice choice(std::string_view name, const char* settings, int concurrency = 1) {
  return *PolicyTable().make(name, *parse_settings(settings), concurrency);
}

// One function, 100 MB, called at the given milliseconds.
Trace calls_at(std::initializer_list<int> starts, Duration service, Duration length = minutes(5)) {
  TraceBuilder builder;
  const auto f = builder.function({.name = "f", .memory_mb = 100});
  for (const int start : starts) builder.call(f, milliseconds(start), service);
  return *std::move(builder).build(length);
}

// Everything but what the simulation itself cost.
std::string outcome(Report report, const Trace& trace) {
  report.decisions = report.samples = report.events = 0;
  return to_json(report, trace, {.functions = true, .timing = false});
}

// The requests' and pods' times by hand: start 1 s, execution 100 ms, window 60 s.
TEST(Engine, OneFunctionByKpaByHand) {
  const Trace trace = calls_at({500, 2000, 2050, 100000}, milliseconds(100));
  EngineOptions options{.policy = choice("kpa", "target=100,window=60s", 0), .concurrency = 0};
  options.start.typical = seconds(1);
  const Report report = run_engine(trace, options);
  EXPECT_EQ(report.calls, 4);
  EXPECT_EQ(report.completed, 4);
  EXPECT_EQ(report.cold, 2);  // at 0.5 s and, after the pod went, at 100 s
  EXPECT_EQ(report.pods_started, 2);
  EXPECT_NEAR(report.waits.max(), 1, 1e-9);
  EXPECT_DOUBLE_EQ(report.waits.sum(), 2);
  // The last request ended at 2.15 s, in the sample of 3 s. The first decision 60 s after
  // that is the one of 63 s. Then from 100 s on; the last sample with load is that of 102.
  EXPECT_DOUBLE_EQ(report.held_mb_s, 100 * ((63 - 0.5) + (163 - 100)));
  // 0.1 s at 1.5 s, then 2.0 to 2.15 s, 0.1 s at 101 s.
  EXPECT_NEAR(report.busy_mb_s, 100 * (0.1 + 0.15 + 0.1), 1e-9);
  EXPECT_EQ(report.peak_pods, 1);
}

TEST(Engine, KeepAliveByHand) {
  const Trace trace = calls_at({0, 11000, 22001}, seconds(1));
  EngineOptions options{.policy = choice("keep-alive", "keep=10s")};
  const Report report = run_engine(trace, options);
  // 10 s after the end the pod is still there; a millisecond later it is not.
  EXPECT_EQ(report.cold, 2);
  EXPECT_EQ(report.pods_started, 2);
  EXPECT_NEAR(report.held_mb_s, 100 * (22 + 11), 1e-5);
  EXPECT_DOUBLE_EQ(report.busy_mb_s, 300);
}

// Two slots, five requests of 1 s at once: waits 0, 0, 1, 1, 2 s.
TEST(Engine, QueuesOldestFirst) {
  const Trace trace = calls_at({5000, 5000, 5000, 5000, 5000}, seconds(1));
  EngineOptions options{.policy = choice("pods", "pods=1"), .concurrency = 2};
  const Report report = run_engine(trace, options);
  EXPECT_EQ(report.pods_started, 1);
  EXPECT_EQ(report.cold, 0);
  EXPECT_DOUBLE_EQ(report.waits.sum(), 0 + 0 + 1 + 1 + 2);
  EXPECT_DOUBLE_EQ(report.waits.max(), 2);
  EXPECT_NEAR(report.by_function[0].slowdown(1), 3, 0.06);
}

// A burst from zero: one pod wakes for the first, the crowd rule brings the rest.
TEST(Engine, ACrowdIsRelievedAtOnce) {
  const Trace trace = calls_at({1000, 1000, 1000, 1000, 1000, 1000}, seconds(5));
  EngineOptions options{.policy = choice("kpa", "target=1,target-utilization-percentage=100")};
  options.start.typical = milliseconds(200);
  const Report report = run_engine(trace, options);
  EXPECT_GE(report.pods_started, 6);
  EXPECT_LE(report.waits.max(), 0.22 + 1e-9);  // start, and at most 20 ms to the relief
  EXPECT_EQ(report.cold, 6);
}

TEST(Engine, StartsNoMoreThanTheMaximum) {
  const Trace trace = calls_at({0, 0, 0, 0}, seconds(1));
  EngineOptions options{.policy = choice("kpa", "max-scale=2")};
  const Report report = run_engine(trace, options);
  EXPECT_EQ(report.peak_pods, 2);
  EXPECT_EQ(report.completed, 4);
}

TEST(Engine, WhatDoesNotEndIsCounted) {
  const Trace trace = calls_at({0, 299000}, minutes(100), minutes(5));
  EngineOptions options{.policy = choice("pods", "pods=1"), .drain = minutes(1)};
  const Report report = run_engine(trace, options);
  EXPECT_EQ(report.calls, 2);
  EXPECT_EQ(report.completed, 0);
  EXPECT_EQ(report.unfinished, 2);
}

TEST(Engine, WhatExecutesEndsHoweverLong) {
  const Trace trace = calls_at({0}, minutes(100), minutes(5));
  EngineOptions options{.policy = choice("pods", "pods=1"), .drain = minutes(1)};
  const Report report = run_engine(trace, options);
  EXPECT_EQ(report.completed, 1);
  EXPECT_EQ(report.unfinished, 0);
}

// --- Queueing theory ---

// P(wait) and mean wait of M/M/c by Erlang's formulas.
struct ErlangC {
  double waits = 0;
  double mean_wait = 0;
};
ErlangC erlang_c(int servers, double load, double service) {
  double b = 1;
  for (int k = 1; k <= servers; ++k) b = load * b / (k + load * b);
  ErlangC out;
  out.waits = servers * b / (servers - load * (1 - b));
  out.mean_wait = out.waits * service / (servers - load);
  return out;
}

class Erlang : public testing::TestWithParam<std::pair<int, double>> {};

TEST_P(Erlang, PoissonArrivalsAndExponentialServiceWaitAsComputed) {
  const auto [servers, load] = GetParam();
  constexpr double kService = 1;
  constexpr int kCalls = 400'000;
  TraceBuilder builder;
  const auto f = builder.function({.name = "f"});
  Random random(42);
  double at = 10;
  for (int i = 0; i < kCalls; ++i) {
    at += random.exponential(kService / load);
    builder.call(f, Duration(std::llround(at * 1e9)),
                 Duration(std::llround(random.exponential(kService) * 1e9)));
  }
  const Trace trace = *std::move(builder).build();
  // As pods of one slot, and as slots of one pod.
  for (const bool one_pod : {false, true}) {
    EngineOptions options{
        .policy = choice("pods", one_pod ? "pods=1" : fmt::format("pods={}", servers).c_str()),
        .concurrency = one_pod ? servers : 1};
    const Report report = run_engine(trace, options);
    const ErlangC expected = erlang_c(servers, load, kService);
    EXPECT_NEAR(report.waits.mean() / expected.mean_wait, 1, 0.06) << one_pod;
    // P(W > t) = C exp(-(c - R) t / S), at the percentile where it is 5 %.
    const double t = std::log(expected.waits / 0.05) * kService / (servers - load);
    EXPECT_NEAR(report.waits.percentile(0.95) / t, 1, 0.08) << one_pod;
  }
}

INSTANTIATE_TEST_SUITE_P(Loads, Erlang,
                         testing::Values(std::pair(1, 0.7), std::pair(4, 3.2),
                                         std::pair(20, 18.0)));

// --- Policies are asked as in production ---

struct Asked {
  std::vector<scaling::Metric> metrics;
  std::vector<std::pair<scaling::Situation, scaling::Decision>> decisions;
};

class Recorder final : public scaling::Policy {
 public:
  Recorder(std::unique_ptr<scaling::Policy> policy, Asked& asked)
      : policy_(std::move(policy)), asked_(asked) {}
  void observe(const scaling::Metric& metric) override {
    asked_.metrics.push_back(metric);
    policy_->observe(metric);
  }
  [[nodiscard]] scaling::Decision decide(const scaling::Situation& situation) override {
    auto decision = policy_->decide(situation);
    asked_.decisions.emplace_back(situation, decision);
    return decision;
  }

 private:
  std::unique_ptr<scaling::Policy> policy_;
  Asked& asked_;
};

Trace busy_function() {
  TraceBuilder builder;
  (void)builder.function({.name = "f", .percentiles_ms = {10, 20, 100, 300, 900, 4000, 9000}});
  for (uint32_t minute = 0; minute < 30; ++minute) {
    builder.minute(minute, minute % 7 == 6 ? 0 : (minute * 37) % 150);
  }
  return *std::move(builder).build();
}

TEST(Engine, SamplesEachSecondAndDecidesEveryTwo) {
  Asked asked;
  EngineOptions options{.policy = choice("kpa", "", 2), .concurrency = 2};
  options.arrivals.spread = Spread::kExponential;
  options.start.typical = milliseconds(500);
  options.skip_idle = false;
  const auto make = options.policy.make;
  options.policy.make = [&](int ready, TimePoint now) {
    return std::make_unique<Recorder>(make(ready, now), asked);
  };
  const Trace trace = busy_function();
  const Report report = run_engine(trace, options);
  ASSERT_GT(asked.decisions.size(), 500);
  EXPECT_EQ(asked.decisions.size(), report.decisions);
  for (size_t i = 1; i < asked.metrics.size(); ++i) {
    EXPECT_EQ(asked.metrics[i].at - asked.metrics[i - 1].at, seconds(1));
  }
  for (size_t i = 1; i < asked.decisions.size(); ++i) {
    EXPECT_EQ(asked.decisions[i].first.now - asked.decisions[i - 1].first.now, seconds(2));
  }
  // Nothing that was seen is lost or told twice: area, arrivals and ends add up.
  double requests = 0;
  double ended = 0;
  double request_seconds = 0;
  double service_seconds = 0;
  for (const auto& metric : asked.metrics) {
    if (&metric != &asked.metrics.front()) {  // the first period is a part of a second
      requests += metric.requests;
      ended += metric.ended;
      request_seconds += metric.concurrency - metric.queued;
      service_seconds += metric.service_seconds;
    }
  }
  EXPECT_NEAR(requests, static_cast<double>(report.calls), 5);
  EXPECT_NEAR(ended, static_cast<double>(report.completed), 5);
  // Those inside pods that are ready.
  EXPECT_NEAR(request_seconds / service_seconds, 1, 0.02);
}

// The same whether policies at rest are asked or not: whatever the starts take, and when what
// is left of a burst makes fewer pods panic.
TEST(Engine, LeavingIdlePoliciesAloneChangesNothing) {
  TraceBuilder builder;
  for (uint32_t f = 0; f < 40; ++f) {
    (void)builder.function(
        {.name = std::to_string(f), .percentiles_ms = {10, 20, 100, 300, 900, 4000, 9000}});
    for (uint32_t minute = 0; minute < 60; ++minute) {
      builder.minute(minute, (minute * 7 + f * 13) % 11 / 2);
    }
  }
  const Trace trace = *std::move(builder).build();
  for (const char* policy : {"kpa", "adaptive"}) {
    for (const int slots : {0, 64}) {
      EngineOptions options{.policy = choice(policy, "")};
      options.arrivals.spread = Spread::kExponential;
      options.start = *StartTime::parse("lognormal:300ms:0.5");
      if (slots > 0) options.cluster = ClusterOptions{.max_nodes = 4, .slots = slots};
      const Report quick = run_engine(trace, options);
      options.skip_idle = false;
      const Report full = run_engine(trace, options);
      EXPECT_LT(quick.decisions, full.decisions / 2) << policy;
      EXPECT_EQ(quick.pods_started, full.pods_started) << policy << slots;
      EXPECT_EQ(quick.cold, full.cold) << policy << slots;
      EXPECT_NEAR(quick.held_mb_s / full.held_mb_s, 1, 1e-9) << policy << slots;
      EXPECT_EQ(quick.waits.percentile(0.99), full.waits.percentile(0.99)) << policy << slots;
    }
  }
}

// Also when what is sampled of it is but 20 ms of a second.
TEST(Engine, OneCallIsOnePodHoweverLongItStarts) {
  const Trace trace = calls_at({500, 100500, 200980}, milliseconds(100));
  EngineOptions options{.policy = choice("adaptive", "")};
  options.start.typical = seconds(2);
  const Report report = run_engine(trace, options);
  EXPECT_EQ(report.pods_started, 2u) << "the third finds one, which the second coming back kept";
  EXPECT_EQ(report.peak_pods, 1u);
}

// 10:00 to 10:30 on a Monday, two pods, without a call.
TEST(Engine, AScheduleIsThatOfTheDate) {
  const Trace trace = calls_at({1000}, milliseconds(100), minutes(240));
  EngineOptions options{
      .policy = choice("kpa", "schedule=0 10 * * mon | 30 10 * * mon | 2 | Europe/Berlin")};
  EXPECT_NEAR(run_engine(trace, options).held_mb_s / 100, 62, 10) << "at midnight on a Monday";
  options.begin += std::chrono::hours(8);  // 09:00 in Berlin
  EXPECT_NEAR(run_engine(trace, options).held_mb_s / 100, 62 + 2 * 1800, 200);
  options.begin += std::chrono::hours(24);
  EXPECT_NEAR(run_engine(trace, options).held_mb_s / 100, 62, 10) << "on a Tuesday";
}

// By the histogram of its idle times a pod is there when the next call is due.
TEST(Engine, AHybridKeepAliveStartsAheadOfTheCall) {
  TraceBuilder builder;
  const auto f = builder.function({.name = "f", .memory_mb = 100});
  for (int call = 0; call < 40; ++call) builder.call(f, minutes(10 * call + 1), milliseconds(50));
  const Trace trace = *std::move(builder).build(minutes(401));
  EngineOptions options{.policy = choice("kpa", "")};
  const Report plain = run_engine(trace, options);
  EXPECT_EQ(plain.cold, 40u);
  options.policy = choice("kpa", "keep-alive=hybrid,scale-to-zero-pod-retention-period=1m");
  const Report hybrid = run_engine(trace, options);
  EXPECT_LT(hybrid.cold, 20u);
}

// A policy object by itself, fed what the simulator saw, decides the same.
TEST(Engine, KpaDecidesAsItWouldAlone) {
  std::deque<Asked> lives;  // of the policy objects: one each time it came from zero
  const auto settings = choice("kpa", "", 2);
  EngineOptions options{.policy = settings, .concurrency = 2};
  options.arrivals.spread = Spread::kUniform;
  options.skip_idle = false;
  options.policy.make = [&](int ready, TimePoint now) {
    return std::make_unique<Recorder>(settings.make(ready, now), lives.emplace_back());
  };
  const Report report = run_engine(busy_function(), options);
  ASSERT_GT(report.decisions, 500);
  scaling::KpaSettings kpa;
  kpa.set_target({.container_concurrency = 2});
  int panics = 0;
  for (const Asked& asked : lives) {
    const auto alone = scaling::make_kpa(kpa, 0, TimePoint{});
    size_t next = 0;
    for (const auto& [situation, decision] : asked.decisions) {
      while (next < asked.metrics.size() && asked.metrics[next].at <= situation.now) {
        alone->observe(asked.metrics[next++]);
      }
      const auto again = alone->decide(situation);
      ASSERT_EQ(again.desired, decision.desired);
      ASSERT_EQ(again.panic, decision.panic);
      ASSERT_EQ(again.stable, decision.stable);
      ASSERT_EQ(again.panic_value, decision.panic_value);
      ASSERT_EQ(again.excess_burst_capacity, decision.excess_burst_capacity);
      panics += decision.panic ? 1 : 0;
    }
  }
  EXPECT_GT(panics, 0);
}

TEST(Engine, SituationSaysWhatIsInTheSystem) {
  Asked asked;
  const Trace trace = calls_at({500, 500, 500, 500, 500}, seconds(10));
  EngineOptions options{.policy = choice("pods", "pods=1"), .concurrency = 2};
  options.start.typical = milliseconds(100);
  const auto make = options.policy.make;
  options.policy.make = [&](int ready, TimePoint now) {
    return std::make_unique<Recorder>(make(ready, now), asked);
  };
  (void)run_engine(trace, options);
  const auto& situation = asked.decisions.front().first;
  EXPECT_EQ(situation.ready, 1);
  EXPECT_EQ(situation.starting, 0);
  EXPECT_EQ(situation.in_flight, 2);
  EXPECT_EQ(situation.waiting, 3);
  EXPECT_EQ(situation.pod_concurrency, 2);
  EXPECT_EQ(situation.start_time, milliseconds(100));
}

// Two slots for three functions, of which one is called often: the pod of the other one goes.
TEST(Engine, ByGreedyDualThePodThatIsWorthLeastGoes) {
  TraceBuilder builder;
  const auto often = builder.function({.name = "often", .memory_mb = 100});
  const auto once = builder.function({.name = "once", .memory_mb = 100});
  const auto last = builder.function({.name = "last", .memory_mb = 100});
  for (int call = 0; call < 10; ++call) builder.call(often, seconds(call), milliseconds(10));
  builder.call(once, seconds(20), milliseconds(10));  // used later than `often`
  builder.call(last, seconds(30), milliseconds(10));
  builder.call(often, seconds(40), milliseconds(10));
  const Trace trace = *std::move(builder).build(minutes(10));
  EngineOptions options{.policy = choice("greedy-dual", "")};
  options.start.typical = milliseconds(100);
  options.cluster = ClusterOptions{.slots = 2, .pool = 0};
  const Report report = run_engine(trace, options);
  EXPECT_EQ(report.completed, 13u);
  EXPECT_EQ(report.cold, 3u) << "`often` was there at the end";
  EXPECT_EQ(report.by_function[often].pods, 1u);

  options.policy = choice("greedy-dual", "rule=lru");
  EXPECT_EQ(run_engine(trace, options).by_function[often].pods, 2u);

  options.cluster->slots = 3;
  EXPECT_EQ(run_engine(trace, options).pods_started, 3u) << "none goes while there is room";
  options.policy = choice("greedy-dual", "keep=5s");
  EXPECT_EQ(run_engine(trace, options).by_function[often].pods, 2u) << "or when its time is over";
}

// More at once than there are slots: those that wait get them as they become free.
TEST(Engine, ByGreedyDualBusyPodsStay) {
  const Trace trace = calls_at({0, 0, 0, 0, 0, 0}, seconds(1));
  EngineOptions options{.policy = choice("greedy-dual", "")};
  options.cluster = ClusterOptions{.slots = 2};
  const Report report = run_engine(trace, options);
  EXPECT_EQ(report.completed, 6u);
  EXPECT_EQ(report.peak_pods, 2);
}

// Who waits gets the slot of a pod that becomes idle; who waits no more takes none.
TEST(Engine, ByGreedyDualThoseThatBecomeIdleMakeRoom) {
  TraceBuilder builder;
  const auto a = builder.function({.name = "a", .memory_mb = 100});
  const auto b = builder.function({.name = "b", .memory_mb = 100});
  builder.call(a, seconds(0), seconds(10));
  builder.call(b, seconds(5), seconds(1));
  const Trace two = *std::move(builder).build(minutes(10));
  EngineOptions options{.policy = choice("greedy-dual", "")};
  options.start.typical = milliseconds(100);
  options.cluster = ClusterOptions{.slots = 1, .pool = 0};
  const Report report = run_engine(two, options);
  EXPECT_EQ(report.completed, 2u);
  EXPECT_NEAR(report.waits.max(), 5.2, 0.05) << "until 10.1 s, and its start";

  TraceBuilder three;
  const auto busy = three.function({.name = "busy", .memory_mb = 100});
  const auto x = three.function({.name = "x", .memory_mb = 100});
  const auto y = three.function({.name = "y", .memory_mb = 100});
  const auto late = three.function({.name = "late", .memory_mb = 100});
  three.call(busy, seconds(0), seconds(2));
  three.call(x, seconds(0), seconds(5));
  three.call(y, seconds(0), seconds(5));
  three.call(busy, seconds(1), seconds(30));  // waits, and gets the pod that is there
  three.call(late, seconds(10), seconds(1));
  three.call(y, seconds(20), seconds(1));
  options.cluster->slots = 3;
  const Report rest = run_engine(*std::move(three).build(minutes(10)), options);
  EXPECT_EQ(rest.completed, 6u);
  EXPECT_EQ(rest.pods_started, 4u) << "x alone made room for `late`";
}

// --- On real traces ---

class Day : public testing::Test {
 protected:
  void SetUp() override {
    const char* shared = std::getenv("EBB_SHARED");
    if (shared == nullptr) GTEST_SKIP() << "set EBB_SHARED to the folder that holds traces";
    trace_ = *open_trace(std::string(shared) + "/traces/azure2019/50_inv.csv");
  }
  Trace trace_;
};

TEST_F(Day, EveryCallEndsWhateverThePolicyAndTheNodes) {
  for (const char* name : {"kpa", "keep-alive", "hybrid", "pods"}) {
    for (const int slots : {0, 4, 64}) {
      for (const int concurrency : {1, 10, 0}) {
        EngineOptions options{.policy = choice(name, ""), .concurrency = concurrency};
        options.start = *StartTime::parse("lognormal:300ms:0.5");
        if (slots > 0) {
          options.cluster =
              ClusterOptions{.min_nodes = 0, .max_nodes = 20, .slots = slots, .pool = 2};
        }
        const Report report = run_engine(trace_, options);
        EXPECT_EQ(report.calls, trace_.total_calls) << name << slots;
        EXPECT_EQ(report.completed + report.unfinished, report.calls) << name << slots;
        // One pod at a time does not keep up with every function.
        const bool keeps_up = std::string_view(name) != "pods" || concurrency != 1;
        EXPECT_EQ(report.unfinished == 0, keeps_up) << name << slots;
        uint64_t calls = 0;
        uint64_t cold = 0;
        uint64_t pods = 0;
        for (const auto& f : report.by_function) {
          calls += f.calls;
          cold += f.cold;
          pods += f.pods;
          EXPECT_TRUE(!keeps_up || f.waits.count() == f.calls);
        }
        EXPECT_EQ(calls, report.calls);
        EXPECT_EQ(cold, report.cold);
        EXPECT_EQ(pods, report.pods_started);
        EXPECT_GE(report.held_mb_s, report.busy_mb_s * (1 - 1e-9));
      }
    }
  }
}

TEST_F(Day, TheReportDependsOnTheSeedAlone) {
  EngineOptions options{.policy = choice("kpa", "")};
  options.start = *StartTime::parse("exponential:1s");
  options.cluster = ClusterOptions{.min_nodes = 1, .max_nodes = 10, .slots = 16};
  options.arrivals.spread = Spread::kUniform;
  const std::string first = outcome(run_engine(trace_, options), trace_);
  EXPECT_EQ(outcome(run_engine(trace_, options), trace_), first);
  options.arrivals.seed = 2;
  EXPECT_NE(outcome(run_engine(trace_, options), trace_), first);
}

TEST_F(Day, LeavingIdlePoliciesAloneChangesNothing) {
  for (const char* text :
       {"kpa", "kpa,target=5,window=20s", "kpa,window=6s",
        "kpa,scale-to-zero-pod-retention-period=90s", "kpa,min-scale=1", "kpa,activation-scale=3",
        "kpa,scale-down-delay=60s", "adaptive", "adaptive,window=10s,wait=1s"}) {
    const PolicyWish wish = parse_wish(text);
    const std::string& settings = wish.label;
    EngineOptions options{.policy = choice(wish.name.c_str(), wish.settings.c_str())};
    options.start = *StartTime::parse("lognormal:700ms:0.3");
    options.arrivals.until = std::chrono::hours(4);
    Report quick = run_engine(trace_, options);
    options.skip_idle = false;
    Report full = run_engine(trace_, options);
    EXPECT_LE(quick.decisions, full.decisions) << settings;
    EXPECT_NEAR(quick.held_mb_s / full.held_mb_s, 1, 1e-9) << settings;
    quick.held_mb_s = full.held_mb_s;  // another order of adding up
    EXPECT_NEAR(quick.busy_mb_s / full.busy_mb_s, 1, 1e-9) << settings;
    quick.busy_mb_s = full.busy_mb_s;
    EXPECT_EQ(outcome(std::move(quick), trace_), outcome(std::move(full), trace_)) << settings;
  }
}

// The engine and the loop per function agree where both can model it.
TEST_F(Day, AgreesWithTheKeepAliveReplay) {
  for (const Duration keep : {minutes(1), minutes(10), minutes(60)}) {
    PolicyChoice policy;
    policy.keep_alive = [keep](const Function&) {
      return std::make_unique<scaling::FixedKeepAlive>(keep);
    };
    const ArrivalOptions arrivals{.spread = Spread::kUniform};
    const Report engine =
        run_engine(trace_, {.policy = policy, .arrivals = arrivals, .concurrency = 0});
    const auto replay = run_keep_alive(
        trace_, {.policy = policy.keep_alive, .arrivals = arrivals, .one_instance = true});
    EXPECT_EQ(engine.calls, replay.calls);
    EXPECT_EQ(engine.pods_started, replay.cold);
  }
  PolicyChoice hybrid = choice("hybrid", "range=2h");
  const ArrivalOptions arrivals{.spread = Spread::kUniform};
  const Report engine =
      run_engine(trace_, {.policy = hybrid, .arrivals = arrivals, .concurrency = 0});
  const auto replay = run_keep_alive(
      trace_, {.policy = hybrid.keep_alive, .arrivals = arrivals, .one_instance = true});
  // Cold: a call that finds no pod. What was loaded ahead is started, too.
  EXPECT_EQ(engine.cold, replay.cold);
}

}  // namespace
}  // namespace ebb::sim
