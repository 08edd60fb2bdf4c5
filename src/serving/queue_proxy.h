// Every pod's door: its address, and how many requests are inside.
//
// The counts belong to the Throttler of the pod's revision and are guarded by its
// mutex.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/address.h"
#include "net/one_shot.h"
#include "scheduling/scale_target.h"

namespace ebb::serving {

class Throttler;

class QueueProxy final {
 public:
  QueueProxy(std::string pod, net::Address address)
      : pod_(std::move(pod)), address_(std::move(address)) {}

  [[nodiscard]] const std::string& pod() const { return pod_; }
  [[nodiscard]] const net::Address& address() const { return address_; }

 private:
  friend class Throttler;
  using ExitShot = net::OneShot<scheduling::PodExit>;

  std::string pod_;
  net::Address address_;
  // Guarded by the throttler's mutex:
  int in_flight_ = 0;
  bool ready_ = false;
  bool draining_ = false;
  std::optional<scheduling::PodExit> exit_;
  std::vector<ExitShot::Sender> exit_waiters_;
};

}  // namespace ebb::serving
