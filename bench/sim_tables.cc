// Figures of the simulator beside those that others have published or measured.
#include <fmt/core.h>

#include <cstdio>
#include <cstdlib>
#include <tuple>
#include <vector>

#include "sim.h"
#include "sim/engine.h"
#include "sim/keep_alive_run.h"
#include "sim/memory_run.h"

namespace ebb::bench {

using namespace ebb::sim;
using std::chrono::minutes;

// The model of "Serverless in the Wild": executions take no time, a function has one
// instance. Beside each figure that of an independent model on the same day.
void keep_alive_table(const Figures& figures, const Trace& day) {
  struct Row {
    const char* name;
    Duration keep;      // or the histogram's range
    Duration fallback;  // negative: fixed
    int cold;
    double waste;
  };
  constexpr Duration kFixed{-1};
  constexpr Row kRows[] = {
      {"fixed 10 min", minutes(10), kFixed, 11850, 1.000},
      {"fixed 20 min", minutes(20), kFixed, 6309, 1.129},
      {"fixed 60 min", minutes(60), kFixed, 2994, 1.387},
      {"fixed 120 min", minutes(120), kFixed, 2129, 1.574},
      {"fixed 240 min", minutes(240), kFixed, 1661, 1.795},
      {"never unloaded", scaling::kNeverUnload, kFixed, 1350, 2.544},
      {"hybrid 60 min", minutes(60), Duration(0), 4878, 0.955},
      {"hybrid 120 min", minutes(120), Duration(0), 4034, 1.111},
      {"hybrid 240 min", minutes(240), Duration(0), 3615, 1.288},
      {"hybrid 240 min, fallback 10 min", minutes(240), minutes(10), 6035, 0.885},
  };
  figures.say("\n# Keep-alive on the 1350-function day (execution time 0, one instance each)\n");
  figures.say("{:<34} {:>7} {:>9} {:>7} {:>7} {:>7} {:>9}\n", "", "cold", "reference", "p50 %",
              "p75 %", "waste", "reference");
  double base = 0;
  for (const Row& row : kRows) {
    const KeepAliveMaker policy = [&row](const Function&) -> std::unique_ptr<scaling::KeepAlive> {
      if (row.fallback < Duration(0)) return std::make_unique<scaling::FixedKeepAlive>(row.keep);
      return std::make_unique<scaling::HybridHistogram>(
          scaling::HybridSettings{.range = row.keep, .fallback = row.fallback});
    };
    const auto result =
        run_keep_alive(day, {.policy = policy,
                             .arrivals = {.spread = Spread::kStart, .service = Service::kZero},
                             .one_instance = true});
    if (base == 0) base = result.idle_seconds;
    figures.say("{:<34} {:>7} {:>9} {:>7.1f} {:>7.1f} {:>7.3f} {:>9.3f}\n", row.name, result.cold,
                row.cold, 100 * result.cold_share_at(0.5), 100 * result.cold_share_at(0.75),
                result.idle_seconds / base, row.waste);
    const std::string what = fmt::format("sim, keep-alive, {}: ", row.name);
    figures.add(what + "cold starts", result.cold, "", "reference",
                static_cast<double>(result.cold) / row.cold);
    figures.add(what + "waste", result.idle_seconds / base, "x fixed 10 min", "reference",
                result.idle_seconds / base / row.waste);
  }
}

void eviction_table(const Figures& figures, const Trace& day) {
  struct Row {
    const char* name;
    scaling::EvictionRule rule;
    Duration keep;
    bool when_idle;
    double at_60;  // the reference, %; 0: none
    double at_80;
  };
  using scaling::EvictionRule;
  constexpr Row kRows[] = {
      {"greedy-dual", EvictionRule::kGreedyDual, Duration(0), false, 14.7, 5.4},
      {"frequency", EvictionRule::kFrequency, Duration(0), false, 14.9, 5.5},
      {"lru", EvictionRule::kLru, Duration(0), false, 19.5, 7.6},
      {"10 min, then lru", EvictionRule::kLru, minutes(10), false, 19.5, 8.0},
      {"size", EvictionRule::kSize, Duration(0), false, 24.0, 14.8},
      {"landlord", EvictionRule::kLandlord, Duration(0), false, 0, 0},
      {"greedy-dual, ranked when idle", EvictionRule::kGreedyDual, Duration(0), true, 0, 0},
  };
  figures.say("\n# Eviction on one machine: execution time added by cold starts, %\n");
  figures.say("{:<34} {:>7} {:>9} {:>7} {:>9} {:>9} {:>9}\n", "", "60 GB", "reference", "80 GB",
              "reference", "cold 60 %", "drop 60 %");
  for (const Row& row : kRows) {
    const auto at = [&](double gb) {
      return run_memory(day, {.memory_mb = gb * 1024,
                              .rule = row.rule,
                              .keep = row.keep,
                              .rank_when_idle = row.when_idle,
                              .arrivals = {.spread = Spread::kAligned}});
    };
    const auto small = at(60);
    const double large = at(80).added_share();
    const auto calls = static_cast<double>(small.calls);
    figures.say("{:<34} {:>7.1f} {:>9.1f} {:>7.1f} {:>9.1f} {:>9.1f} {:>9.2f}\n", row.name,
                100 * small.added_share(), row.at_60, 100 * large, row.at_80,
                100 * static_cast<double>(small.cold) / calls,
                100 * static_cast<double>(small.dropped) / calls);
    for (const auto& [gb, added, reference] :
         {std::tuple(60, small.added_share(), row.at_60), std::tuple(80, large, row.at_80)}) {
      const std::string what =
          fmt::format("sim, eviction, {}, {} GB: time added by cold starts", row.name, gb);
      if (reference > 0) {
        figures.add(what, 100 * added, "%", "reference", 100 * added / reference);
      } else {
        figures.add(what, 100 * added, "%");
      }
    }
  }
}

void policies_table(const Figures& figures, const std::string& name, const Trace& day,
                    const std::vector<std::string>& policies) {
  figures.say("\n# Policies (concurrency 1) on the {}-function day, {} calls\n", name,
              day.total_calls);
  figures.say("{:<6} {:<9} {:<28} {:>8} {:>7} {:>9} {:>9} {:>9} {:>7} {:>7} {:>8} {:>7}\n", "start",
              "slots", "policy", "cold", "cold %", "wait p99", "slowdown", "held GBh", "memory",
              "starts", "node-h", "CPU s");
  for (const char* start : {"1ms", "1s"}) {
    for (const int slots : {0, 16, 64, 256}) {
      std::vector<Report> reports;  // of the policies
      for (const std::string& text : policies) {
        const PolicyWish wish = parse_wish(text);
        auto settings = parse_settings(wish.settings);
        auto policy =
            settings ? PolicyTable().make(wish.name, *settings, 1) : fail(settings.error());
        if (!policy) {
          fmt::print(stderr, "{}\n", policy.error().message);
          std::exit(2);
        }
        EngineOptions options{.policy = *std::move(policy)};
        options.arrivals.spread = Spread::kExponential;
        options.start = *StartTime::parse(start);
        if (slots > 0) {
          options.cluster = ClusterOptions{
              .min_nodes = 1, .max_nodes = 16384 / slots, .slots = slots, .pool = slots / 8};
        }
        reports.push_back(run_engine(day, options));
        const Report& r = reports.back();
        const Report& first = reports.front();
        figures.say(
            "{:<6} {:<9} {:<28} {:>8} {:>7.2f} {:>9.4f} {:>9.3f} {:>9.1f} {:>7.2f} {:>7} {:>8.0f} "
            "{:>7.2f}\n",
            start, slots > 0 ? std::to_string(slots) : "no limit", text, r.cold,
            100 * r.cold_share(), r.waits.percentile(0.99), r.slowdown_geomean_p99,
            r.held_mb_s / 1024 / 3600, r.normalized_memory(), r.pods_started, r.node_s / 3600,
            r.wall_s);
        const std::string what =
            fmt::format("sim, {}-function day, start {}, {}, {}: ", name, start,
                        slots > 0 ? fmt::format("{} pods a node", slots) : "no limit", text);
        const auto compare = [&](const char* label, double ours, double its, const char* unit) {
          figures.add(what + label, ours, unit, policies.front(), its > 0 ? ours / its : 0);
        };
        compare("cold calls", 100 * r.cold_share(), 100 * first.cold_share(), "%");
        compare("slowdown", r.slowdown_geomean_p99, first.slowdown_geomean_p99, "x");
        compare("memory held", r.held_mb_s / 1024 / 3600, first.held_mb_s / 1024 / 3600, "GB h");
        if (slots > 0) compare("nodes", r.node_s / 3600, first.node_s / 3600, "h");
      }
    }
  }
}

}  // namespace ebb::bench
