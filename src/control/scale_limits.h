// What an operator allows, whatever a revision's own annotations say. A plain value.
#pragma once

#include <cstdint>

namespace ebb::control {

// Numbers are of pods wanted: those that end their last requests do not count. 0: no limit.
struct ScaleLimits {
  int per_revision = 0;
  int per_namespace = 0;
  uint64_t memory_bytes = 0;  // that all pods may use together, as measured; 0: no limit
  friend bool operator==(const ScaleLimits&, const ScaleLimits&) = default;
};

}  // namespace ebb::control
