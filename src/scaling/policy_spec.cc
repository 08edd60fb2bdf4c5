#include "scaling/policy_spec.h"

#include <array>
#include <string>
#include <utility>

#include "scaling/combine.h"

namespace ebb::scaling {

namespace {

struct Name {
  PolicyClass policy;
  std::string_view name;
  const char* brief;  // in reasons
};
constexpr std::array<Name, 5> kNames{{
    {PolicyClass::kKpa, "kpa.autoscaling.knative.dev", "kpa"},
    {PolicyClass::kHpa, "hpa.autoscaling.knative.dev", "hpa"},
    {PolicyClass::kAdaptive, "ebb.dev/adaptive", "adaptive"},
    {PolicyClass::kAverage, "ebb.dev/average", "average"},
    {PolicyClass::kLua, "ebb.dev/lua", "lua"},
}};

const Name& name_of(PolicyClass policy) { return kNames.at(static_cast<size_t>(policy)); }

std::unique_ptr<Policy> deciding(const PolicySpec& spec, int ready, TimePoint now) {
  switch (spec.policy) {
    case PolicyClass::kHpa:
      return std::make_unique<HpaPolicy>(spec.hpa, now);
    case PolicyClass::kAdaptive:
      return std::make_unique<Adaptive>(spec.adaptive);
    case PolicyClass::kAverage:
      return std::make_unique<Average>(spec.average);
    case PolicyClass::kLua:
      return std::make_unique<LuaFilePolicy>(spec.lua);
    case PolicyClass::kKpa:
      break;
  }
  return make_kpa(spec.kpa, ready, now);
}

}  // namespace

std::string_view to_string(PolicyClass policy) { return name_of(policy).name; }

std::optional<PolicyClass> policy_class(std::string_view name) {
  for (const Name& known : kNames) {
    if (known.name == name) return known.policy;
  }
  return std::nullopt;
}

Duration PolicySpec::window() const {
  switch (policy) {
    case PolicyClass::kHpa:
      return hpa.zero_after.value_or(kNeverUnload);
    case PolicyClass::kAdaptive:
      return adaptive.window;
    case PolicyClass::kAverage:
      return average.window;
    case PolicyClass::kLua:
      return lua_window;
    case PolicyClass::kKpa:
      break;
  }
  return kpa.stable_window;
}

bool PolicySpec::learns() const { return policy == PolicyClass::kAdaptive; }

bool PolicySpec::never_rests() const {
  return outside || !schedule.empty() || forecast.has_value() || hybrid_keep_alive.has_value();
}

std::string PolicySpec::problem() const {
  return policy == PolicyClass::kLua && lua ? lua->problem() : std::string();
}

double PolicySpec::target() const {
  switch (policy) {
    case PolicyClass::kAdaptive:
      return adaptive.target;
    case PolicyClass::kAverage:
      return average.target;
    case PolicyClass::kHpa:
    case PolicyClass::kLua:
      return 0;
    case PolicyClass::kKpa:
      break;
  }
  return kpa.target;
}

PolicySpec::Burst PolicySpec::burst() const {
  switch (policy) {
    case PolicyClass::kHpa:  // it decides every 15 s and repeats itself in between
      return Burst::kWait;
    case PolicyClass::kAdaptive:
    case PolicyClass::kAverage:
    case PolicyClass::kLua:
      return Burst::kAskPolicy;
    case PolicyClass::kKpa:
      break;
  }
  return Burst::kLoadOverTarget;
}

const HpaPolicy* hpa_of(const Policy& policy) {
  if (const auto* combined = dynamic_cast<const Combine*>(&policy)) {
    // The first part is the one of the class.
    return dynamic_cast<const HpaPolicy*>(combined->parts().front().policy.get());
  }
  return dynamic_cast<const HpaPolicy*>(&policy);
}

std::unique_ptr<Policy> make_policy(const PolicySpec& spec, int ready, TimePoint now) {
  auto policy = deciding(spec, ready, now);
  if (spec.schedule.empty() && !spec.forecast) return policy;
  std::vector<Combine::Part> parts;
  parts.push_back({.name = name_of(spec.policy).brief, .policy = std::move(policy)});
  if (!spec.schedule.empty()) {
    parts.push_back({.name = "schedule",
                     .policy = std::make_unique<Schedule>(spec.schedule),
                     .role = Combine::Role::kRaises});
  }
  if (spec.forecast) {
    parts.push_back({.name = "forecast",
                     .policy = std::make_unique<Forecast>(*spec.forecast),
                     .role = Combine::Role::kRaises});
  }
  return std::make_unique<Combine>(std::move(parts));
}

}  // namespace ebb::scaling
