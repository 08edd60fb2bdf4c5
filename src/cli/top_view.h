// What `ebb top` shows, as text. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "api/object.h"
#include "base/clock.h"

namespace ebb::cli {

struct TopFacts {
  std::vector<api::Json> autoscalers;  // one per revision
  std::vector<api::Json> pods;
  std::vector<api::Json> nodes;
};

struct TopStyle {
  bool namespaces = false;  // a column that tells them apart
  size_t height = 0;        // lines at most; 0: all
  size_t width = 0;         // characters of a line at most; 0: any
  bool bold = false;        // titles, for a terminal
};

// The nodes, then the revisions that have or want pods or requests, busiest first. A
// revision without an autoscaler's state shows what its pods tell.
[[nodiscard]] std::string top_text(const TopFacts& facts, const TopStyle& style);

}  // namespace ebb::cli
