// The ebb.dev annotations that say how a revision is scaled, as values: settings of the
// policies that Knative has no name for, what raises the floor besides, how long the last
// pod is kept. Knative's own are in api/autoscaling.h.
//
//   std::vector<FieldError> errors;
//   auto policy = parse_policy(meta.annotations, "metadata.annotations", errors);
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "base/clock.h"

namespace ebb::api {

inline constexpr std::string_view kKpaClass = "kpa.autoscaling.knative.dev";
inline constexpr std::string_view kHpaClass = "hpa.autoscaling.knative.dev";
inline constexpr std::string_view kAdaptiveClass = "ebb.dev/adaptive";
inline constexpr std::string_view kAverageClass = "ebb.dev/average";
inline constexpr std::string_view kLuaClass = "ebb.dev/lua";
// Of these classes windows may be as short as this.
inline constexpr Duration kMinOwnWindow = std::chrono::seconds(1);

inline constexpr std::string_view kScheduleAnnotation = "ebb.dev/schedule";
inline constexpr std::string_view kTimezoneAnnotation = "ebb.dev/schedule-timezone";

struct PolicyAnnotations {
  Duration wait = std::chrono::milliseconds(100);  // ebb.dev/policy-wait: that is not noticed
  // ebb.dev/policy-patience: service times that are not noticed either
  double patience = 1;
  double share = 0.01;           // ebb.dev/policy-share: may wait longer
  std::string file;              // ebb.dev/policy-file: NAME.lua
  std::string schedule;          // ebb.dev/schedule; scaling/ reads the windows
  std::string timezone = "UTC";  // ebb.dev/schedule-timezone
  bool forecast = false;         // ebb.dev/forecast
  Duration forecast_lead = std::chrono::seconds(60);  // ebb.dev/forecast-lead
  bool hybrid_keep_alive = false;                     // ebb.dev/keep-alive: hybrid
  int service_max = 0;  // ebb.dev/service-max-scale: pods of all revisions; 0: no limit
  // ebb.dev/metric-NAME: where the metric NAME is to be had; control/ reads the rest.
  std::map<std::string, std::string> outside = {};
  friend bool operator==(const PolicyAnnotations&, const PolicyAnnotations&) = default;
};

// Whether the annotation says how a revision is scaled, Knative's included.
[[nodiscard]] bool is_scaling_annotation(std::string_view key);

// Reads the annotations. A value that does not parse, is out of bounds or has no effect
// with the revision's class adds an error under `path` and leaves the default.
[[nodiscard]] PolicyAnnotations parse_policy(const std::map<std::string, std::string>& annotations,
                                             const std::string& path,
                                             std::vector<FieldError>& errors);

// What declares the outside metric of that name.
[[nodiscard]] std::string outside_annotation(std::string_view name);
// The outside metrics that annotations declare, by name. Bad ones are left out and added
// to the errors: names other than of lower case letters, digits and '-', those of the
// metrics that there are anyway, empty declarations, more than kMaxOutsideMetrics.
inline constexpr size_t kMaxOutsideMetrics = 8;
[[nodiscard]] std::map<std::string, std::string> parse_outside_metrics(
    const std::map<std::string, std::string>& annotations, const std::string& path,
    std::vector<FieldError>& errors);

// The path of one annotation in a FieldError.
[[nodiscard]] std::string annotation_path(const std::string& path, std::string_view key);

}  // namespace ebb::api
