#include "control/policy_plan.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "api/autoscaling.h"
#include "api/policy_annotations.h"
#include "control/outside_value.h"

namespace ebb::control {
namespace {

using scaling::HpaMetricSpec;
using scaling::PolicyClass;
using scaling::PolicySpec;

const std::string kClass = fmt::format("{}class", api::kAutoscalingPrefix);
const std::string kMetric = fmt::format("{}metric", api::kAutoscalingPrefix);
const std::string kWindow = fmt::format("{}window", api::kAutoscalingPrefix);
constexpr double kThousandths = 1000;
// A pod without a limit counts as one core.
constexpr int64_t kDefaultCpu = 1000;
// While nothing is known of a function's idle times.
constexpr Duration kFirstKeepAlive = std::chrono::minutes(10);

bool are_possible(const Annotations& annotations) {
  std::vector<api::FieldError> errors;
  static_cast<void>(api::parse_autoscaling(annotations, "", errors));
  static_cast<void>(api::parse_policy(annotations, "", errors));
  return errors.empty();
}

scaling::MetricKind metric_of(const api::AutoscalingSpec& wish) {
  return wish.metric == "rps" ? scaling::MetricKind::kRequests : scaling::MetricKind::kConcurrency;
}

void set_kpa(const api::AutoscalingSpec& wish, int concurrency, scaling::KpaSettings& kpa) {
  kpa.metric = metric_of(wish);
  kpa.weighting = wish.aggregation == "weighted-exponential"
                      ? scaling::Window::Weighting::kExponential
                      : scaling::Window::Weighting::kLinear;
  kpa.stable_window = wish.stable_window;
  kpa.panic_window_percentage = wish.panic_window_percentage;
  kpa.panic_threshold_percentage = wish.panic_threshold_percentage;
  kpa.max_scale_up_rate = wish.max_scale_up_rate;
  kpa.max_scale_down_rate = wish.max_scale_down_rate;
  kpa.activation_scale = static_cast<int>(wish.activation_scale);
  kpa.scale_down_delay = wish.scale_down_delay;
  kpa.target_burst_capacity = wish.target_burst_capacity;
  kpa.set_target({.container_concurrency = concurrency,
                  .target = wish.total_target(concurrency),
                  .utilization = wish.target_utilization});
}

// With the reserve of class kpa, which is the only one that has one.
int pod_target(const api::AutoscalingSpec& wish, PolicyClass policy, int concurrency) {
  const double total =
      wish.metric == "concurrency" ? wish.total_target(concurrency) : wish.concurrency_default;
  const double target = policy == PolicyClass::kKpa ? total * wish.target_utilization : total;
  return static_cast<int>(std::ceil(std::clamp(target, 1.0, 1e9)));
}

// Use is told as a part of the request, else of the limit.
void set_requests(const scheduling::PodTemplate& pod, scaling::HpaPolicySettings& hpa) {
  hpa.cpu_request = pod.cpu_request_millis > 0 ? pod.cpu_request_millis
                    : pod.cpu_millis > 0       ? pod.cpu_millis
                                               : kDefaultCpu;
  hpa.memory_request =
      static_cast<int64_t>(pod.memory_request > 0 ? pod.memory_request : pod.memory_bytes);
}

// As Knative makes a HorizontalPodAutoscaler of the annotations: cpu in percent of the
// request, memory in MiB, anything else as an average for each pod.
void set_hpa(const api::AutoscalingSpec& wish, const scheduling::PodTemplate& pod, bool outside,
             bool window_is_set, scaling::HpaPolicySettings& hpa) {
  constexpr double kCpuTarget = 80;
  constexpr double kMiB = 1024.0 * 1024.0;
  hpa.spec.min = std::max(outside ? 0 : 1, static_cast<int>(wish.min_scale));
  hpa.spec.max =
      wish.max_scale > 0 ? static_cast<int>(wish.max_scale) : std::numeric_limits<int>::max();
  HpaMetricSpec metric{.name = wish.metric};
  if (wish.metric == "cpu") {
    metric.target = std::max<int64_t>(1, std::llround(wish.target.value_or(kCpuTarget)));
  } else {
    const bool memory = wish.metric == "memory";
    const double target =
        wish.target.value_or(wish.total_target(static_cast<int64_t>(pod.concurrency)));
    metric.source = memory ? HpaMetricSpec::Source::kResource : HpaMetricSpec::Source::kExternal;
    metric.type = HpaMetricSpec::Type::kAverageValue;
    metric.target = std::llround(target * kThousandths * (memory ? kMiB : 1));
  }
  hpa.spec.metrics = {metric};
  if (!window_is_set) return;
  // As Knative has it: what is set is the stabilization of both directions.
  hpa.spec.behavior.emplace();
  hpa.spec.behavior->up.window = wish.stable_window;
  hpa.spec.behavior->down.window = wish.stable_window;
}

void set_own(const api::AutoscalingSpec& wish, const api::PolicyAnnotations& own, int concurrency,
             PolicySpec& spec) {
  spec.adaptive = {.target = wish.total_target(concurrency),
                   .window = wish.stable_window,
                   .wait = own.wait,
                   .patience = own.patience,
                   .share = own.share};
  const bool outside = own.outside.contains(wish.metric);
  spec.average = {.metric = metric_of(wish),
                  .outside = outside ? wish.metric : std::string(),
                  .target = wish.total_target(concurrency),
                  .window = wish.stable_window};
  spec.lua_window = wish.stable_window;
  if (own.forecast) {
    spec.forecast = scaling::ForecastSettings{.metric = metric_of(wish),
                                              .target = wish.total_target(concurrency),
                                              .lead = own.forecast_lead};
  }
  if (own.hybrid_keep_alive) {
    spec.hybrid_keep_alive = scaling::HybridSettings{
        .fallback = wish.retention > Duration(0) ? wish.retention : kFirstKeepAlive};
  }
}

// In place of what the annotations say.
void set_wish(const HpaWish& hpa, PolicySpec& spec, ScalePlan& plan) {
  spec.policy = PolicyClass::kHpa;
  spec.hpa.spec = hpa.spec;
  auto& bounds = plan.bounds;
  bounds.max = bounds.max > 0 ? std::min(bounds.max, hpa.spec.max) : hpa.spec.max;
  if (hpa.spec.min > 1) bounds.min = std::max(bounds.min, hpa.spec.min);
  bounds.min = std::min(bounds.min, bounds.max);
}

// Which of the outside metrics that are declared the policy looks at.
bool looks_at(const PolicySpec& spec, const std::string& name) {
  switch (spec.policy) {
    case PolicyClass::kLua:
      return true;
    case PolicyClass::kAverage:
      return spec.average.outside == name;
    case PolicyClass::kHpa:
      return std::any_of(spec.hpa.spec.metrics.begin(), spec.hpa.spec.metrics.end(),
                         [&](const HpaMetricSpec& metric) {
                           return scaling::is_outside(metric) && metric.name == name;
                         });
    case PolicyClass::kKpa:
    case PolicyClass::kAdaptive:
      break;
  }
  return false;
}

std::vector<scaling::ScheduleWindow> read_schedule(const api::PolicyAnnotations& own,
                                                   const std::string& path,
                                                   std::vector<api::FieldError>& errors) {
  const auto report = [&](std::string_view key, const std::string& value, const Error& error) {
    errors.push_back({api::annotation_path(path, key),
                      fmt::format("Invalid value: \"{}\": {}", value, error.message)});
  };
  if (own.schedule.empty()) return {};
  if (const auto zone = scaling::TimeZone::find(own.timezone); !zone) {
    report(api::kTimezoneAnnotation, own.timezone, zone.error());
    return {};
  }
  auto windows = scaling::parse_schedule(own.schedule, own.timezone);
  if (windows) return *std::move(windows);
  report(api::kScheduleAnnotation, own.schedule, windows.error());
  return {};
}

}  // namespace

ScaleAnnotations::ScaleAnnotations(Annotations its_own, const Annotations& defaults)
    : own(std::move(its_own)), all(own) {
  const auto says = [this](const std::string& name) {
    return std::any_of(own.begin(), own.end(), [&](const auto& one) {
      return api::newer_spelling(one.first) == api::newer_spelling(name);
    });
  };
  const auto add = [&](const std::string& name, const std::string& value) {
    if (says(name)) return;
    all.emplace(name, value);
    if (!are_possible(all)) all.erase(name);
  };
  // Of the class first: the others follow it.
  const auto named = defaults.find(kClass);
  const bool chosen = own.contains(kClass) ||
                      std::any_of(own.begin(), own.end(),
                                  [](const auto& one) { return api::is_for_kpa(one.first); });
  if (named != defaults.end() && !chosen) add(named->first, named->second);
  const std::string policy = api::autoscaler_class_of(all);
  for (const auto& [name, value] : defaults) {
    // A metric is for others, too; but where no class is named it would choose kpa.
    const bool of_others = name == kMetric && all.contains(kClass);
    const bool for_kpa = api::is_for_kpa(name) && !of_others;
    if (name == kClass || (for_kpa && policy != api::kKpaClass)) continue;
    // There it is not what is averaged, but how long a wish is held.
    if (name == kWindow && policy == api::kHpaClass) continue;
    add(name, value);
  }
}

void plan_scaling(const ScaleAnnotations& scale, const scheduling::PodTemplate& pod,
                  ScalePlan& plan, std::vector<api::FieldError>& errors, const HpaWish* hpa,
                  std::vector<OutsideNeed>* needs) {
  const Annotations& annotations = scale.all;
  const auto wish = api::parse_autoscaling(annotations, "metadata", errors);
  const auto own = api::parse_policy(annotations, "metadata", errors);
  const int concurrency = static_cast<int>(pod.concurrency);
  auto spec = std::make_shared<PolicySpec>();
  spec->policy = scaling::policy_class(wish.autoscaler_class).value_or(PolicyClass::kKpa);
  set_kpa(wish, concurrency, spec->kpa);
  set_requests(pod, spec->hpa);
  spec->hpa.zero_after = wish.stable_window;
  if (spec->policy == PolicyClass::kHpa) {
    set_hpa(wish, pod, own.outside.contains(wish.metric), annotations.contains(kWindow), spec->hpa);
  }
  set_own(wish, own, concurrency, *spec);
  if (spec->policy == PolicyClass::kLua) {
    spec->lua = std::make_shared<scaling::LuaFile>(own.file);  // nobody reads this one
  }
  spec->schedule = read_schedule(own, "metadata", errors);
  plan.bounds = {.min = static_cast<int>(wish.min_scale), .max = static_cast<int>(wish.max_scale)};
  if (hpa != nullptr) set_wish(*hpa, *spec, plan);
  // The autoscaler's own declarations win.
  auto declared = hpa != nullptr ? hpa->outside : std::map<std::string, std::string>();
  declared.insert(own.outside.begin(), own.outside.end());
  for (const auto& [name, declaration] : declared) {
    if (!looks_at(*spec, name)) continue;
    spec->outside = true;
    if (needs != nullptr) needs->push_back({name, declaration});
  }
  spec->annotations = scale.own;
  plan.policy = std::move(spec);
  plan.pod_target = pod_target(wish, plan.policy->policy, concurrency);
  plan.initial_scale = static_cast<int>(wish.initial_scale);
  plan.retention = wish.retention;
  plan.service_max = own.service_max;
}

void check_outside(const std::map<std::string, std::string>& declared, const std::string& path,
                   std::vector<api::FieldError>& errors) {
  for (const auto& [name, declaration] : declared) {
    const auto spec = parse_outside_metric(declaration);
    if (spec) continue;
    errors.push_back({api::annotation_path(path, api::outside_annotation(name)),
                      fmt::format("Invalid value: \"{}\": {}", declaration, spec.error().message)});
  }
}

void check_scaling(const std::map<std::string, std::string>& annotations, const std::string& path,
                   std::vector<api::FieldError>& errors) {
  std::vector<api::FieldError> seen_by_validation;
  const auto own = api::parse_policy(annotations, path, seen_by_validation);
  check_outside(own.outside, path, errors);
  static_cast<void>(read_schedule(own, path, errors));
}

std::shared_ptr<const PolicySpec> PolicyShare::get(const ScaleAnnotations& annotations,
                                                   const scheduling::PodTemplate& pod,
                                                   std::shared_ptr<const PolicySpec> made,
                                                   PolicyFolder* policies) {
  std::string key = fmt::format("{}/{}/{}/{}/{}", pod.concurrency, pod.cpu_millis, pod.memory_bytes,
                                pod.cpu_request_millis, pod.memory_request);
  for (const Annotations* part : {&annotations.own, &annotations.all}) {
    key += fmt::format("\n{}", part->size());
    for (const auto& [name, value] : *part) {
      key += fmt::format("\n{}:{}={}", name, value.size(), value);
    }
  }
  auto& known = known_[key];
  if (auto shared = known.lock()) return shared;
  if (made->lua && policies != nullptr) {
    auto with_file = std::make_shared<PolicySpec>(*made);
    with_file->lua = policies->file(made->lua->name());
    made = std::move(with_file);
  }
  known = made;
  if (known_.size() >= sweep_at_) {
    std::erase_if(known_, [](const auto& one) { return one.second.expired(); });
    sweep_at_ = std::max<size_t>(64, 2 * known_.size());
  }
  return made;
}

}  // namespace ebb::control
