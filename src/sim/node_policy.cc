#include "sim/node_policy.h"

#include <algorithm>
#include <string>

#include "base/file.h"
#include "scaling/adaptive.h"
#include "scaling/average.h"
#include "scaling/kpa.h"
#include "scaling/lua_file.h"
#include "scaling/node_pool.h"
#include "sim/cluster.h"
#include "sim/policy_choice.h"
#include "sim/policy_reader.h"

namespace ebb::sim {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

constexpr double kLeastTarget = 0.01;  // share of a node's slots
constexpr double kTarget = 0.7;        // likewise, as that of a revision's pods

int most_slots(const ClusterOptions& nodes) {
  return scaling::to_pods(static_cast<double>(nodes.max_nodes) * nodes.slots);
}

Result<NodePolicy> pool(PolicyReader& read) {
  constexpr double kMostBuffer = 65536;
  double share = 0.99;
  int least = 0;
  read.number("share", share, 0.5, 0.9999);
  read.number("buffer", least, 0, kMostBuffer);
  if (auto ok = read.end(); !ok) return fail(ok.error());
  return node_pool(share, least);
}

Result<NodePolicy> average(PolicyReader& read) {
  double target = kTarget;
  Duration window = scaling::AverageSettings().window;
  read.number("target", target, kLeastTarget, 1);
  read.time("window", window, seconds(1), hours(1));
  if (auto ok = read.end(); !ok) return fail(ok.error());
  return NodePolicy{.make = [target, window](const ClusterOptions& nodes, TimePoint) {
    return std::make_unique<scaling::Average>(
        scaling::AverageSettings{.target = target * nodes.slots, .window = window});
  }};
}

Result<NodePolicy> kpa(PolicyReader& read) {
  double target = kTarget;
  scaling::KpaSettings settings;
  read.number("target", target, kLeastTarget, 1);
  read.time("window", settings.stable_window, seconds(6), hours(1));
  if (auto ok = read.end(); !ok) return fail(ok.error());
  return NodePolicy{.make = [target, settings](const ClusterOptions& nodes, TimePoint now) {
    scaling::KpaSettings of_nodes = settings;
    of_nodes.set_target({.container_concurrency = nodes.slots, .utilization = target});
    return scaling::make_kpa(of_nodes, 0, now);
  }};
}

Result<NodePolicy> adaptive(PolicyReader& read) {
  scaling::AdaptiveSettings settings;
  read.time("window", settings.window, seconds(1), hours(1));
  read.number("share", settings.share, 1e-6, 0.999999);
  if (auto ok = read.end(); !ok) return fail(ok.error());
  return NodePolicy{.make = [settings](const ClusterOptions&, TimePoint) {
    return std::make_unique<scaling::Adaptive>(settings);
  }};
}

Result<NodePolicy> lua(PolicyReader& read) {
  const std::string path = read.word("file").value_or("");
  if (path.empty()) read.note("file must be the path of a Lua file");
  if (auto ok = read.end(); !ok) {
    return fail(Errc::kInvalid, "node policy {}: {}", path, ok.error().message);
  }
  auto text = read_file(path, scaling::LuaLimits().source);
  if (!text) return fail(text.error());
  if (const auto compiled = scaling::LuaPolicy::compile(*text); !compiled) {
    return fail(Errc::kInvalid, "{}", scaling::in_file(path, compiled.error().message));
  }
  // Shared: with the policy of each run.
  auto file = std::make_shared<scaling::LuaFile>(path);
  file->set(*std::move(text));
  return NodePolicy{.make = [file](const ClusterOptions&, TimePoint) {
    return std::make_unique<scaling::LuaFilePolicy>(file);
  }};
}

struct Known {
  const char* name;
  Result<NodePolicy> (*make)(PolicyReader&);
};
constexpr Known kKnown[] = {
    {"pool", pool}, {"average", average}, {"kpa", kpa}, {"adaptive", adaptive}, {"lua", lua}};

}  // namespace

NodePolicy node_pool(double share, int least) {
  return {.make =
              [share, least](const ClusterOptions& nodes, TimePoint) {
                return std::make_unique<scaling::NodePool>(
                    scaling::NodePoolSettings{.share = share,
                                              .least = least,
                                              .most = std::max(least, most_slots(nodes)),
                                              .rest = nodes.node_rest});
              },
          .rests = true};
}

Result<NodePolicy> parse_node_policy(std::string_view text) {
  const PolicyWish wish = parse_wish(text);
  const auto* found = std::find_if(std::begin(kKnown), std::end(kKnown),
                                   [&](const Known& known) { return known.name == wish.name; });
  const std::string_view name = text.substr(0, text.find(','));
  if (found == std::end(kKnown)) {
    return fail(Errc::kNotFound,
                "no policy \"{}\" for nodes; there are: pool, average, kpa, adaptive and a Lua "
                "file",
                name);
  }
  const auto settings = parse_settings(wish.settings);
  if (!settings) return fail(Errc::kInvalid, "node policy {}: {}", name, settings.error().message);
  PolicyReader read(*settings);
  auto policy = found->make(read);
  // What is wrong in a file is said with its name.
  if (!policy && wish.name != "lua") {
    return fail(Errc::kInvalid, "node policy {}: {}", name, policy.error().message);
  }
  return policy;
}

}  // namespace ebb::sim
