// How pods are started and ended in a simulation: by a scaling::Policy that is asked as
// in production, or on demand with a keep-alive plan.
//
//   PolicyTable table;                                    // kpa, adaptive, hybrid, ...
//   table.add("mine", [](const PolicySettings& s, int) -> Result<PolicyChoice> { ... });
//   Result<PolicyChoice> choice = table.make("kpa", {{"target", "0.7"}}, 1);
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "scaling/greedy_dual.h"
#include "scaling/keep_alive.h"
#include "scaling/policy.h"
#include "sim/keep_alive_run.h"

namespace ebb::sim {

// What production's AutoScaler does at once, without waiting for its next decision, when
// a request finds every pod full. Whichever: at most every 20 ms, and only raising.
enum class BurstRule {
  kNone,
  kLoadOverTarget,  // requests in the system / target, within the rate: the rule of KPA
  kAskPolicy,       // Policy::decide with the situation of this moment
};

// A promise that lets the simulator leave a policy alone while no request comes: what it
// would answer is known. Only speed depends on it.
//
// - After a decision for at most one pod, not in panic, the wish does not rise, and is 0
//   once `window` has passed since the last sample that was not zero; unless the pods that
//   are left make it a panic: ceil(panic_value / target) / pods reaches `panic_threshold`.
//   Where the policy itself varies that time, `idle_time` says it.
// - After one for more pods, not in panic, the wish stays the same until `held_until`.
// - In panic the wish stays the same for `window` after the last decision at which
//   ceil(panic_value / target) / ready reached `panic_threshold`, and that does not
//   happen again.
// - A zero sample that spans a silence tells the policy the same as one each second.
struct IdlePromise {
  Duration window{};
  double target = 1;
  double panic_threshold = 2;
  std::function<Duration(const scaling::Policy&)> idle_time = {};
  std::function<TimePoint(const scaling::Policy&)> held_until = {};
};

struct PolicyChoice {
  std::string name;

  // A policy for a function where something happens, as of scaling::make_policy. Empty: on
  // demand, by `keep_alive`.
  std::function<std::unique_ptr<scaling::Policy>(int ready, TimePoint now)> make;
  scaling::Bounds bounds;
  Duration stable_window = std::chrono::seconds(60);
  Duration retention{};      // of the last pod, after the stable window
  bool learns = false;       // it is kept at rest
  bool never_rests = false;  // it is fed and asked all the time
  int activation_scale = 0;  // pods to start with from zero
  BurstRule burst = BurstRule::kAskPolicy;
  double burst_target = 1;  // for kLoadOverTarget
  double max_scale_up_rate = 1000;
  std::optional<IdlePromise> idle;
  // The last pod stays, and one is started ahead, by the function's idle times.
  std::optional<scaling::HybridSettings> hybrid_keep_alive;

  // A pod for every request that finds none free; each goes by the plan that was made at
  // the end of its last execution.
  KeepAliveMaker keep_alive;
  // And where nodes have no slot left, the idle pod that is worth least by this goes for who
  // waits. Needs nodes.
  std::optional<scaling::EvictionRule> eviction;
};

using PolicySettings = std::map<std::string, std::string, std::less<>>;

// "target=10,window=60s" -> settings. kInvalid for what has no "=", or comes twice.
[[nodiscard]] Result<PolicySettings> parse_settings(std::string_view text);

// A policy as a command line names it: "kpa", "kpa,target=0.7", "fixed:10m" (keep-alive
// for 10 minutes), "hybrid:4h" (its range), "greedy-dual,rule=lru", "mine.lua,window=30s".
struct PolicyWish {
  std::string label;  // as it was written
  std::string name{};
  std::string settings{};  // for parse_settings
};
[[nodiscard]] PolicyWish parse_wish(std::string_view text);

class PolicyTable final {
 public:
  // `concurrency`: requests in a pod at a time; 0: no limit.
  using Maker = std::function<Result<PolicyChoice>(const PolicySettings&, int concurrency)>;

  // Knows: kpa, adaptive, average, hpa, lua (sim/annotated_policy.h), pods (pods), keep-alive
  // (keep), hybrid (range, fallback, min-samples), greedy-dual (rule, keep).
  PolicyTable();
  void add(std::string name, Maker maker) { makers_[std::move(name)] = std::move(maker); }
  // kNotFound with the names that there are; kInvalid for a setting it does not know.
  [[nodiscard]] Result<PolicyChoice> make(std::string_view name, const PolicySettings& settings,
                                          int concurrency) const;
  [[nodiscard]] std::vector<std::string> names() const;

 private:
  std::map<std::string, Maker, std::less<>> makers_;
};

}  // namespace ebb::sim
