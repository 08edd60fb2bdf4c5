// What an operator allows, whatever a revision's own annotations say. A plain value.
#pragma once

namespace ebb::control {

// In pods wanted: those that end their last requests do not count. 0: no limit.
struct ScaleLimits {
  int per_revision = 0;
  int per_namespace = 0;
  friend bool operator==(const ScaleLimits&, const ScaleLimits&) = default;
};

}  // namespace ebb::control
