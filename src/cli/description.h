// All about one service, revision or pod as text for a person. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "api/object.h"
#include "base/clock.h"

namespace ebb::cli {

inline constexpr size_t kMaxShownEvents = 20;  // the latest
inline constexpr size_t kMaxShownPods = 20;

// What the API knows about it; lists are empty where there is nothing.
struct Facts {
  api::Json object;
  std::vector<api::Json> revisions;  // of a service all, the newest first; of a pod its own
  std::vector<api::Json> pods;
  std::vector<api::Json> autoscalers;  // one per revision, of the same name
  std::vector<api::Json> events;       // of the object, the latest last
};

struct DescriptionStyle {
  WallTime now;         // ages count from here
  bool colors = false;  // for a terminal
};

[[nodiscard]] std::string description_of(const api::Kind& kind, const Facts& facts,
                                         const DescriptionStyle& style);

}  // namespace ebb::cli
