// A comparison of policies as one HTML page: a table, cost against latency, and plots of
// load, pods, nodes and waiting over time. It stands by itself (inline SVG and style, no
// script, nothing from elsewhere), follows light and dark, and can be printed. Pure.
//
//   write_file("policies.html", to_html(*comparison));
#pragma once

#include <string>

#include "sim/compare.h"

namespace ebb::sim {

[[nodiscard]] std::string to_html(const Comparison& comparison);

}  // namespace ebb::sim
