// From a policy's decision to the number of nodes: what next_amount.h is for pods.
//
// A node is to its policy what a pod is to a revision's: Situation::ready and starting
// count nodes, pod_concurrency is a node's slots, in_flight the slots in use, waiting the
// instances that found no slot, start_time the boot. So every Policy can decide nodes.
//
// - Within the bounds, whatever the policy says; an invalid decision keeps what there is.
// - A node goes only while all its slots are free. One that boots is not turned back.
// - One too many is kept for a while, and the last one until all have been idle for long;
//   then all go that the policy does not want.
// - Somebody who waits gets a first node.
//
// Pure; thread-safe.
//
//   NodeAmount next = node_amount(decision, situation, idle, {.bounds = {1, 20}}, times);
//   times = next.times;
//   start(next.nodes - situation.ready - situation.starting);   // or, if that is below 0:
//   give_back(next.give_back);
#pragma once

#include <cstdint>
#include <string>

#include "scaling/lasting.h"
#include "scaling/policy.h"

namespace ebb::scaling {

struct NodeLimits {
  Bounds bounds = {};
  Duration keep = std::chrono::minutes(5);   // a node too many, before it is given back
  Duration rest = std::chrono::minutes(10);  // all idle, before the last one goes
};

// What is remembered from one decision to the next.
struct NodeTimes {
  Lasting surplus{};
  Lasting rest{};
};

// What changed the policy's wish.
enum class NodeRule : uint32_t {
  kMinimum = 1,        // raised to the bounds' minimum
  kMaximum = 2,        // held at their maximum
  kSomebodyWaits = 4,  // from zero
  kNeeded = 8,         // what is in use or waited for is not taken away
  kLastStays = 16,     // until all have been idle for long
  kKept = 32,          // too many, but not for long yet
  kNotIdle = 64,       // those too many are in use, or boot
};

struct NodeAmount {
  int nodes = 0;      // that are to be there, those that boot included
  int give_back = 0;  // idle ones that go now
  int bounded = 0;    // the wish after the first two rules
  uint32_t rules = 0;
  NodeTimes times{};  // for the next time

  [[nodiscard]] bool by(NodeRule rule) const { return (rules & static_cast<uint32_t>(rule)) != 0; }
};

// `idle`: of the ready nodes, those with all slots free.
[[nodiscard]] NodeAmount node_amount(const Decision& decision, const Situation& situation, int idle,
                                     const NodeLimits& limits, const NodeTimes& times);

// One line for a person: the policy's reason, and what the rules made of it.
[[nodiscard]] std::string node_amount_reason(const Decision& decision, const NodeAmount& amount);

}  // namespace ebb::scaling
