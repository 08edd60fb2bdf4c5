#include "scaling/node_amount.h"

#include <fmt/format.h>

#include <algorithm>

#include "scaling/average.h"

namespace ebb::scaling {

namespace {

// Nodes that what is in use and what waits would just fill.
int needed(const Situation& situation) {
  const double slots = situation.pod_concurrency;
  const double instances = static_cast<double>(situation.in_flight) + situation.waiting;
  return slots > 0 ? pods_for(instances, slots) : instances > 0 ? 1 : 0;
}

}  // namespace

NodeAmount node_amount(const Decision& decision, const Situation& situation, int idle,
                       const NodeLimits& limits, const NodeTimes& times) {
  NodeAmount out{.times = times};
  const auto apply = [&out](NodeRule rule) { out.rules |= static_cast<uint32_t>(rule); };
  const TimePoint now = situation.now;
  const int have = std::max(0, situation.ready) + std::max(0, situation.starting);
  idle = std::clamp(idle, 0, std::max(0, situation.ready));
  const bool all_idle = !busy(situation) && idle >= situation.ready;
  const bool resting = out.times.rest.lasts(all_idle, now, limits.rest);

  Decision wish;
  wish.desired = decision.valid ? decision.desired : have;
  out.bounded = amount(wish, limits.bounds, true);
  if (out.bounded > wish.desired) apply(NodeRule::kMinimum);
  if (out.bounded < wish.desired) apply(NodeRule::kMaximum);

  int target = out.bounded;
  const auto raise = [&](NodeRule rule, int nodes) {
    if (target >= nodes) return;
    target = nodes;
    apply(rule);
  };
  const int most = limits.bounds.max > 0 ? std::min(have, limits.bounds.max) : have;
  raise(NodeRule::kNeeded, std::min(most, needed(situation)));
  if (situation.waiting > 0) raise(NodeRule::kSomebodyWaits, 1);
  if (have > 0 && !resting) raise(NodeRule::kLastStays, 1);

  const int surplus = std::clamp(have - target, 0, idle);
  const bool long_enough = out.times.surplus.lasts(surplus > 0, now, limits.keep);
  out.give_back = resting || long_enough ? surplus : 0;
  if (limits.bounds.max > 0) {  // beyond it at once
    out.give_back = std::max(out.give_back, std::clamp(have - limits.bounds.max, 0, idle));
  }
  if (surplus > out.give_back) apply(NodeRule::kKept);
  if (have - target > surplus) apply(NodeRule::kNotIdle);
  out.nodes = std::max(target, have - out.give_back);
  return out;
}

std::string node_amount_reason(const Decision& decision, const NodeAmount& amount) {
  if (amount.by(NodeRule::kSomebodyWaits)) return "an instance waits for a place";
  std::string why = decision.reason;
  if (amount.by(NodeRule::kMinimum)) {
    why += fmt::format(", raised to the minimum {}", amount.bounded);
  }
  if (amount.by(NodeRule::kMaximum)) {
    why += fmt::format(", held at the maximum {}", amount.bounded);
  }
  if (amount.by(NodeRule::kNeeded)) why += ", what is in use or waited for is not taken away";
  if (amount.by(NodeRule::kLastStays)) why += ", the last one stays until all were idle for long";
  if (amount.by(NodeRule::kKept)) why += ", what is too many is kept for a while";
  if (amount.by(NodeRule::kNotIdle)) why += ", what is in use or boots is not given back";
  return why;
}

}  // namespace ebb::scaling
