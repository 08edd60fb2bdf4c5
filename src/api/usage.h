// What pods and nodes use, in the shape of metrics.k8s.io/v1beta1: what `kubectl top`
// and clients of the metrics server read. Live, never stored. Plain values.
#pragma once

#include <cstdint>
#include <string>

#include "api/object.h"
#include "base/clock.h"

namespace ebb::api {

struct Usage {
  int64_t cpu_nanocores = 0;
  int64_t memory_bytes = 0;
  friend bool operator==(const Usage&, const Usage&) = default;
};

// The one container of a pod, over `window` up to `timestamp`.
struct PodMetrics {
  ObjectMeta meta;
  std::string timestamp;  // RFC 3339
  Duration window{};
  Usage usage;

  static const Kind& kind();
  [[nodiscard]] Json to_json() const;
  friend bool operator==(const PodMetrics&, const PodMetrics&) = default;
};

struct NodeMetrics {
  ObjectMeta meta;
  std::string timestamp;
  Duration window{};
  Usage usage;

  static const Kind& kind();
  [[nodiscard]] Json to_json() const;
  friend bool operator==(const NodeMetrics&, const NodeMetrics&) = default;
};

}  // namespace ebb::api
