// What `ebb top pods` and `ebb top nodes` show, as `kubectl top` does. Pure.
#pragma once

#include <string>
#include <vector>

#include "api/object.h"
#include "cli/table.h"

namespace ebb::cli {

// From PodMetrics, by name; CPU in thousandths of a core, memory in Mi.
[[nodiscard]] Table pods_usage(const std::vector<api::Json>& metrics, bool namespaces);

// From NodeMetrics, and Nodes, which say what there is in all; percents of a node that
// is not among them are <unknown>.
[[nodiscard]] Table nodes_usage(const std::vector<api::Json>& metrics,
                                const std::vector<api::Json>& nodes);

}  // namespace ebb::cli
