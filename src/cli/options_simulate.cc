// The command line of `ebb simulate`.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <limits>

#include "api/quantity.h"
#include "cli/command_line.h"
#include "cli/flags.h"
#include "cli/runtimes.h"
#include "sim/compare.h"
#include "sim/start_time.h"
#include "sim/trace_calls.h"

namespace ebb::cli {

namespace {

constexpr double kMiB = 1024.0 * 1024;

class SimulateLine final : public CommandLine {
 public:
  const CLI::App* define(CLI::App& app) override {
    auto* simulate =
        app.add_subcommand("simulate", "Replay a trace through policies, side by side");
    simulate
        ->add_option("TRACE", trace_, "file of calls, - for standard input: see docs/simulator.md")
        ->required();
    flag(simulate, "--policy", policies_,
         "kpa, adaptive, average, hpa, fixed:10m, hybrid, greedy-dual or FILE.lua, with settings "
         "behind it: adaptive,window=30s. Given again for each one to compare with (default: kpa, "
         "adaptive, fixed:10m and hybrid)")
        ->type_name("POLICY");
    flag(simulate, "--cold-start", cold_start_,
         "time of a pod's start: 1s, p50:300ms,p99:2s (more percentiles if known) or "
         "exponential:1s; a runtime may be named before it: python=1ms (default 300ms)");
    flag(simulate, "--concurrency", concurrency_,
         "requests in a pod at a time, 0 for no limit (default 1)")
        ->check(CLI::Range(0, sim::kMostConcurrency));
    flag(simulate, "--nodes", nodes_, "nodes at most (default: room for every pod)")
        ->check(CLI::Range(1, sim::kMostNodes));
    flag(simulate, "--min-nodes", min_nodes_, "nodes at least (default 1)");
    flag(simulate, "--node-policy", node_policy_,
         "what decides how many nodes there are: pool (a buffer, learned from what is asked for "
         "while a node boots), average, kpa, adaptive or FILE.lua, with settings behind it: "
         "average,target=0.8 (default: pool)")
        ->type_name("POLICY");
    flag(simulate, "--node-memory", node_memory_,
         "memory of a node, as in 16Gi; says how many pods fit");
    flag(simulate, "--node-slots", node_slots_, "pods that fit on a node (default 64)")
        ->check(CLI::Range(1, sim::kMostSlots));
    flag(simulate, "--pool", pool_, "cold pods that a node keeps (default 8)")
        ->check(CLI::Range(0, sim::kMostSlots));
    flag(simulate, "--pod-create", pod_create_,
         "time to make a cold pod, one after the other on a node (default 3ms)");
    flag(simulate, "--node-boot", node_boot_, "time until a node is there (default 60s)");
    flag(simulate, "--spread", spread_,
         "how the calls of a minute fall in it, where only their number is known: equidistant "
         "(default), aligned, uniform, exponential or start")
        ->check(CLI::IsMember(sim::spread_names()));
    flag(simulate, "--seed", seed_, "of what is drawn by chance (default 1)")
        ->check(CLI::Range(0, std::numeric_limits<int>::max()));
    flag(simulate, "--begin", begin_,
         "date of the trace's beginning, for schedules, as in 2026-11-23T08:00:00Z (default: as "
         "the trace tells, else a Monday at 00:00 UTC)");
    flag(simulate, "--until", until_, "only the first part of the trace, as in 2h");
    toggle(simulate, "--lenient", lenient_,
           "leave wrong rows of the trace out, and say how many there were");
    flag(simulate, "-o,--output", output_, "table (default), json, or html: a page with plots")
        ->check(CLI::IsMember({"table", "json", "html"}));
    example(
        simulate,
        "  ebb simulate calls.csv --policy kpa --policy adaptive,window=30s --policy fixed:10m\n"
        "  ebb simulate 400_inv.csv --cold-start p50:300ms,p99:2s --nodes 20 --node-memory "
        "16Gi -o html > policies.html\n"
        "The policies are those that run in production. Needs no running Ebb.");
    return simulate;
  }

  [[nodiscard]] Result<Command> command(const ConnectionOptions& /*connection*/) const override {
    SimulateOptions to;
    sim::CompareOptions compare;
    sim::RunOptions& run = compare.run;
    run.trace.path = trace_ == "-" ? "/dev/stdin" : trace_;
    compare.policies = policies_;
    if (policies_.empty()) compare.policies = {"kpa", "adaptive", "fixed:10m", "hybrid"};
    run.concurrency = concurrency_;
    run.arrivals.seed = static_cast<uint64_t>(seed_);
    run.arrivals.spread = sim::spread(spread_).value_or(run.arrivals.spread);
    // A runtime's name before the time is for the reader.
    if (const size_t equals = cold_start_.find('='); equals != std::string::npos) {
      if (const auto known = check_shipped_runtime(cold_start_.substr(0, equals)); !known) {
        return fail(Errc::kInvalid, "--cold-start: {}", known.error().message);
      }
    }
    run.start = cold_start_.substr(cold_start_.find('=') + 1);
    if (const auto start = sim::StartTime::parse(run.start); !start) {
      return fail(Errc::kInvalid, "--cold-start: {}", start.error().message);
    }
    if (!begin_.empty()) {
      const auto begin = sim::parse_date(begin_);
      if (!begin) {
        return fail(Errc::kInvalid, "--begin: \"{}\" must be a date such as 2026-11-23T08:00:00Z",
                    begin_);
      }
      run.begin = *begin;
    }
    if (auto ok = time(until_, "--until", run.arrivals.until); !ok) return fail(ok.error());
    if (!until_.empty() && run.arrivals.until <= Duration(0)) {
      return fail(Errc::kInvalid, "--until must be above 0");
    }
    if (auto ok = nodes(compare); !ok) return fail(ok.error());
    run.reading.lenient = lenient_;
    if (output_ == "json") to.output = SimulateOptions::Output::kJson;
    if (output_ == "html") to.output = SimulateOptions::Output::kHtml;
    to.compare = std::make_shared<const sim::CompareOptions>(std::move(compare));
    return Command(std::move(to));
  }

 private:
  // Leaves `out` where nothing is given.
  static Result<void> time(const std::string& text, const char* option, Duration& out) {
    if (text.empty()) return {};
    const auto parsed = sim::parse_duration(text);
    if (!parsed) return fail(Errc::kInvalid, "{}: {}", option, parsed.error().message);
    out = *parsed;
    return {};
  }

  [[nodiscard]] Result<void> nodes(sim::CompareOptions& to) const {
    const bool sized = node_slots_ || min_nodes_ || !node_memory_.empty() || pool_ ||
                       !pod_create_.empty() || !node_boot_.empty() || node_policy_ != "pool";
    if (!nodes_ && !sized) return {};
    if (!nodes_) return fail(Errc::kInvalid, "--nodes must say how many nodes there are at most");
    if (node_slots_ && !node_memory_.empty()) {
      return fail(Errc::kInvalid, "--node-memory and --node-slots exclude each other");
    }
    sim::ClusterOptions& cluster = to.run.cluster.emplace();
    cluster.max_nodes = *nodes_;
    cluster.min_nodes = min_nodes_.value_or(1);
    if (cluster.min_nodes < 0 || cluster.min_nodes > cluster.max_nodes) {
      return fail(Errc::kInvalid, "--min-nodes must be 0 to --nodes, {}", cluster.max_nodes);
    }
    to.run.node_policy = node_policy_;
    if (node_slots_) cluster.slots = *node_slots_;
    cluster.pool = pool_.value_or(std::min(cluster.pool, cluster.slots));
    if (cluster.pool > cluster.slots && node_memory_.empty()) {
      return fail(Errc::kInvalid, "--pool must be 0 to --node-slots, {}", cluster.slots);
    }
    if (auto ok = time(pod_create_, "--pod-create", cluster.pod_create); !ok) return ok;
    if (auto ok = time(node_boot_, "--node-boot", cluster.node_boot); !ok) return ok;
    if (node_memory_.empty()) return {};
    const auto bytes = api::parse_bytes(node_memory_);
    if (!bytes || *bytes == 0) {
      return fail(Errc::kInvalid, "--node-memory: \"{}\" must be a quantity such as 16Gi",
                  node_memory_);
    }
    to.node_memory_mb = static_cast<double>(*bytes) / kMiB;
    return {};
  }

  std::string trace_;
  std::vector<std::string> policies_;
  std::string cold_start_ = "300ms";
  int concurrency_ = 1;
  std::optional<int> nodes_;
  std::optional<int> min_nodes_;
  std::optional<int> node_slots_;
  std::optional<int> pool_;
  std::string pod_create_;
  std::string node_boot_;
  std::string node_policy_ = "pool";
  std::string node_memory_;
  std::string spread_ = "equidistant";
  int seed_ = 1;
  std::string begin_;
  std::string until_;
  bool lenient_ = false;
  std::string output_ = "table";
};

}  // namespace

void add_simulate_line(CommandLines& lines) { lines.push_back(std::make_unique<SimulateLine>()); }

}  // namespace ebb::cli
