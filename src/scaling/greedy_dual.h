// Which idle instance goes when memory is short: each has a priority, set when it was
// used last, and the lowest goes.
//
// Greedy-dual (Fuerst and Sharma, "FaasCache", ASPLOS 2021, after Cherkasova's GDSF):
// an instance is worth keeping if its function is called often, is dear to start and
// small; the clock, raised by each eviction, makes old worth fade. The other rules are
// its parts, for comparison. Pure, no state but the clock; not thread-safe.
//
//   EvictionOrder order(EvictionRule::kGreedyDual);
//   double p = order.priority({.frequency = 12, .start_seconds = 1.5, .memory_mb = 128});
//   order.evicted(p);       // that instance went
#pragma once

#include <optional>
#include <string_view>

namespace ebb::scaling {

enum class EvictionRule {
  kGreedyDual,  // clock + frequency * start / memory
  kFrequency,   // clock + frequency * start: without the size
  kSize,        // clock + 1 / memory: without cost and frequency
  kLandlord,    // clock + start / memory: without the frequency
  kLru,         // the one that was not used for longest
};

[[nodiscard]] const char* to_string(EvictionRule rule);
// "greedy-dual", "frequency", "size", "landlord", "lru".
[[nodiscard]] std::optional<EvictionRule> eviction_rule(std::string_view name);

// One use of an instance.
struct InstanceUse {
  double at_seconds = 0;     // for kLru
  double frequency = 1;      // uses of the function since it last had no instance
  double start_seconds = 0;  // what a cold start costs more than a warm call
  double memory_mb = 1;      // > 0
};

class EvictionOrder final {
 public:
  explicit EvictionOrder(EvictionRule rule) : rule_(rule) {}

  // Of an instance at its use, or when its function's frequency changes. Never NaN for
  // finite input.
  [[nodiscard]] double priority(const InstanceUse& use) const { return priority(use, clock_); }
  // The same of a use at which the clock was `clock`, worked out later.
  [[nodiscard]] double priority(const InstanceUse& use, double clock) const;
  // The instance with this priority, the lowest, was evicted.
  void evicted(double priority);
  [[nodiscard]] double clock() const { return clock_; }

 private:
  EvictionRule rule_;
  double clock_ = 0;
};

}  // namespace ebb::scaling
