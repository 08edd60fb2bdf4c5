// What the AutoScaler knows of one revision and decided last, in the shape of Knative's
// internal PodAutoscaler. It has the revision's name. Live, never stored. A plain value.
#pragma once

#include <cstdint>
#include <string>

#include "api/object.h"

namespace ebb::api {

struct PodAutoscaler {
  struct Status {
    int64_t desired_scale = 0;  // pods wanted
    int64_t actual_scale = 0;   // pods that are ready
    int64_t starting = 0;       // pods on the way
    int64_t in_flight = 0;      // requests in pods
    int64_t waiting = 0;        // requests held for want of a slot
    double concurrency = 0;     // average over the stable window
    double requests_per_second = 0;
    bool panic = false;
    std::string reason;        // why so many, for a person
    std::string error;         // what must be mended in the policy; empty: nothing
    double start_seconds = 0;  // that a pod takes to be ready, as measured; 0: not yet
    std::string decided_at;    // RFC 3339; empty: nothing was to be decided yet
    friend bool operator==(const Status&, const Status&) = default;
  };
  ObjectMeta meta;
  Status status;

  static const Kind& kind();
  [[nodiscard]] Json to_json() const;
  friend bool operator==(const PodAutoscaler&, const PodAutoscaler&) = default;
};

}  // namespace ebb::api
