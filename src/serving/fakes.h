// For tests: what a throttler and a gateway talk to, and which does nothing, or counts.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "scheduling/scale_target.h"
#include "serving/activator.h"

namespace ebb::serving {

struct NoSource : scheduling::PodSource {
  void subscribe(std::shared_ptr<const scheduling::PodTemplate> /*revision*/,
                 std::shared_ptr<scheduling::PodListener> /*listener*/) override {}
  void unsubscribe(const std::string& /*revision*/) override {}
  void pod_drained(const std::string& /*pod*/) override {}
};

struct NoWaker final : Waker {
  void wake(const std::string& /*revision*/) override {}
  void crowded(const std::string& /*revision*/) override {}
};

struct CountingWaker final : Waker {
  void wake(const std::string& /*revision*/) override { ++wakes; }
  void crowded(const std::string& /*revision*/) override { ++crowds; }
  std::atomic<int> wakes{0};
  std::atomic<int> crowds{0};
};

}  // namespace ebb::serving
