// What decides how many nodes a simulated cluster has, as a command line names it. Any
// scaling::Policy can: scaling/node_amount.h says what it is told of nodes.
//
//   auto policy = parse_node_policy("average,target=0.8");   // or "nodes.lua"
//   if (!policy) return fail(policy.error());
//   cluster.node_policy = *policy;
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "scaling/policy.h"

namespace ebb::sim {

struct ClusterOptions;  // sim/cluster.h

struct NodePolicy {
  std::function<std::unique_ptr<scaling::Policy>(const ClusterOptions& nodes, TimePoint now)> make;
  // Its wish rises only when an instance is asked for. With no more nodes than the least
  // number it is then not asked until that happens.
  bool rests = false;
};

// The default, scaling::NodePool: of those who ask, `share` find a slot; `least` slots are
// free at least while anything is in use.
[[nodiscard]] NodePolicy node_pool(double share = 0.99, int least = 0);

// pool (share, buffer), average (target, window), kpa (target, window), adaptive (window,
// share) or a Lua file. A target is a share of a node's slots. kNotFound with the names
// that there are; kInvalid for what is wrong with the settings or the file.
[[nodiscard]] Result<NodePolicy> parse_node_policy(std::string_view text);

}  // namespace ebb::sim
