#include "sim/report.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace ebb::sim {
namespace {

std::string line(std::string_view name, const std::string& value) {
  return fmt::format("{:<28} {}\n", name, value);
}

std::string waits(const Histogram& histogram) {
  return fmt::format("p50 {:.3g}  p90 {:.3g}  p99 {:.3g}  p99.9 {:.3g}  max {:.3g}  mean {:.3g}",
                     histogram.percentile(0.5), histogram.percentile(0.9),
                     histogram.percentile(0.99), histogram.percentile(0.999), histogram.max(),
                     histogram.mean());
}

nlohmann::ordered_json json_of(const Histogram& histogram) {
  return {{"p50", histogram.percentile(0.5)},
          {"p90", histogram.percentile(0.9)},
          {"p99", histogram.percentile(0.99)},
          {"p99.9", histogram.percentile(0.999)},
          {"max", histogram.max()},
          {"mean", histogram.mean()}};
}

}  // namespace

double FunctionReport::wait(double p) const {
  return LogBuckets(kLeastWait).value(waits.percentile(p));
}

double FunctionReport::slowdown(double p) const {
  return LogBuckets(1, 1).value(slowdowns.percentile(p));
}

std::string to_text(const Report& r) {
  std::string out;
  out += line("policy", fmt::format("{}, seed {}", r.policy, r.seed));
  out += line("functions", fmt::format("{}, {} of them called", r.functions, r.functions_called));
  out += line("calls",
              fmt::format("{} in {:.0f} s, {} unfinished", r.calls, r.simulated_s, r.unfinished));
  out += line("cold", fmt::format("{} ({:.3f} %)", r.cold, 100 * r.cold_share()));
  out += line("wait, s", waits(r.waits));
  out += line("wait of cold calls, s", waits(r.cold_waits));
  out += line("slowdown",
              fmt::format("p50 {:.3g}  p99 {:.3g}; geometric mean of functions' p99 {:.3g}",
                          r.slowdowns.percentile(0.5), r.slowdowns.percentile(0.99),
                          r.slowdown_geomean_p99));
  out += line("pods", fmt::format("{} started, {} at most at a time", r.pods_started, r.peak_pods));
  out += line("pod starts per s", fmt::format("{:.2f} on average, {:.0f} in the busiest second",
                                              r.mean_starts_per_s, r.peak_starts_per_s));
  out +=
      line("memory, GB-hours", fmt::format("{:.2f} held, {:.2f} busy: {:.2f} times, waste {:.1f} %",
                                           r.held_mb_s / 1024 / 3600, r.busy_mb_s / 1024 / 3600,
                                           r.normalized_memory(), 100 * r.waste()));
  if (r.node_s > 0) {
    out += line("nodes",
                fmt::format("{:.1f} hours, {} started, {} at most; {:.1f} hours of cold pods",
                            r.node_s / 3600, r.nodes_started, r.peak_nodes, r.cold_pod_s / 3600));
  }
  out += line("simulation",
              fmt::format("{:.3f} s of CPU, {:.2f} M calls/s, {} events, {} decisions, {} samples",
                          r.wall_s, r.calls_per_s() / 1e6, r.events, r.decisions, r.samples));
  return out;
}

std::string to_json(const Report& r, const Trace& trace, const JsonOptions& options) {
  nlohmann::ordered_json out{{"policy", r.policy},
                             {"seed", r.seed},
                             {"functions", r.functions},
                             {"functions_called", r.functions_called},
                             {"simulated_s", r.simulated_s},
                             {"calls", r.calls},
                             {"completed", r.completed},
                             {"unfinished", r.unfinished},
                             {"cold", r.cold},
                             {"cold_share", r.cold_share()},
                             {"wait_s", json_of(r.waits)},
                             {"cold_wait_s", json_of(r.cold_waits)},
                             {"slowdown", json_of(r.slowdowns)},
                             {"slowdown_geomean_p99", r.slowdown_geomean_p99},
                             {"pods_started", r.pods_started},
                             {"peak_pods", r.peak_pods},
                             {"mean_starts_per_s", r.mean_starts_per_s},
                             {"peak_starts_per_s", r.peak_starts_per_s},
                             {"held_mb_s", r.held_mb_s},
                             {"busy_mb_s", r.busy_mb_s},
                             {"normalized_memory", r.normalized_memory()},
                             {"waste", r.waste()},
                             {"cold_pod_s", r.cold_pod_s},
                             {"node_s", r.node_s},
                             {"nodes_started", r.nodes_started},
                             {"peak_nodes", r.peak_nodes},
                             {"decisions", r.decisions},
                             {"samples", r.samples},
                             {"events", r.events}};
  if (options.timing) {
    out["cpu_s"] = r.wall_s;
    out["calls_per_s"] = r.calls_per_s();
  }
  if (options.functions) {
    auto list = nlohmann::ordered_json::array();
    for (size_t i = 0; i < r.by_function.size(); ++i) {
      const FunctionReport& f = r.by_function[i];
      if (f.calls == 0) continue;
      list.push_back({{"name", trace.functions[i].name},
                      {"calls", f.calls},
                      {"cold", f.cold},
                      {"pods", f.pods},
                      {"held_s", f.held_s},
                      {"busy_s", f.busy_s},
                      {"wait_p50_s", f.wait(0.5)},
                      {"wait_p99_s", f.wait(0.99)},
                      {"slowdown_p99", f.slowdown(0.99)}});
    }
    out["by_function"] = std::move(list);
  }
  // Names come from files: what is no UTF-8 is replaced.
  return out.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace ebb::sim
