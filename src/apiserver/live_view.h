// What runs now, as the Scheduler knows it, in the shape of Kubernetes objects.
#pragma once

#include <string>
#include <vector>

#include "apiserver/live_client.h"
#include "base/clock.h"
#include "control/scheduler.h"

namespace ebb::apiserver {

class LiveView final : public LiveObjects {
 public:
  // `version` is shown as that of the nodes' Local Controllers.
  LiveView(const control::Scheduler& scheduler, const Clock& clock, std::string version);

  // Cold pods, which belong to no function yet, are shown in the default namespace.
  [[nodiscard]] std::vector<api::Pod> pods() override;
  [[nodiscard]] std::vector<api::Node> nodes() override;

 private:
  const control::Scheduler& scheduler_;
  std::string version_;
  std::string started_;  // RFC 3339
};

}  // namespace ebb::apiserver
