#include "sim/annotated_policy.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "api/autoscaling.h"
#include "api/policy_annotations.h"
#include "base/file.h"
#include "control/policy_plan.h"
#include "scaling/lua_file.h"
#include "scaling/lua_policy.h"
#include "sim/policy_reader.h"

namespace ebb::sim {
namespace {

using Annotations = std::map<std::string, std::string>;
using scaling::PolicyClass;
using scaling::PolicySpec;

// The name of a Lua policy as far as annotations need one; its text comes from elsewhere.
constexpr const char* kSomeFile = "policy.lua";

struct Named {
  std::string_view setting;
  std::string_view annotation;
};
// Those that do not begin as Knative's.
constexpr std::array<Named, 10> kOwn{{
    {"wait", "ebb.dev/policy-wait"},
    {"patience", "ebb.dev/policy-patience"},
    {"share", "ebb.dev/policy-share"},
    {"file", "ebb.dev/policy-file"},
    {"schedule", "ebb.dev/schedule"},
    {"schedule-timezone", "ebb.dev/schedule-timezone"},
    {"forecast", "ebb.dev/forecast"},
    {"forecast-lead", "ebb.dev/forecast-lead"},
    {"keep-alive", "ebb.dev/keep-alive"},
    {"service-max-scale", "ebb.dev/service-max-scale"},
}};

std::string annotation_of(std::string_view setting) {
  if (setting.find('/') != std::string_view::npos) return std::string(setting);
  for (const Named& own : kOwn) {
    if (own.setting == setting) return std::string(own.annotation);
  }
  return fmt::format("{}{}", api::kAutoscalingPrefix, setting);
}

// What a revision may have, and a simulation cannot: no CPU is simulated, nobody is asked
// for numbers from outside, and functions are there before the trace begins.
Result<void> check_simulated(const Annotations& annotations) {
  for (const auto& [name, value] : annotations) {
    if (name == annotation_of("initial-scale")) {
      return fail(Errc::kInvalid, "{}: functions are there before the trace begins", name);
    }
    if (name.starts_with(api::outside_annotation(""))) {
      return fail(Errc::kInvalid, "{}: nobody can be asked for it in a simulation", name);
    }
    if (name == annotation_of("metric") && value != "concurrency" && value != "rps") {
      return fail(Errc::kInvalid,
                  "{}: Invalid value: \"{}\": must be \"concurrency\" or \"rps\", which is what is "
                  "simulated",
                  name, value);
    }
  }
  return {};
}

// Its path is that of an annotation: "metadata[autoscaling.knative.dev/window]".
std::string shown(const api::FieldError& error) {
  std::string name = error.path.substr(std::min(error.path.find('[') + 1, error.path.size()));
  if (name.ends_with(']')) name.pop_back();
  return fmt::format("{}: {}", name, error.message);
}

Result<control::ScalePlan> plan_for(Annotations annotations, std::string_view policy_class,
                                    int concurrency) {
  if (!annotations.emplace(annotation_of("class"), policy_class).second) {
    return fail(Errc::kInvalid, "class: the policy is named in front of its settings");
  }
  // What the class looks at where nothing is said is not simulated.
  if (policy_class == api::kHpaClass) {
    annotations.emplace(annotation_of("metric"), "concurrency");
  }
  if (auto ok = check_simulated(annotations); !ok) return fail(ok.error());
  auto pod = std::make_shared<scheduling::PodTemplate>();
  pod->concurrency = static_cast<uint32_t>(concurrency);
  control::ScalePlan plan;
  plan.pod = pod;
  std::vector<api::FieldError> errors;
  control::plan_scaling(annotations, *pod, plan, errors);
  if (!errors.empty()) return fail(Errc::kInvalid, "{}", shown(errors.front()));
  return plan;
}

std::optional<IdlePromise> promise_of(const PolicySpec& spec) {
  if (spec.never_rests()) return std::nullopt;
  if (spec.policy == PolicyClass::kAdaptive) {
    return IdlePromise{.window = spec.window(),
                       .target = 1,
                       .panic_threshold = 0,  // never: a panic is not foreseen
                       .idle_time =
                           [](const scaling::Policy& policy) {
                             return static_cast<const scaling::Adaptive&>(policy).idle_time();
                           },
                       .held_until =
                           [](const scaling::Policy& policy) {
                             return static_cast<const scaling::Adaptive&>(policy).held_until();
                           }};
  }
  const auto& kpa = spec.kpa;
  // Averages of nothing but zeros fall; a delay or an activation scale would keep pods.
  const bool plain = spec.policy == PolicyClass::kKpa && kpa.scale_down_delay == Duration(0) &&
                     kpa.activation_scale <= 1 &&
                     kpa.weighting == scaling::Window::Weighting::kLinear;
  if (!plain) return std::nullopt;
  return IdlePromise{.window = spec.window(),
                     .target = kpa.target,
                     .panic_threshold = kpa.panic_threshold_percentage / 100};
}

BurstRule burst_of(const PolicySpec& spec) {
  switch (spec.burst()) {
    case PolicySpec::Burst::kWait:
      return BurstRule::kNone;
    case PolicySpec::Burst::kAskPolicy:
      return BurstRule::kAskPolicy;
    case PolicySpec::Burst::kLoadOverTarget:
      break;
  }
  // Of arrivals nothing can be said at a moment.
  return spec.kpa.metric == scaling::MetricKind::kConcurrency ? BurstRule::kLoadOverTarget
                                                              : BurstRule::kNone;
}

}  // namespace

PolicyChoice choice_of(const control::ScalePlan& plan) {
  const PolicySpec& spec = *plan.policy;
  PolicyChoice choice;
  choice.name = scaling::to_string(spec.policy);
  choice.make = [spec = plan.policy](int ready, TimePoint now) {
    return scaling::make_policy(*spec, ready, now);
  };
  choice.bounds = plan.bounds;
  if (plan.service_max > 0) {  // a function is a service of one revision
    int& most = choice.bounds.max;
    most = most > 0 ? std::min(most, plan.service_max) : plan.service_max;
    choice.bounds.min = std::min(choice.bounds.min, most);
  }
  choice.stable_window = spec.window();
  choice.retention = plan.retention;
  choice.learns = spec.learns();
  choice.never_rests = spec.never_rests();
  choice.activation_scale = spec.activation_scale();
  choice.burst = burst_of(spec);
  choice.burst_target = spec.kpa.target;
  choice.max_scale_up_rate = spec.kpa.max_scale_up_rate;
  choice.idle = promise_of(spec);
  choice.hybrid_keep_alive = spec.hybrid_keep_alive;
  return choice;
}

Result<PolicyChoice> annotated_choice(std::string_view policy_class, const PolicySettings& settings,
                                      int concurrency) {
  PolicyReader read(settings);
  Annotations annotations;
  for (const auto& [name, value] : read.rest()) annotations[annotation_of(name)] = value;
  if (auto ok = read.end(); !ok) return fail(ok.error());
  auto plan = plan_for(std::move(annotations), policy_class, concurrency);
  if (!plan) return fail(plan.error());
  return choice_of(*plan);
}

Result<PolicyChoice> lua_choice(const PolicySettings& settings, int concurrency) {
  PolicyReader read(settings);
  const std::string path = read.word("file").value_or("");
  if (path.empty()) read.note("file must be the path of a Lua file");
  Annotations annotations;
  for (const auto& [name, value] : read.rest()) annotations[annotation_of(name)] = value;
  if (auto ok = read.end(); !ok) return fail(ok.error());
  auto text = read_file(path, scaling::LuaLimits().source);
  if (!text) return fail(text.error());
  if (const auto policy = scaling::LuaPolicy::compile(*text); !policy) {
    return fail(Errc::kInvalid, "{}", scaling::in_file(path, policy.error().message));
  }
  annotations[annotation_of("file")] = kSomeFile;
  auto plan = plan_for(std::move(annotations), api::kLuaClass, concurrency);
  if (!plan) return fail(plan.error());
  auto spec = std::make_shared<PolicySpec>(*plan->policy);
  auto file = std::make_shared<scaling::LuaFile>(path);
  file->set(*std::move(text));
  spec->lua = std::move(file);
  plan->policy = std::move(spec);
  return choice_of(*plan);
}

}  // namespace ebb::sim
