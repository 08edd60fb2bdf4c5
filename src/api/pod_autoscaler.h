// What the AutoScaler knows of one revision and decided last, in the shape of Knative's
// internal PodAutoscaler. It has the revision's name and is never stored: what is written
// to it are the revision's annotations. A plain value; the functions are pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

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
    std::string scaling_class;  // of the policy that decides, declared or not
    std::string reason;         // why so many, for a person
    std::string error;          // what must be mended in the policy; empty: nothing
    double start_seconds = 0;   // that a pod takes to be ready, as measured; 0: not yet
    std::string decided_at;     // RFC 3339; empty: nothing was to be decided yet
    std::vector<Condition> conditions;
    friend bool operator==(const Status&, const Status&) = default;
  };
  ObjectMeta meta;  // its annotations are those that scale the revision
  int64_t container_concurrency = 0;
  bool reachable = true;
  Status status;

  static const Kind& kind();
  [[nodiscard]] Json to_json() const;
  friend bool operator==(const PodAutoscaler&, const PodAutoscaler&) = default;
};

// The settings that are fields of the spec, as they are named there: "minScale".
[[nodiscard]] const std::vector<std::string>& scaling_fields();

// What somebody wants to be otherwise, by annotation of the revision; nullopt: removed.
using ScalingChanges = std::map<std::string, std::optional<std::string>>;

// Of a PodAutoscaler as it was shown, and as it was given back. Settings may be changed in
// its annotations or in its spec, where autoscaling.knative.dev/min-scale is minScale and
// ebb.dev/policy-wait is policyWait; the spec wins. The rest of the spec, and fields that
// nobody knows, are added to the errors.
[[nodiscard]] ScalingChanges scaling_changes(const Json& shown, const Json& wanted,
                                             std::vector<FieldError>& errors);

// The annotations of an object, a PodAutoscaler or its revision, with them.
[[nodiscard]] std::map<std::string, std::string> with_changes(const Json& object,
                                                              const ScalingChanges& changes);

}  // namespace ebb::api
