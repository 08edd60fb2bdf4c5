// What runs now, as Scheduler and AutoScaler know it, in the shape of Kubernetes objects.
#pragma once

#include <string>
#include <vector>

#include "apiserver/live_client.h"
#include "base/clock.h"
#include "control/autoscaler.h"
#include "control/event_recorder.h"
#include "control/pod_metrics.h"
#include "control/scheduler.h"

namespace ebb::apiserver {

// The events that were recorded.
class EventSource final : public LiveSource {
 public:
  explicit EventSource(const control::EventRecorder& events) : events_(events) {}
  [[nodiscard]] int64_t version() const override { return events_.version(); }
  [[nodiscard]] std::optional<api::Json> find(const resources::ObjectKey& key) const override;
  [[nodiscard]] std::vector<api::Json> list(const std::string& ns) const override;
  bool changes(const std::string& ns, int64_t* position,
               std::vector<resources::ResourceEvent>* out) const override;

 private:
  const control::EventRecorder& events_;
};

// What the AutoScaler decided for each revision.
class AutoscalerSource final : public LiveSource {
 public:
  explicit AutoscalerSource(const control::AutoScaler& autoscaler) : autoscaler_(autoscaler) {}
  [[nodiscard]] int64_t version() const override { return autoscaler_.version(); }
  [[nodiscard]] std::optional<api::Json> find(const resources::ObjectKey& key) const override;
  [[nodiscard]] std::vector<api::Json> list(const std::string& ns) const override;
  bool changes(const std::string& ns, int64_t* position,
               std::vector<resources::ResourceEvent>* out) const override;

 private:
  const control::AutoScaler& autoscaler_;
};

class LiveView final : public LiveObjects {
 public:
  struct Uses {
    const control::Scheduler& scheduler;
    const control::AutoScaler& autoscaler;
    const control::EventRecorder& events;
    const control::PodMetrics& metrics;
    const Clock& clock;
  };
  // `version` is shown as that of the nodes' Local Controllers.
  LiveView(Uses uses, std::string version);

  // Cold pods, which belong to no function yet, are shown in the default namespace.
  [[nodiscard]] std::vector<api::Pod> pods() override;
  [[nodiscard]] std::vector<api::Node> nodes() override;
  [[nodiscard]] std::vector<api::PodMetrics> pod_metrics() override;
  [[nodiscard]] std::vector<api::NodeMetrics> node_metrics() override;
  [[nodiscard]] LiveSource* events() override { return &events_; }
  [[nodiscard]] LiveSource* autoscalers() override { return &autoscalers_; }

 private:
  const control::Scheduler& scheduler_;
  const control::PodMetrics& metrics_;
  EventSource events_;
  AutoscalerSource autoscalers_;
  std::string version_;
  std::string started_;  // RFC 3339
};

}  // namespace ebb::apiserver
