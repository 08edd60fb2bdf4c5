#include "control/scale_metrics.h"

#include <algorithm>
#include <array>
#include <map>

namespace ebb::control {
namespace {

using scheduling::NodeState;
using scheduling::PodState;

void write_pods(serving::Exposition& out, const Scheduler& scheduler) {
  // Zeros too, so that a state that is left is seen to be empty.
  std::map<std::pair<std::string, std::string>, int> pods;
  for (const auto& pod : scheduler.pods()) {
    for (const auto state : {PodState::kCold, PodState::kWarm, PodState::kDraining}) {
      pods[{pod.view.runtime, scheduling::to_string(state)}] += pod.view.state == state ? 1 : 0;
    }
  }
  out.family("ebb_pods", "gauge", "Pods, by runtime and state.");
  for (const auto& [key, count] : pods) {
    out.sample("ebb_pods", {{"runtime", key.first}, {"state", key.second}}, count);
  }
  std::map<std::string, int> nodes;
  for (const auto state : {NodeState::kIdle, NodeState::kOccupied, NodeState::kDraining}) {
    nodes[scheduling::to_string(state)] = 0;
  }
  for (const auto& node : scheduler.nodes()) ++nodes[scheduling::to_string(node.state)];
  out.family("ebb_nodes", "gauge", "Nodes, by state.");
  for (const auto& [state, count] : nodes) out.sample("ebb_nodes", {{"state", state}}, count);
}

struct Gauge {
  const char* name;
  const char* help;
  double (*value)(const ScaleStatus&);
};
constexpr auto kGauges = std::to_array<Gauge>({
    {"ebb_pods_desired", "Pods that the AutoScaler wants.",
     [](const ScaleStatus& s) { return static_cast<double>(s.desired); }},
    {"ebb_pods_ready", "Pods whose code is loaded.",
     [](const ScaleStatus& s) { return static_cast<double>(s.ready); }},
    {"ebb_pods_starting", "Pods that load their code.",
     [](const ScaleStatus& s) { return static_cast<double>(s.starting); }},
    {"ebb_autoscaler_panic", "1 while load outruns the pods.",
     [](const ScaleStatus& s) { return s.panic ? 1.0 : 0.0; }},
    {"ebb_autoscaler_concurrency", "Requests in the system, averaged over the stable window.",
     [](const ScaleStatus& s) { return s.concurrency; }},
});

}  // namespace

void write_metrics(serving::Exposition& out, const Scheduler& scheduler,
                   const AutoScaler& autoscaler) {
  write_pods(out, scheduler);
  out.family("ebb_pods_evicted_total", "counter", "Idle pods ended since memory was short.");
  out.sample("ebb_pods_evicted_total", {}, static_cast<double>(autoscaler.evicted()));
  auto revisions = autoscaler.list();
  std::erase_if(revisions, [](const ScaleStatus& s) {
    return !s.pod || (s.desired == 0 && s.ready == 0 && s.starting == 0 && s.concurrency == 0);
  });
  for (const Gauge& gauge : kGauges) {
    out.family(gauge.name, "gauge", gauge.help);
    for (const auto& status : revisions) {
      out.sample(gauge.name,
                 {{"namespace", status.pod->ns},
                  {"service", status.pod->service},
                  {"revision", status.pod->name}},
                 gauge.value(status));
    }
  }
}

void write_usage(serving::Exposition& out, const Scheduler& scheduler, const PodMetrics& usage) {
  struct Sum {
    std::shared_ptr<const scheduling::PodTemplate> what;
    double cores = 0;
    double memory = 0;
  };
  std::map<std::string, Sum> revisions;  // by uid
  for (const auto& pod : usage.pods()) {
    Sum& sum = revisions[pod.revision];
    sum.cores += pod.use.cores;
    sum.memory += static_cast<double>(pod.use.memory_bytes);
  }
  if (!revisions.empty()) {
    for (const auto& pod : scheduler.pods()) {
      if (!pod.what) continue;
      const auto found = revisions.find(pod.what->revision);
      if (found != revisions.end()) found->second.what = pod.what;
    }
  }
  const auto gauge = [&](const char* name, const char* help, double Sum::* value) {
    out.family(name, "gauge", help);
    for (const auto& [uid, sum] : revisions) {
      if (!sum.what) continue;
      out.sample(name,
                 {{"namespace", sum.what->ns},
                  {"service", sum.what->service},
                  {"revision", sum.what->name}},
                 sum.*value);
    }
  };
  gauge("ebb_revision_cpu_cores", "CPU that the revision's pods use together.", &Sum::cores);
  gauge("ebb_revision_memory_bytes", "Working sets of the revision's pods, summed.", &Sum::memory);

  constexpr double kNanos = 1e9;
  constexpr double kMicros = 1e6;
  const auto nodes = usage.nodes();
  out.family("ebb_node_cpu_seconds_total", "counter", "CPU time that was not idle, of all cores.");
  for (const auto& node : nodes) {
    out.sample("ebb_node_cpu_seconds_total", {{"node", node.node}},
               static_cast<double>(node.cpu_ns) / kNanos);
  }
  out.family("ebb_node_memory_bytes", "gauge", "Memory that is not available.");
  for (const auto& node : nodes) {
    out.sample("ebb_node_memory_bytes", {{"node", node.node}},
               static_cast<double>(node.use.memory_bytes));
  }
  out.family("ebb_node_pressure_seconds_total", "counter",
             "Time in which some or all processes were held up for want of a resource.");
  for (const auto& node : nodes) {
    for (const auto& one : node.pressure) {
      for (const auto& [who, us] :
           {std::pair("some", one.some_us), std::pair("full", one.full_us)}) {
        out.sample("ebb_node_pressure_seconds_total",
                   {{"node", node.node}, {"resource", one.resource}, {"who", who}},
                   static_cast<double>(us) / kMicros);
      }
    }
  }
}

}  // namespace ebb::control
