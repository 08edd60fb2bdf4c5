// Knative's autoscaler settings as an operator and a user write them: the ConfigMap
// config-autoscaler and a revision's annotations, with Knative's defaults, precedence
// and bounds (pkg/autoscaler/config, pkg/apis/autoscaling, pkg/reconciler/
// autoscaling/resources). Part of the program that checks golden vectors; a running
// Ebb reads the annotations in api/autoscaling.
//
//   KpaConfig config = read_kpa_config({.annotations = {{kPrefix + "window", "20s"}}});
//   if (!config.violations.empty()) ...   // "autoscaling.knative.dev/window: ..."
#pragma once

#include <map>
#include <string>
#include <vector>

#include "scaling/kpa.h"

namespace ebb::scaling {

struct KpaConfigText {
  std::map<std::string, std::string> cluster{};      // config-autoscaler
  std::map<std::string, std::string> annotations{};  // with their full names
  int container_concurrency = 0;
  bool reachable = true;
};

struct KpaConfig {
  KpaSettings settings;
  Bounds bounds;  // min is 0 if unreachable
  std::string metric = "concurrency";
  std::string aggregation;  // as written
  int initial_scale = 1;
  double activator_capacity = 100;
  bool reachable = true;
  bool enable_scale_to_zero = true;
  Duration grace = std::chrono::seconds(30);
  Duration retention{};
  // What Knative's admission or ConfigMap check would refuse. What does not parse
  // keeps its default; what is out of bounds is taken as it is, since the autoscaler
  // itself does not check.
  std::vector<std::string> violations;
};

[[nodiscard]] KpaConfig read_kpa_config(const KpaConfigText& text);

}  // namespace ebb::scaling
