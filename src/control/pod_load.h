// For tests: pods that use as much of a core as the test says.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "control/pod_metrics.h"

namespace ebb::control {

class PodLoad final {
 public:
  PodLoad(const Clock& clock, PodMetrics& metrics) : clock_(clock), metrics_(metrics) {}

  // Each of the revision's pods has used so much from the last call to this one.
  void use(const std::string& revision, const std::vector<std::string>& pods, double cores) {
    const auto now_ns = static_cast<uint64_t>(clock_.now().time_since_epoch().count());
    cpu_ns_ += static_cast<uint64_t>(cores * static_cast<double>(now_ns - measured_ns_));
    measured_ns_ = now_ns;
    node::PodUsage message;
    for (const auto& pod : pods) {
      message.pods.push_back({.pod = pod,
                              .revision = revision,
                              .ready = 1,
                              .age_ms = 600'000,
                              .state_age_ms = 600'000,
                              .at_ns = now_ns,
                              .cpu_ns = cpu_ns_,
                              .memory_bytes = 1 << 20});
    }
    metrics_.on_message("node", message);
  }

 private:
  const Clock& clock_;
  PodMetrics& metrics_;
  uint64_t measured_ns_ = 0;
  uint64_t cpu_ns_ = 0;
};

}  // namespace ebb::control
