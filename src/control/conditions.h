// Conditions in Knative's manner: each reconciler sets those of its parts and sums
// them up as Ready.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "base/clock.h"

namespace ebb::control {

inline constexpr std::string_view kReady = "Ready";

// The conditions of one object, being set at one moment.
class Conditions final {
 public:
  Conditions(std::vector<api::Condition>& conditions, WallTime now)
      : conditions_(conditions), now_(now) {}

  void mark_true(std::string_view type);
  void mark_false(std::string_view type, std::string reason, std::string message);
  void mark_unknown(std::string_view type, std::string reason, std::string message);
  // As `from`, another object's condition, is; Unknown if it has none.
  void mirror(std::string_view type, const api::Condition* from);
  // Ready: False if one of `parts` is, else Unknown if one is, else True; with the
  // reason and message of the first such one.
  void summarize(std::initializer_list<std::string_view> parts);

 private:
  void mark(std::string_view type, api::Condition::Status status, std::string reason,
            std::string message);

  std::vector<api::Condition>& conditions_;
  WallTime now_;
};

[[nodiscard]] bool is_true(const std::vector<api::Condition>& conditions, std::string_view type);
[[nodiscard]] bool is_false(const std::vector<api::Condition>& conditions, std::string_view type);

}  // namespace ebb::control
