// The autoscaling annotations of a revision as values, with Knative's defaults and
// bounds (pkg/apis/autoscaling/annotation_validation.go). The differences: an initial
// scale of zero is always allowed; the rates and the targets' defaults, which Knative has for
// the whole cluster only, are annotations, too; Ebb's own classes (api/policy_annotations.h)
// take windows from 1 s; and without a class it is ebb.dev/adaptive, or Knative's kpa if
// something is set that only kpa has.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "base/clock.h"

namespace ebb::api {

inline constexpr std::string_view kAutoscalingPrefix = "autoscaling.knative.dev/";
inline constexpr double kDefaultTargetConcurrency = 100;
inline constexpr double kDefaultTargetRps = 200;
inline constexpr Duration kDefaultProgressDeadline = std::chrono::seconds(600);

struct AutoscalingSpec {
  std::string autoscaler_class = "ebb.dev/adaptive";
  std::string metric = "concurrency";  // "concurrency" or "rps" for class kpa
  int64_t min_scale = 0;               // pods
  int64_t max_scale = 0;               // 0: unlimited
  int64_t initial_scale = 1;
  int64_t activation_scale = 1;        // at least this many when scaling up from zero
  std::optional<double> target;        // per pod; unset: total_target() says
  double target_utilization = 0.7;     // fraction of the target that is aimed at
  double target_burst_capacity = 211;  // requests; -1: the activator stays in the path
  Duration stable_window = std::chrono::seconds(45);  // of adaptive; kpa: 60, average: 10, hpa: 300
  double panic_window_percentage = 10;                // of the stable window
  double panic_threshold_percentage = 200;            // of the capacity
  double max_scale_up_rate = 1000;                    // times the ready pods, per decision
  double max_scale_down_rate = 2;
  double concurrency_default = kDefaultTargetConcurrency;  // the target without one
  double rps_default = kDefaultTargetRps;
  Duration scale_down_delay{};
  Duration retention{};                // scale-to-zero-pod-retention-period
  std::string aggregation = "linear";  // or "weighted-exponential"

  // The target of one pod before utilization, from the annotation, the metric and
  // the revision's containerConcurrency (0: unlimited).
  [[nodiscard]] double total_target(int64_t container_concurrency) const;
  friend bool operator==(const AutoscalingSpec&, const AutoscalingSpec&) = default;
};

// The annotations of Knative's that only class kpa has an effect of (hpa has a metric, too).
[[nodiscard]] bool is_for_kpa(std::string_view annotation);

// The annotation in its newer spelling: of ".../minScale" it is ".../min-scale".
[[nodiscard]] std::string newer_spelling(const std::string& annotation);

// The class that annotations name, else the one that they have without.
[[nodiscard]] std::string autoscaler_class_of(
    const std::map<std::string, std::string>& annotations);

// Reads the annotations. A value that does not parse, is out of bounds or has no effect
// with the class adds an error under `path` and leaves the default.
[[nodiscard]] AutoscalingSpec parse_autoscaling(
    const std::map<std::string, std::string>& annotations, const std::string& path,
    std::vector<FieldError>& errors);

// serving.knative.dev/progress-deadline: how long a new revision may take to become
// ready. Whole seconds, at least 1 s.
[[nodiscard]] Duration parse_progress_deadline(
    const std::map<std::string, std::string>& annotations, const std::string& path,
    std::vector<FieldError>& errors);

}  // namespace ebb::api
