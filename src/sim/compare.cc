#include "sim/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "api/object.h"

namespace ebb::sim {
namespace {

constexpr double kGbHours = 1024.0 * 3600;  // in MB-seconds

Result<PolicyChoice> choice_of(const std::string& text, const RunOptions& run,
                               const PolicyTable& table) {
  const PolicyWish wish = parse_wish(text);
  auto settings = parse_settings(wish.settings);
  if (!settings) return fail(Errc::kInvalid, "policy {}: {}", text, settings.error().message);
  auto choice = table.make(wish.name, *settings, run.concurrency);
  if (choice) choice->name = text;
  return choice;
}

// How many of the trace's functions a node holds on average.
Result<int> slots_for(double node_memory_mb, const Trace& trace) {
  double total = 0;
  for (const Function& function : trace.functions) total += function.memory_mb;
  const double mean = total / static_cast<double>(trace.size());
  const double slots = mean > 0 ? node_memory_mb / mean : 0;
  if (slots < 1) {
    return fail(Errc::kInvalid,
                "a node's memory must be that of one function at least: {:.0f} MiB on average",
                mean);
  }
  return static_cast<int>(std::min<double>(slots, kMostSlots));
}

// "1 row", "1,200 rows".
std::string counted(uint64_t number, std::string_view what) {
  return fmt::format("{} {}{}", grouped(number), what, number == 1 ? "" : "s");
}

std::string nodes_line(const Comparison& c) {
  const auto number = [](int value) { return static_cast<uint64_t>(value); };
  std::string out = c.min_nodes == c.max_nodes ? "" : fmt::format("{} to ", c.min_nodes);
  out += fmt::format("{} with room for {} each, ", counted(number(c.max_nodes), "node"),
                     counted(number(c.slots), "pod"));
  out += c.pool == 0 ? "none" : grouped(number(c.pool));
  return out +
         fmt::format(
             " of them kept cold; a node boots in {}, a cold pod is made in {}; node policy {}",
             time_text(to_seconds(c.node_boot)), time_text(to_seconds(c.pod_create)),
             c.node_policy);
}

using Row = std::vector<std::string>;

std::string aligned(const std::vector<Row>& rows) {
  std::vector<size_t> widths(rows.front().size());
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const Row& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      // Names to the left, numbers to the right.
      line += i == 0 ? fmt::format("{:<{}}", row[i], widths[i])
                     : fmt::format("   {:>{}}", row[i], widths[i]);
    }
    out += line + "\n";
  }
  return out;
}

// Which columns stand in the table beside the usual ones.
struct Extra {
  bool unfinished = false;
  bool failed = false;
  bool nodes = false;

  explicit Extra(const Comparison& comparison) : nodes(comparison.slots > 0) {
    for (const Report& report : comparison.reports) {
      unfinished = unfinished || report.unfinished > 0;
      failed = failed || report.policy_errors > 0;
    }
  }
};

Row titles(const Extra& extra) {
  Row out{"POLICY",   "COLD",     "SHARE",  "FUNCTIONS' COLD", "WAIT p50", "WAIT p99",
          "SLOWDOWN", "GB-HOURS", "WASTED", "STARTS",          "PEAK PODS"};
  if (extra.nodes) out.emplace_back("NODE-HOURS");
  if (extra.failed) out.insert(out.begin() + 1, "FAILED");
  if (extra.unfinished) out.insert(out.begin() + 1, "UNFINISHED");
  return out;
}

Row row_of(const Report& r, const Extra& extra) {
  const ColdShares cold = cold_shares(r);
  Row out{r.policy,
          grouped(r.cold),
          fmt::format("{:.2f}%", 100 * r.cold_share()),
          fmt::format("{:.0f}/{:.0f}/{:.0f}%", 100 * cold.p50, 100 * cold.p75, 100 * cold.p99),
          time_text(r.waits.percentile(0.5)),
          time_text(r.waits.percentile(0.99)),
          fmt::format("{:.2f}", r.slowdown_geomean_p99),
          amount_text(held_gb_h(r)),
          fmt::format("{:.1f}%", 100 * r.waste()),
          grouped(r.pods_started),
          grouped(static_cast<uint64_t>(r.peak_pods))};
  if (extra.nodes) out.push_back(amount_text(r.node_s / 3600));
  if (extra.failed) out.insert(out.begin() + 1, grouped(r.policy_errors));
  if (extra.unfinished) out.insert(out.begin() + 1, grouped(r.unfinished));
  return out;
}

constexpr std::string_view kTerms =
    "\nCOLD: calls given to a pod that was still starting. FUNCTIONS' COLD: the share of a"
    "\n  function's calls that were cold; half, 75 and 99 % of the functions have no more. WAIT:"
    "\n  from a call's arrival to the start of its execution. SLOWDOWN: (wait + execution) /"
    "\n  execution, 1 is perfect; p99 of each function, geometric mean. GB-HOURS: memory held by"
    "\n  functions' pods; WASTED: the part during which no call ran in the pod.\n";

constexpr std::string_view kProblemTerms =
    "UNFINISHED: calls that had not ended an hour after the trace; they are in no wait and no"
    "\n  slowdown. FAILED: decisions that the policy failed to make. The other figures of a"
    "\n  policy with either cannot be compared.\n";

nlohmann::ordered_json json_of(const Report& r) {
  const ColdShares cold = cold_shares(r);
  const auto percentiles = [](const Histogram& h) {
    return nlohmann::ordered_json{{"p50", h.percentile(0.5)},
                                  {"p75", h.percentile(0.75)},
                                  {"p99", h.percentile(0.99)},
                                  {"max", h.max()},
                                  {"mean", h.mean()}};
  };
  nlohmann::ordered_json out{
      {"policy", r.policy},
      {"problems", problems(r)},
      {"calls", r.calls},
      {"unfinished", r.unfinished},
      {"cold", r.cold},
      {"cold_share", r.cold_share()},
      {"functions_cold_share", {{"p50", cold.p50}, {"p75", cold.p75}, {"p99", cold.p99}}},
      {"wait_s", percentiles(r.waits)},
      {"cold_wait_s", percentiles(r.cold_waits)},
      {"slowdown_geomean_p99", r.slowdown_geomean_p99},
      {"memory_held_gb_h", held_gb_h(r)},
      {"memory_used_gb_h", r.busy_mb_s / kGbHours},
      {"memory_wasted_share", r.waste()},
      {"pods_started", r.pods_started},
      {"peak_pods", r.peak_pods},
      {"peak_starts_per_s", r.peak_starts_per_s},
      {"node_h", r.node_s / 3600},
      {"peak_nodes", r.peak_nodes},
      {"policy_errors", r.policy_errors},
      {"first_policy_error", r.first_policy_error}};
  auto bins = nlohmann::ordered_json::array();
  for (const TimelineBin& bin : r.timeline) {
    bins.push_back({{"from_s", bin.from_s},
                    {"length_s", bin.length_s},
                    {"calls", bin.calls},
                    {"pods", bin.pods},
                    {"nodes", bin.nodes},
                    {"wait_p99_s", bin.wait_p99}});
  }
  out["timeline"] = std::move(bins);
  return out;
}

}  // namespace

ColdShares cold_shares(const Report& report) {
  std::vector<double> shares;
  for (const FunctionReport& f : report.by_function) {
    if (f.calls > 0) shares.push_back(static_cast<double>(f.cold) / f.calls);
  }
  if (shares.empty()) return {};
  std::sort(shares.begin(), shares.end());
  const auto at = [&shares](double p) {  // the smallest that a share p does not exceed
    const double rank = std::ceil(p * static_cast<double>(shares.size()));
    return shares[static_cast<size_t>(std::max(1.0, rank)) - 1];
  };
  return {.p50 = at(0.5), .p75 = at(0.75), .p99 = at(0.99)};
}

Result<Comparison> compare(const CompareOptions& options, const PolicyTable& policies) {
  RunOptions run = options.run;
  std::vector<PolicyChoice> choices;
  std::set<std::string> seen;
  if (options.policies.empty()) return fail(Errc::kInvalid, "there is no policy to simulate");
  for (const std::string& text : options.policies) {
    if (!seen.insert(text).second) {
      return fail(Errc::kInvalid, "the policy {} comes twice", text);
    }
    auto choice = choice_of(text, run, policies);
    if (!choice) return fail(choice.error());
    choices.push_back(*std::move(choice));
  }
  auto node_policy = parse_node_policy(run.node_policy);
  if (!node_policy) return fail(node_policy.error());
  auto trace = open_trace(run.trace, run.reading);
  if (!trace) return fail(trace.error());
  if (options.node_memory_mb > 0) {
    const auto slots = slots_for(options.node_memory_mb, *trace);
    if (!slots) return fail(slots.error());
    if (!run.cluster) run.cluster.emplace();
    run.cluster->slots = *slots;
    run.cluster->pool = std::min(run.cluster->pool, *slots);
  }
  Comparison out;
  out.trace = run.trace.path;
  out.skipped = trace->skipped;
  out.start = run.start;
  out.concurrency = run.concurrency;
  out.begin = run.begin ? run.begin : trace->begin;
  const Duration until = run.arrivals.until;
  out.length_s = std::chrono::duration<double>(until > Duration(0) ? std::min(until, trace->length)
                                                                   : trace->length)
                     .count();
  if (run.cluster) {
    run.cluster->node_policy = *std::move(node_policy);
    out.node_policy = run.node_policy;
    out.slots = run.cluster->slots;
    out.min_nodes = run.cluster->min_nodes;
    out.max_nodes = run.cluster->max_nodes;
    out.pool = run.cluster->pool;
    out.pod_create = run.cluster->pod_create;
    out.node_boot = run.cluster->node_boot;
  }
  out.spread = run.arrivals.spread;
  out.per_minute = !trace->minutes.empty();
  if (trace->durations_assumed) out.assumed_ms = run.reading.mean_ms;
  if (trace->memory_assumed) out.assumed_mb = run.reading.memory_mb;
  const auto start = StartTime::parse(run.start);
  if (!start) return fail(start.error());
  out.by_chance = out.per_minute || start->kind != StartTime::Kind::kConstant;
  for (PolicyChoice& choice : choices) {
    const std::string label = choice.name;
    std::function<void(double)> progress;
    if (options.progress) {
      progress = [&options, &label](double share) { options.progress(label, share); };
    }
    auto report = run_policy(*trace, run, std::move(choice), std::move(progress));
    if (!report) return fail(report.error());
    out.reports.push_back(*std::move(report));
  }
  return out;
}

double held_gb_h(const Report& report) { return report.held_mb_s / kGbHours; }

std::string amount_text(double value) {
  constexpr double kWhole = 1000;  // from here on without a fraction
  if (value >= kWhole) return grouped(static_cast<uint64_t>(std::llround(value)));
  return value >= 10 ? fmt::format("{:.1f}", value) : fmt::format("{:.3g}", value);
}

std::string grouped(uint64_t number) {
  std::string out = std::to_string(number);
  constexpr size_t kGroup = 3;
  for (size_t at = out.size(); at > kGroup;) out.insert(at -= kGroup, 1, ',');
  return out;
}

std::string time_text(double seconds) {
  if (seconds < 1e-6) return "0";
  constexpr double kRounded = 0.9995;  // from here on three digits say a second
  if (seconds < kRounded) return fmt::format("{:.3g}ms", seconds * 1000);
  constexpr double kWhole = 100;  // from here on without a fraction
  if (seconds < kWhole) return fmt::format("{:.3g}s", seconds);
  return grouped(static_cast<uint64_t>(std::llround(seconds))) + "s";
}

std::vector<std::string> summary(const Comparison& comparison) {
  const Report& first = comparison.reports.front();
  constexpr double kHour = 3600;
  constexpr double kMinute = 60;
  const double length = comparison.length_s;
  std::vector<std::string> out;
  out.push_back(fmt::format("{} of {} in {}{}", counted(first.calls, "call"),
                            counted(first.functions_called, "function"),
                            length >= kHour     ? amount_text(length / kHour) + " h"
                            : length >= kMinute ? fmt::format("{:.3g} min", length / kMinute)
                                                : fmt::format("{:.3g} s", length),
                            comparison.begin ? " from " + api::to_rfc3339(*comparison.begin) : ""));
  std::string how = fmt::format("cold start {}, ", comparison.start);
  how += comparison.concurrency == 0 ? std::string("no limit of calls in a pod")
         : comparison.concurrency == 1
             ? std::string("one call in a pod at a time")
             : fmt::format("{} calls in a pod at a time", comparison.concurrency);
  if (comparison.slots == 0) how += ", room for every pod";
  out.push_back(std::move(how));
  if (comparison.slots > 0) out.push_back(nodes_line(comparison));
  std::string chance;
  if (comparison.per_minute) {
    chance = fmt::format("spread of a minute's calls: {}; ", to_string(comparison.spread));
  }
  if (comparison.by_chance) out.push_back(chance + fmt::format("seed {}", first.seed));
  std::string assumed;
  if (comparison.assumed_ms) assumed = fmt::format("{:g} ms a call", *comparison.assumed_ms);
  if (comparison.assumed_mb) {
    assumed +=
        fmt::format("{}{:g} MiB a pod", assumed.empty() ? "" : " and ", *comparison.assumed_mb);
  }
  if (!assumed.empty()) out.push_back("the trace does not say, so it is assumed: " + assumed);
  if (comparison.skipped.rows > 0) {
    out.push_back(fmt::format("{} of the trace {} wrong and left out, the first at {}",
                              counted(comparison.skipped.rows, "row"),
                              comparison.skipped.rows == 1 ? "was" : "were",
                              comparison.skipped.first));
  }
  return out;
}

std::vector<std::string> problems(const Report& r) {
  std::vector<std::string> out;
  if (r.unfinished > 0) {
    out.push_back(
        fmt::format("{} had not ended an hour after the trace", counted(r.unfinished, "call")));
  }
  if (r.policy_errors > 0) {
    out.push_back(fmt::format("{} failed, the first: {}", counted(r.policy_errors, "decision"),
                              r.first_policy_error));
  }
  return out;
}

bool comparable(const Report& report) {
  return report.unfinished == 0 && report.policy_errors == 0;
}

std::vector<std::string> remarks(const Comparison& comparison) {
  std::vector<std::string> out;
  for (const Report& report : comparison.reports) {
    for (const std::string& problem : problems(report)) {
      out.push_back(report.policy + ": " + problem);
    }
  }
  return out;
}

std::string to_table(const Comparison& comparison) {
  std::string out = comparison.trace + ": ";
  for (const std::string& line : summary(comparison)) out += line + "\n";
  const Extra extra(comparison);
  std::vector<Row> rows{titles(extra)};
  for (const Report& report : comparison.reports) rows.push_back(row_of(report, extra));
  out += "\n" + aligned(rows);
  for (const std::string& line : remarks(comparison)) out += line + "\n";
  out += kTerms;
  if (extra.unfinished || extra.failed) out += kProblemTerms;
  return out;
}

std::string to_json(const Comparison& comparison) {
  nlohmann::ordered_json out{
      {"trace", comparison.trace},
      {"start", comparison.start},
      {"concurrency", comparison.concurrency},
      {"slots", comparison.slots},
      {"min_nodes", comparison.min_nodes},
      {"max_nodes", comparison.max_nodes},
      {"pool", comparison.pool},
      {"pod_create_s", to_seconds(comparison.pod_create)},
      {"node_boot_s", to_seconds(comparison.node_boot)},
      {"spread", to_string(comparison.spread)},
      {"node_policy", comparison.node_policy},
      {"assumed_ms", comparison.assumed_ms ? nlohmann::ordered_json(*comparison.assumed_ms)
                                           : nlohmann::ordered_json()},
      {"assumed_mb", comparison.assumed_mb ? nlohmann::ordered_json(*comparison.assumed_mb)
                                           : nlohmann::ordered_json()},
      {"length_s", comparison.length_s},
      {"begin", comparison.begin ? nlohmann::ordered_json(api::to_rfc3339(*comparison.begin))
                                 : nlohmann::ordered_json()},
      {"skipped_rows", comparison.skipped.rows},
      {"first_skipped", comparison.skipped.first},
      {"seed", comparison.reports.front().seed},
      {"functions", comparison.reports.front().functions},
      {"functions_called", comparison.reports.front().functions_called}};
  auto list = nlohmann::ordered_json::array();
  for (const Report& report : comparison.reports) list.push_back(json_of(report));
  out["policies"] = std::move(list);
  return out.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace ebb::sim
