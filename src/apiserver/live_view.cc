#include "apiserver/live_view.h"

#include "api/defaults.h"
#include "api/types.h"

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

}  // namespace

LiveView::LiveView(const control::Scheduler& scheduler, const Clock& clock, std::string version)
    : scheduler_(scheduler),
      version_(std::move(version)),
      started_(api::to_rfc3339(clock.wall())) {}

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
    node.status.conditions.push_back({.type = "Ready",
                                      .status = api::Condition::Status::kTrue,
                                      .reason = "LocalControllerReady",
                                      .message = "the Local Controller answers",
                                      .last_transition_time = started_});
    node.status.version = version_;
    out.push_back(std::move(node));
  }
  return out;
}

}  // namespace ebb::apiserver
