#include "sim/run.h"

namespace ebb::sim {
namespace {

Result<void> check(const RunOptions& options) {
  constexpr uint32_t kMostCopies = 10'000;
  if (options.concurrency < 0 || options.concurrency > kMostConcurrency) {
    return fail(Errc::kInvalid, "concurrency must be 0 (no limit) to {}", kMostConcurrency);
  }
  if (options.copies < 1 || options.copies > kMostCopies) {
    return fail(Errc::kInvalid, "copies must be 1 to {}", kMostCopies);
  }
  if (!options.cluster) return {};
  const ClusterOptions& cluster = *options.cluster;
  if (cluster.max_nodes < 1 || cluster.max_nodes > kMostNodes) {
    return fail(Errc::kInvalid, "nodes must be 1 to {} at most", kMostNodes);
  }
  if (cluster.min_nodes < 0 || cluster.min_nodes > cluster.max_nodes) {
    return fail(Errc::kInvalid, "the least number of nodes must be 0 to the most, {}",
                cluster.max_nodes);
  }
  if (cluster.slots < 1 || cluster.slots > kMostSlots) {
    return fail(Errc::kInvalid, "a node's slots must be 1 to {}", kMostSlots);
  }
  if (cluster.pool < 0 || cluster.pool > cluster.slots) {
    return fail(Errc::kInvalid, "a node's pool must be 0 to its slots, {}", cluster.slots);
  }
  return {};
}

}  // namespace

Result<Report> run_policy(const Trace& trace, const RunOptions& options, PolicyChoice policy,
                          std::function<void(double share)> progress) {
  if (auto ok = check(options); !ok) return fail(ok.error());
  if (policy.eviction && !options.cluster) {
    return fail(Errc::kInvalid,
                "policy {}: say by --nodes and --node-memory (or --node-slots) how much room there "
                "is; without nodes there is room for every pod, and none ever goes",
                policy.name);
  }
  const auto start = StartTime::parse(options.start);
  if (!start) return fail(start.error());
  EngineOptions engine;
  engine.policy = std::move(policy);
  engine.arrivals = options.arrivals;
  engine.concurrency = options.concurrency;
  engine.start = *start;
  engine.cluster = options.cluster;
  engine.begin = options.begin.value_or(trace.begin.value_or(engine.begin));
  engine.progress = std::move(progress);
  return run_engine(trace, engine);
}

Result<Outcome> run(const RunOptions& options, const PolicyTable& policies) {
  if (auto ok = check(options); !ok) return fail(ok.error());
  auto policy = policies.make(options.policy, options.settings, options.concurrency);
  if (!policy) return fail(policy.error());
  auto node_policy = parse_node_policy(options.node_policy);
  if (!node_policy) return fail(node_policy.error());
  if (const auto start = StartTime::parse(options.start); !start) return fail(start.error());
  auto trace = open_trace(options.trace, options.reading);
  if (!trace) return fail(trace.error());
  Outcome out;
  out.trace = options.copies == 1 ? *std::move(trace) : repeated(*trace, options.copies);
  RunOptions chosen = options;
  if (chosen.cluster) chosen.cluster->node_policy = *std::move(node_policy);
  auto report = run_policy(out.trace, chosen, *std::move(policy));
  if (!report) return fail(report.error());
  out.report = *std::move(report);
  return out;
}

}  // namespace ebb::sim
