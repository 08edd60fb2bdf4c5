// Which policy a revision has, with everything that is needed to make it: its class and
// settings, what raises the floor besides, and how long the last pod is kept.
//
// A plain value, meant to be shared by all revisions that are scaled alike.
//
//   PolicySpec spec{.policy = PolicyClass::kAverage, .average = {.target = 10}};
//   auto policy = make_policy(spec, ready, now);
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "scaling/adaptive.h"
#include "scaling/average.h"
#include "scaling/forecast.h"
#include "scaling/hpa_policy.h"
#include "scaling/keep_alive.h"
#include "scaling/kpa.h"
#include "scaling/lua_file.h"
#include "scaling/policy.h"
#include "scaling/schedule.h"

namespace ebb::scaling {

enum class PolicyClass { kKpa, kHpa, kAdaptive, kAverage, kLua };

// As in the annotation autoscaling.knative.dev/class.
[[nodiscard]] std::string_view to_string(PolicyClass policy);
// nullopt for a class that is none of these.
[[nodiscard]] std::optional<PolicyClass> policy_class(std::string_view name);

struct PolicySpec {
  PolicyClass policy = PolicyClass::kKpa;
  KpaSettings kpa{};  // of all classes: activation_scale; else only of its own
  HpaPolicySettings hpa{};
  AdaptiveSettings adaptive{};
  AverageSettings average{};
  // Of class kLua, never null there. Shared: with who reads the file, and other revisions.
  std::shared_ptr<const LuaFile> lua{};
  Duration lua_window = std::chrono::seconds(60);  // without a request, before zero
  // What only raises the floor.
  std::vector<ScheduleWindow> schedule{};
  std::optional<ForecastSettings> forecast{};
  // What it is scaled by comes from outside, which may want pods at rest, too.
  bool outside = false;
  // Unset: the last pod goes when the window, and the retention after it, have passed.
  std::optional<HybridSettings> hybrid_keep_alive{};
  // What it was made from, for who shows it.
  std::map<std::string, std::string> annotations{};

  // What must have passed without a request before the last pod may go.
  [[nodiscard]] Duration window() const;
  // It is worth keeping at zero, when it is not fed: it knows service and idle times.
  [[nodiscard]] bool learns() const;
  // It acts where nothing happens, too: it must be fed and asked all the time.
  [[nodiscard]] bool never_rests() const;
  // Pods to start with when there is any load; 0: off.
  [[nodiscard]] int activation_scale() const { return kpa.activation_scale; }
  // What must be mended in it before it can decide at all; "": nothing.
  [[nodiscard]] std::string problem() const;
  // Load of one pod that is aimed at; 0: the class has no such number.
  [[nodiscard]] double target() const;
  // What to do when requests wait although there are pods.
  enum class Burst {
    kLoadOverTarget,  // as the panic window will say: requests / target
    kAskPolicy,       // it can be asked at any moment
    kWait,            // for the next decision
  };
  [[nodiscard]] Burst burst() const;
};

// `ready`: the pods that serve already.
[[nodiscard]] std::unique_ptr<Policy> make_policy(const PolicySpec& spec, int ready, TimePoint now);

// The HorizontalPodAutoscaler that decides in a policy of make_policy; nullptr: none.
[[nodiscard]] const HpaPolicy* hpa_of(const Policy& policy);

}  // namespace ebb::scaling
