#include "scaling/greedy_dual.h"

#include <algorithm>
#include <array>
#include <utility>

namespace ebb::scaling {
namespace {

constexpr std::array<std::pair<EvictionRule, const char*>, 5> kNames{{
    {EvictionRule::kGreedyDual, "greedy-dual"},
    {EvictionRule::kFrequency, "frequency"},
    {EvictionRule::kSize, "size"},
    {EvictionRule::kLandlord, "landlord"},
    {EvictionRule::kLru, "lru"},
}};

}  // namespace

const char* to_string(EvictionRule rule) {
  for (const auto& [known, name] : kNames) {
    if (known == rule) return name;
  }
  return "unknown";
}

std::optional<EvictionRule> eviction_rule(std::string_view name) {
  for (const auto& [rule, known] : kNames) {
    if (name == known) return rule;
  }
  return std::nullopt;
}

double EvictionOrder::priority(const InstanceUse& use, double clock) const {
  constexpr double kLeastMemory = 1e-3;
  const double memory = std::max(use.memory_mb, kLeastMemory);
  const double start = std::max(use.start_seconds, 0.0);
  switch (rule_) {
    case EvictionRule::kGreedyDual:
      return clock + use.frequency * start / memory;
    case EvictionRule::kFrequency:
      return clock + use.frequency * start;
    case EvictionRule::kSize:
      return clock + 1 / memory;
    case EvictionRule::kLandlord:
      return clock + start / memory;
    case EvictionRule::kLru:
      return use.at_seconds;
  }
  return 0;
}

void EvictionOrder::evicted(double priority) { clock_ = std::max(clock_, priority); }

}  // namespace ebb::scaling
