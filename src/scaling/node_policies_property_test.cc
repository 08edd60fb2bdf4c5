// What must hold for nodes, whichever policy decides them: bounds, nothing taken from under
// an instance, never fewer nodes for more load, and no harm from a clock that jumps, from
// broken numbers or from a policy that fails.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "scaling/adaptive.h"
#include "scaling/average.h"
#include "scaling/combine.h"
#include "scaling/kpa.h"
#include "scaling/lua_policy.h"
#include "scaling/node_amount.h"
#include "scaling/node_pool.h"
#include "scaling/schedule.h"
#include "scaling/testing.h"

namespace ebb::scaling {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

const WallTime kSomeDay{hours(24 * 20'000)};
constexpr int kSlots = 10;
constexpr int kNodeSeeds = 10;
constexpr const char* kNodeLua = R"(
  function decide(metric, state)
    local used = math.max(metric.stable, state.in_flight + state.waiting)
    return {desired = used / (0.8 * state.pod_concurrency), reason = "a fifth stays free"}
  end)";
constexpr const char* kFailing = "function decide() error('oh') end";

struct NodeKind {
  const char* name;
  std::function<std::unique_ptr<Policy>()> make;
  int floor = 0;  // that it wants without any load
};

template <class Of, class... Settings>
std::unique_ptr<Policy> some(const Settings&... settings) {
  return std::make_unique<Of>(settings...);
}

std::unique_ptr<Policy> lua(const char* text) {
  return std::make_unique<LuaPolicy>(*LuaPolicy::compile(text));
}

std::unique_ptr<Policy> combined() {
  std::vector<Combine::Part> parts;
  parts.push_back({"pool", some<NodePool>(NodePoolSettings())});
  parts.push_back({"average", some<Average>(AverageSettings{.target = 8})});
  parts.push_back({"schedule", some<Schedule>(*parse_schedule("* * * * * | 0 0 1 1 * | 2")),
                   Combine::Role::kRaises});
  return std::make_unique<Combine>(std::move(parts));
}

std::vector<NodeKind> node_kinds() {
  KpaSettings kpa;
  kpa.set_target({.container_concurrency = kSlots});
  return {{"pool", [] { return some<NodePool>(NodePoolSettings{.most = 300}); }},
          {"pool with a buffer", [] { return some<NodePool>(NodePoolSettings{.least = 12}); }},
          {"average", [] { return some<Average>(AverageSettings{.target = 7}); }},
          {"kpa", [kpa] { return make_kpa(kpa, 0, kStart); }},
          {"adaptive", [] { return some<Adaptive>(AdaptiveSettings()); }},
          {"lua", [] { return lua(kNodeLua); }},
          {"combine", combined, 2}};
}

// Nodes with instances on them, whose clock may jump.
class Machines {
 public:
  Machines(std::unique_ptr<Policy> policy, unsigned seed) : policy_(std::move(policy)) {
    random_.seed(seed);
  }

  // A second passes: instances come and go, nodes boot, the policy decides.
  void second(double arrivals, double life) {
    now_ += seconds(1);
    for (Node& node : nodes_) {
      if (node.boots > 0) --node.boots;
      const int ending = std::binomial_distribution<int>(node.used, 1 / life)(random_);
      node.used -= ending;
      metric_.ended += ending;
      metric_.service_seconds += ending * life;
    }
    const int came = arrivals > 0 ? std::poisson_distribution<int>(arrivals)(random_) : 0;
    waiting_ += came;
    place();
    metric_.at = now_;
    metric_.requests = came;
    metric_.queued = waiting_;
    metric_.concurrency = used() + waiting_;
    policy_->observe(metric_);
    metric_ = {};
    decide();
    place();
  }

  void jump(Duration by) { now_ += by; }

  NodeLimits limits{.bounds = {1, 30}};
  [[nodiscard]] int used() const {
    int out = 0;
    for (const Node& node : nodes_) out += node.used;
    return out;
  }
  [[nodiscard]] int nodes() const { return static_cast<int>(nodes_.size()); }
  [[nodiscard]] int waiting() const { return waiting_; }
  [[nodiscard]] int given_back() const { return given_back_; }
  [[nodiscard]] const std::string& reason() const { return reason_; }

 private:
  struct Node {
    int boots = 0;  // seconds left
    int used = 0;
    [[nodiscard]] bool idle() const { return boots == 0 && used == 0; }
  };

  void place() {
    for (Node& node : nodes_) {
      const int taken = node.boots > 0 ? 0 : std::min(waiting_, kSlots - node.used);
      node.used += taken;
      waiting_ -= taken;
    }
  }

  void decide() {
    Situation situation{.now = now_,
                        .in_flight = used(),
                        .waiting = waiting_,
                        .pod_concurrency = kSlots,
                        .start_time = seconds(kBoot),
                        .wall = kSomeDay};
    int idle = 0;
    for (const Node& node : nodes_) {
      (node.boots > 0 ? situation.starting : situation.ready) += 1;
      idle += node.idle() ? 1 : 0;
    }
    const Decision decision = policy_->decide(situation);
    const NodeAmount amount = node_amount(decision, situation, idle, limits, times_);
    times_ = amount.times;
    reason_ = node_amount_reason(decision, amount);
    ASSERT_NE(reason_, "");
    ASSERT_TRUE(std::isfinite(decision.stable) && std::isfinite(decision.panic_value));
    ASSERT_GE(amount.give_back, 0);
    ASSERT_LE(amount.give_back, idle) << reason_;
    ASSERT_GE(amount.nodes, limits.bounds.min) << reason_;
    // Beyond the maximum there is only what was there, and is in use or boots.
    if (limits.bounds.max > 0) {
      ASSERT_LE(amount.nodes, std::max(limits.bounds.max, nodes() - idle)) << reason_;
    }
    ASSERT_TRUE(amount.give_back == 0 || amount.nodes == nodes() - amount.give_back) << reason_;
    if (amount.give_back > 0) {  // what is in use and waits still has its place
      const int most = limits.bounds.max > 0 ? std::min(limits.bounds.max, nodes()) : nodes();
      ASSERT_GE(amount.nodes * kSlots, std::min(used() + waiting_, most * kSlots)) << reason_;
    }
    for (int gone = 0; gone < amount.give_back; ++gone) {
      nodes_.erase(
          std::find_if(nodes_.begin(), nodes_.end(), [](const Node& node) { return node.idle(); }));
    }
    given_back_ += amount.give_back;
    while (nodes() < amount.nodes) nodes_.push_back({.boots = kBoot});
  }

  static constexpr int kBoot = 30;
  std::unique_ptr<Policy> policy_;
  std::mt19937 random_;
  TimePoint now_ = kStart;
  std::vector<Node> nodes_;
  NodeTimes times_;
  Metric metric_;
  std::string reason_;
  int waiting_ = 0;
  int given_back_ = 0;
};

// Arrivals in a second: quiet hours, steady ones, bursts.
double arrivals_at(int second, unsigned seed) {
  const int part = second / 300 + static_cast<int>(seed);
  if (part % 4 == 0) return 0;
  if (part % 4 == 1) return 1 + seed % 3;
  return second % 97 < 3 ? 15 : 0.3;
}

constexpr double kLife = 20;  // of an instance, seconds

TEST(NodePolicyProperty, BoundsHoldAndWhatIsInUseStays) {
  for (const NodeKind& kind : node_kinds()) {
    for (unsigned seed = 0; seed < kNodeSeeds; ++seed) {
      Machines machines(kind.make(), seed);
      machines.limits.keep = seconds(20 * seed);
      machines.limits.rest = seconds(100);
      int given_back = 0;
      for (int t = 0; t < 3000; ++t) {
        machines.second(arrivals_at(t, seed), kLife);
        if (t == 1500) given_back = machines.given_back();
        // An operator allows less, and then more again.
        if (t == 1000) machines.limits.bounds = {0, 4};
        if (t == 2000) machines.limits.bounds = {2, 0};
        ASSERT_FALSE(testing::Test::HasFatalFailure())
            << kind.name << ", seed " << seed << ", second " << t;
      }
      EXPECT_GT(machines.given_back(), given_back) << kind.name;  // it was not for nothing
    }
  }
}

TEST(NodePolicyProperty, EverybodyGetsAPlaceAtLast) {
  for (const NodeKind& kind : node_kinds()) {
    Machines machines(kind.make(), 1);
    machines.limits.bounds = {0, 30};
    for (int t = 0; t < 600; ++t) machines.second(2, kLife);  // 40 at a time
    EXPECT_EQ(machines.waiting(), 0) << kind.name << ": " << machines.reason();
    for (int t = 0; t < 1800; ++t) machines.second(0, kLife);
    EXPECT_EQ(machines.nodes(), kind.floor) << kind.name << ": " << machines.reason();
  }
}

TEST(NodePolicyProperty, AClockThatJumpsTakesNoNodeAway) {
  for (const NodeKind& kind : node_kinds()) {
    for (const Duration jump :
         {Duration(hours(5)), Duration(hours(-5)), Duration(hours(30)), Duration(hours(-30))}) {
      for (unsigned seed = 0; seed < kNodeSeeds; ++seed) {
        Machines machines(kind.make(), seed);
        const int when = 700 + 211 * static_cast<int>(seed);
        for (int t = 0; t < when; ++t) machines.second(arrivals_at(t, seed), kLife);
        machines.jump(jump);
        // Whatever was too many then is looked at for the whole time again.
        const int before = machines.given_back();
        for (int t = when; t < when + 299; ++t) {
          machines.second(arrivals_at(t, seed), kLife);
          ASSERT_FALSE(testing::Test::HasFatalFailure()) << kind.name << ", seed " << seed;
          ASSERT_EQ(machines.given_back(), before)
              << kind.name << ", seed " << seed << ", second " << t << ": " << machines.reason();
        }
        if (jump < Duration(0)) continue;  // what a window holds is then newer than what comes
        // And goes at last.
        for (int t = 0; t < 1800; ++t) machines.second(0, kLife);
        ASSERT_EQ(machines.nodes(), std::max(1, kind.floor))
            << kind.name << ", seed " << seed << ": " << machines.reason();
      }
    }
  }
}

// The same nodes, once with a load and once with twice as much.
TEST(NodePolicyProperty, MoreLoadNeverMeansFewerNodes) {
  for (const NodeKind& kind : node_kinds()) {
    for (unsigned seed = 0; seed < kNodeSeeds; ++seed) {
      const auto small = kind.make();
      const auto large = kind.make();
      NodeTimes times_small;
      NodeTimes times_large;
      std::mt19937 random(seed);
      const NodeLimits limits{.bounds = {1, 50}, .keep = seconds(20), .rest = seconds(60)};
      for (int t = 0; t < 1200; ++t) {
        const int used = std::poisson_distribution<int>(arrivals_at(t, seed) * 10 + 0.01)(random);
        const int waiting = std::max(0, used - 40);
        const TimePoint now = kStart + seconds(t);
        const int ready = 1 + static_cast<int>(random() % 8);
        const int idle = static_cast<int>(random() % (ready + 1U));
        int nodes[2];
        std::string reasons[2];
        for (const int i : {0, 1}) {
          Policy& policy = i == 0 ? *small : *large;
          NodeTimes& times = i == 0 ? times_small : times_large;
          const double scale = i + 1;
          policy.observe({.at = now,
                          .concurrency = (used + waiting) * scale,
                          .requests = used * scale,
                          .queued = waiting * scale,
                          .ended = used * scale,
                          .service_seconds = used * scale * 3});
          const Situation situation{.now = now,
                                    .ready = ready,
                                    .starting = t % 3,
                                    .in_flight = used * (i + 1),
                                    .waiting = waiting * (i + 1),
                                    .pod_concurrency = kSlots,
                                    .start_time = seconds(30)};
          const Decision decision = policy.decide(situation);
          const NodeAmount amount = node_amount(decision, situation, idle, limits, times);
          times = amount.times;
          nodes[i] = amount.nodes;
          reasons[i] = node_amount_reason(decision, amount);
        }
        ASSERT_LE(nodes[0], nodes[1]) << kind.name << ", seed " << seed << ", second " << t << "\n"
                                      << reasons[0] << "\n"
                                      << reasons[1];
      }
    }
  }
}

TEST(NodePolicyProperty, MoreThatWaitsOrIsInUseNeverMeansFewerNodes) {
  for (const NodeKind& kind : node_kinds()) {
    for (unsigned seed = 0; seed < kNodeSeeds; ++seed) {
      for (const bool waits : {false, true}) {
        int before = 0;
        for (const int more : {0, 1, 2, 9, 10, 11, 50, 200, 5000}) {
          const auto policy = kind.make();
          for (int t = 0; t < 120; ++t) {
            policy->observe({.at = kStart + seconds(t),
                             .concurrency = 20.0 + seed,
                             .requests = arrivals_at(t, seed)});
            (void)policy->decide({.now = kStart + seconds(t),
                                  .ready = 3,
                                  .in_flight = 20,
                                  .pod_concurrency = kSlots});
          }
          const Situation situation{.now = kStart + seconds(120),
                                    .ready = 3,
                                    .in_flight = 10 + (waits ? 0 : more),
                                    .waiting = waits ? more : 0,
                                    .pod_concurrency = kSlots};
          const int nodes =
              node_amount(policy->decide(situation), situation, 1, {.bounds = {0, 100}}, {}).nodes;
          ASSERT_GE(nodes, before) << kind.name << " " << more;
          before = nodes;
        }
      }
    }
  }
}

TEST(NodePolicyProperty, NonsenseInIsNotNonsenseOut) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInf = std::numeric_limits<double>::infinity();
  for (const NodeKind& kind : node_kinds()) {
    for (const double bad : {kNan, kInf, -kInf, -5.0, 1e300}) {
      const auto policy = kind.make();
      NodeTimes times;
      for (int t = 0; t < 3600; ++t) {
        const TimePoint now = kStart + seconds(t);
        const double value = t == 60 ? bad : 7;
        policy->observe({.at = now,
                         .concurrency = value,
                         .requests = value / 7,
                         .queued = t == 60 ? bad : 0,
                         .ended = value / 7,
                         .service_seconds = value});
        const Situation situation{.now = now,
                                  .ready = 2,
                                  .in_flight = 7,
                                  .pod_concurrency = kSlots,
                                  .start_time = seconds(30)};
        const Decision decision = policy->decide(situation);
        const NodeAmount amount = node_amount(decision, situation, 1, {.bounds = {1, 50}}, times);
        times = amount.times;
        ASSERT_TRUE(std::isfinite(decision.stable)) << kind.name << " " << bad;
        ASSERT_GE(amount.nodes, 1) << kind.name << " " << bad;
        // A minute later it is as if nothing had been.
        if (t < 60 || t > 180) {
          ASSERT_LE(amount.nodes, 6)
              << kind.name << " " << bad << " at " << t << ": " << decision.reason;
        }
      }
    }
  }
}

TEST(NodePolicyProperty, AFailingPolicyKeepsTheNodes) {
  Machines machines(lua(kFailing), 1);
  machines.limits.bounds = {0, 30};
  for (int t = 0; t < 60; ++t) machines.second(0.2, kLife);
  EXPECT_EQ(machines.nodes(), 1);  // for who waits
  machines.limits.bounds.min = 5;
  machines.second(0, kLife);
  machines.limits.bounds.min = 0;
  for (int t = 0; t < 3600; ++t) machines.second(t < 1800 ? 0.5 : 0, kLife);
  EXPECT_EQ(machines.nodes(), 5) << machines.reason();
  EXPECT_EQ(machines.given_back(), 0);
}

}  // namespace
}  // namespace ebb::scaling
