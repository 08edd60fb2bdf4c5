#include "apiserver/live_view.h"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "api/autoscaling.h"
#include "api/defaults.h"
#include "api/event.h"
#include "api/pod_autoscaler.h"
#include "api/types.h"
#include "control/conditions.h"

namespace ebb::apiserver {
namespace {

using scheduling::PodState;

api::Pod to_pod(const control::PodStatus& status) {
  const auto& view = status.view;
  api::Pod pod;
  pod.meta.name = view.ref.pod;
  pod.meta.uid = view.ref.pod;  // ids are never used again
  pod.meta.ns = status.what ? status.what->ns : std::string(api::kDefaultNamespace);
  pod.meta.creation_timestamp = api::to_rfc3339(status.since);
  pod.meta.labels[std::string(api::kStateLabel)] = scheduling::to_string(view.state);
  pod.meta.labels["ebb.dev/runtime"] = view.runtime;
  if (status.what) {
    pod.meta.labels[std::string(api::kRevisionLabel)] = status.what->name;
    pod.meta.labels[std::string(api::kServiceLabel)] = status.what->service;
  }
  pod.spec.node_name = view.ref.node;
  api::Container container;
  container.name = api::kDefaultContainerName;
  container.image = std::string(api::kRuntimeImagePrefix) + view.runtime;
  pod.spec.containers.push_back(std::move(container));
  pod.status.phase = "Running";
  pod.status.reason = scheduling::to_string(view.state);
  pod.status.start_time = pod.meta.creation_timestamp;
  pod.status.ready = view.state == PodState::kCold || status.ready;
  return pod;
}

api::Usage to_usage(const control::ResourceUse& use) {
  constexpr double kNanos = 1e9;
  return {.cpu_nanocores = std::llround(use.cores * kNanos),
          .memory_bytes = static_cast<int64_t>(use.memory_bytes)};
}

// With the number of its newest change as its version.
template <class T>
api::Json numbered(T object, int64_t changed) {
  object.meta.resource_version = std::to_string(changed);
  return object.to_json();
}

api::Json to_json(const control::EventRecorder::Numbered& one) {
  return numbered(one.event, one.changed);
}

// Active as of Knative; ScalingActive, whether the policy can decide, as of a
// HorizontalPodAutoscaler.
std::vector<api::Condition> conditions_of(const control::ScaleStatus& status) {
  std::vector<api::Condition> out;
  const WallTime decided = std::max(status.decided_at, status.added_at);
  control::Conditions active(out, decided);
  if (status.desired == 0) {
    active.mark_false("Active", "NoTraffic", "nobody calls it, and nothing keeps a pod");
  } else if (status.ready == 0) {
    active.mark_unknown("Active", "Queued", "requests wait for its pods to start");
  } else {
    active.mark_true("Active");
  }
  control::Conditions working(out, status.error_since);
  if (status.error.empty()) {
    working.mark_true("ScalingActive");
  } else {
    working.mark_false("ScalingActive", "PolicyFailed", status.error);
  }
  control::Conditions(out, std::max(decided, status.error_since))
      .summarize({"ScalingActive", "Active"});
  return out;
}

api::Json to_json(const control::ScaleStatus& status) {
  api::PodAutoscaler scaler;
  scaler.meta.name = status.pod->name;
  scaler.meta.ns = status.pod->ns;
  scaler.meta.uid = status.pod->revision;  // there is one for each revision
  scaler.meta.creation_timestamp = api::to_rfc3339(status.added_at);
  auto& labels = scaler.meta.labels;
  labels[std::string(api::kRevisionLabel)] = status.pod->name;
  if (!status.pod->service.empty()) {
    labels[std::string(api::kServiceLabel)] = status.pod->service;
  }
  if (!status.pod->configuration.empty()) {
    labels[std::string(api::kConfigurationLabel)] = status.pod->configuration;
  }
  scaler.meta.annotations = status.policy->annotations;
  scaler.container_concurrency = status.pod->concurrency;
  scaler.reachable = status.reachable;
  scaler.status = {.desired_scale = status.desired,
                   .actual_scale = status.ready,
                   .starting = status.starting,
                   .in_flight = status.in_flight,
                   .waiting = status.waiting,
                   .concurrency = status.concurrency,
                   .requests_per_second = status.requests,
                   .panic = status.panic,
                   .scaling_class = std::string(scaling::to_string(status.policy->policy)),
                   .reason = status.reason,
                   .error = status.error,
                   .start_seconds = std::chrono::duration<double>(status.start_time).count(),
                   .decided_at = {},
                   .conditions = conditions_of(status)};
  if (status.decided_at != WallTime{}) {
    scaler.status.decided_at = api::to_rfc3339(status.decided_at);
  }
  const bool at_rest = status.desired == 0 && !status.error.empty();
  if (at_rest) scaler.status.reason = "the policy failed: " + status.error;
  return numbered(std::move(scaler), status.changed);
}

// What became of `changed` for somebody who has seen all up to `position`.
template <class T>
void append(const std::vector<T>& changed, const std::string& ns, int64_t* position,
            std::vector<resources::ResourceEvent>* out) {
  using Type = resources::ResourceEvent::Type;
  const int64_t before = *position;
  for (const auto& one : changed) {
    *position = std::max(*position, one.changed);
    api::Json object = to_json(one);
    if (!ns.empty() && object["metadata"].value("namespace", "") != ns) continue;
    const Type type = one.gone            ? Type::kDeleted
                      : one.made > before ? Type::kAdded
                                          : Type::kModified;
    out->push_back({type, std::move(object)});
  }
}

}  // namespace

std::optional<api::Json> EventSource::find(const resources::ObjectKey& key) const {
  for (const auto& one : events_.list()) {
    if (one.event.meta.name == key.name && one.event.meta.ns == key.ns) return to_json(one);
  }
  return std::nullopt;
}

std::vector<api::Json> EventSource::list(const std::string& ns) const {
  std::vector<api::Json> out;
  for (const auto& one : events_.list()) {
    if (ns.empty() || one.event.meta.ns == ns) out.push_back(to_json(one));
  }
  return out;
}

bool EventSource::changes(const std::string& ns, int64_t* position,
                          std::vector<resources::ResourceEvent>* out) const {
  std::vector<control::EventRecorder::Numbered> changed;
  if (!events_.changes(*position, &changed)) return false;
  append(changed, ns, position, out);
  return true;
}

std::optional<api::Json> AutoscalerSource::find(const resources::ObjectKey& key) const {
  const auto status = autoscaler_.find(key);
  if (!status) return std::nullopt;
  return to_json(*status);
}

std::vector<api::Json> AutoscalerSource::list(const std::string& ns) const {
  std::vector<api::Json> out;
  for (const auto& status : autoscaler_.list()) {
    if (ns.empty() || status.pod->ns == ns) out.push_back(to_json(status));
  }
  return out;
}

bool AutoscalerSource::changes(const std::string& ns, int64_t* position,
                               std::vector<resources::ResourceEvent>* out) const {
  std::vector<control::ScaleStatus> changed;
  if (!autoscaler_.changes(*position, &changed)) return false;
  append(changed, ns, position, out);
  return true;
}

LiveView::LiveView(Uses uses, std::string version)
    : scheduler_(uses.scheduler),
      metrics_(uses.metrics),
      events_(uses.events),
      autoscalers_(uses.autoscaler),
      version_(std::move(version)),
      started_(api::to_rfc3339(uses.clock.wall())) {}

std::vector<api::Pod> LiveView::pods() {
  std::vector<api::Pod> out;
  for (const auto& status : scheduler_.pods()) out.push_back(to_pod(status));
  return out;
}

std::vector<api::Node> LiveView::nodes() {
  std::vector<api::Node> out;
  for (const auto& view : scheduler_.nodes()) {
    api::Node node;
    node.meta.name = view.name;
    node.meta.uid = view.name;
    node.meta.creation_timestamp = started_;
    node.meta.labels[std::string(api::kStateLabel)] = scheduling::to_string(view.state);
    node.meta.annotations["ebb.dev/cold-pods"] = std::to_string(view.cold);
    node.meta.annotations["ebb.dev/warm-pods"] = std::to_string(view.warm);
    node.meta.annotations["ebb.dev/draining-pods"] = std::to_string(view.draining);
    node.spec.unschedulable = view.state == scheduling::NodeState::kDraining;
    node.status.capacity["pods"] = std::to_string(view.slots);
    node.status.allocatable["pods"] = std::to_string(view.slots);
    if (const auto size = metrics_.size_of(view.name)) {
      for (auto* amounts : {&node.status.capacity, &node.status.allocatable}) {
        (*amounts)["cpu"] = std::to_string(size->cores);
        (*amounts)["memory"] = fmt::format("{}Ki", size->memory_bytes >> 10);
      }
    }
    node.status.conditions.push_back({.type = "Ready",
                                      .status = api::Condition::Status::kTrue,
                                      .reason = "LocalControllerReady",
                                      .message = "the Local Controller answers",
                                      .last_transition_time = started_});
    // As Kubernetes names it; said only where there is something to say.
    if (const std::string problem = scheduler_.network_problem(view.name); !problem.empty()) {
      node.status.conditions.push_back({.type = "NetworkUnavailable",
                                        .status = api::Condition::Status::kTrue,
                                        .reason = "PodNetworkFailed",
                                        .message = "pods reach only themselves: " + problem,
                                        .last_transition_time = started_});
    }
    node.status.version = version_;
    out.push_back(std::move(node));
  }
  return out;
}

std::vector<api::PodMetrics> LiveView::pod_metrics() {
  std::map<std::string, control::PodUse> used;
  for (auto& use : metrics_.pods()) used.emplace(use.pod, std::move(use));
  std::vector<api::PodMetrics> out;
  if (used.empty()) return out;
  for (const auto& status : scheduler_.pods()) {
    const auto found = used.find(status.view.ref.pod);
    if (found == used.end() || !status.what) continue;
    api::Pod pod = to_pod(status);
    const control::ResourceUse& use = found->second.use;
    api::PodMetrics metrics;
    metrics.meta.name = pod.meta.name;
    metrics.meta.ns = pod.meta.ns;
    metrics.meta.labels = std::move(pod.meta.labels);
    metrics.meta.creation_timestamp = metrics.timestamp = api::to_rfc3339(use.at);
    metrics.window = use.window;
    metrics.usage = to_usage(use);
    out.push_back(std::move(metrics));
  }
  return out;
}

std::vector<api::NodeMetrics> LiveView::node_metrics() {
  std::vector<api::NodeMetrics> out;
  for (const auto& node : metrics_.nodes()) {
    api::NodeMetrics metrics;
    metrics.meta.name = node.node;
    metrics.meta.creation_timestamp = metrics.timestamp = api::to_rfc3339(node.use.at);
    metrics.window = node.use.window;
    metrics.usage = to_usage(node.use);
    out.push_back(std::move(metrics));
  }
  return out;
}

}  // namespace ebb::apiserver
