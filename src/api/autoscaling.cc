#include "api/autoscaling.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "api/duration.h"
#include "api/policy_annotations.h"
#include "api/types.h"

namespace ebb::api {
namespace {

using Annotations = std::map<std::string, std::string>;

constexpr double kMinTarget = 0.01;
constexpr double kMaxTarget = 1e9;
constexpr double kMaxRate = 1e6;
constexpr int64_t kMaxScale = INT32_MAX;
constexpr Duration kMinWindow = std::chrono::seconds(6);
constexpr Duration kHour = std::chrono::hours(1);

struct Key {
  std::string_view name;
  std::string_view legacy;  // the old camelCase spelling; empty if there is none
  bool for_kpa = false;     // other classes have no use for it
};
constexpr std::array<Key, 19> kKeys{{
    {"class", ""},
    {"metric", "", true},
    {"target", ""},
    {"window", ""},
    {"activation-scale", ""},
    {"min-scale", "minScale"},
    {"max-scale", "maxScale"},
    {"initial-scale", "initialScale"},
    {"target-utilization-percentage", "targetUtilizationPercentage", true},
    {"target-burst-capacity", "targetBurstCapacity", true},
    {"panic-window-percentage", "panicWindowPercentage", true},
    {"panic-threshold-percentage", "panicThresholdPercentage", true},
    {"scale-down-delay", "scaleDownDelay", true},
    {"scale-to-zero-pod-retention-period", "scaleToZeroPodRetentionPeriod"},
    {"metric-aggregation-algorithm", "metricAggregationAlgorithm", true},
    {"max-scale-up-rate", "", true},
    {"max-scale-down-rate", "", true},
    {"container-concurrency-target-default", ""},
    {"requests-per-second-target-default", ""},
}};

// Looks annotations up and reports what is wrong with them.
class Reader {
 public:
  Reader(const Annotations& annotations, const std::string& path, std::vector<FieldError>& errors)
      : annotations_(annotations), path_(path), errors_(errors) {}

  // The value of `name`, in either spelling; nullptr if it is not set.
  const std::string* find(std::string_view name) {
    for (const auto& key : kKeys) {
      if (key.name != name) continue;
      for (auto spelling : {key.name, key.legacy}) {
        if (spelling.empty()) continue;
        key_ = std::string(kAutoscalingPrefix) + std::string(spelling);
        auto found = annotations_.find(key_);
        if (found != annotations_.end()) return &found->second;
      }
    }
    return nullptr;
  }
  [[nodiscard]] bool declares(std::string_view metric) const {
    return annotations_.contains(outside_annotation(metric));
  }
  // Reports what only kpa has an effect of; a metric is looked at elsewhere.
  void refuse_what_is_for_kpa(std::string_view autoscaler_class) {
    for (const auto& key : kKeys) {
      if (!key.for_kpa || key.name == "metric") continue;
      const auto* text = find(key.name);
      if (text == nullptr) continue;
      report(*text, fmt::format("has an effect only with class {}, not with {}", kKpaClass,
                                autoscaler_class));
    }
  }
  // About the annotation that was found last.
  void report(const std::string& value, std::string_view why) {
    errors_.push_back(
        {path_ + "[" + key_ + "]", fmt::format("Invalid value: \"{}\": {}", value, why)});
  }

  void integer(std::string_view name, int64_t least, int64_t& out) {
    const auto* text = find(name);
    if (!text) return;
    int64_t value = 0;
    auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (error != std::errc() || end != text->data() + text->size() || value < least ||
        value > kMaxScale) {
      report(*text, fmt::format("must be an integer in [{}, {}]", least, kMaxScale));
      return;
    }
    out = value;
  }
  template <class Good>
  void number(std::string_view name, Good good, std::string_view wanted, double& out) {
    const auto* text = find(name);
    if (!text) return;
    double value = 0;
    auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (error != std::errc() || end != text->data() + text->size() || !std::isfinite(value) ||
        !good(value)) {
      report(*text, wanted);
      return;
    }
    out = value;
  }
  void duration(std::string_view name, Duration least, Duration most, bool whole_seconds,
                Duration& out) {
    const auto* text = find(name);
    if (!text) return;
    auto value = parse_duration(*text);
    if (!value) {
      report(*text, value.error().message);
    } else if (*value < least || *value > most) {
      report(*text,
             fmt::format("must be in [{}, {}]", format_duration(least), format_duration(most)));
    } else if (whole_seconds && *value % std::chrono::seconds(1) != Duration(0)) {
      report(*text, "must be whole seconds");
    } else {
      out = *value;
    }
  }

 private:
  const Annotations& annotations_;
  const std::string& path_;
  std::vector<FieldError>& errors_;
  std::string key_;
};

void read_scales(Reader& read, AutoscalingSpec& spec) {
  read.integer("min-scale", 0, spec.min_scale);
  read.integer("max-scale", 0, spec.max_scale);
  read.integer("initial-scale", 0, spec.initial_scale);
  if (spec.max_scale > 0 && spec.min_scale > spec.max_scale) {
    (void)read.find("max-scale");
    read.report(std::to_string(spec.max_scale),
                fmt::format("must be at least min-scale, which is {}", spec.min_scale));
    spec.max_scale = spec.min_scale;
  }
  read.integer("activation-scale", 2, spec.activation_scale);
  const auto* activation = read.find("activation-scale");
  if (activation && spec.activation_scale > 1 &&
      (spec.activation_scale < spec.min_scale ||
       (spec.max_scale > 0 && spec.activation_scale > spec.max_scale))) {
    read.report(*activation, "must be between min-scale and max-scale");
    spec.activation_scale = 1;
  }
}

bool is_own(std::string_view autoscaler_class) {
  return autoscaler_class == kAdaptiveClass || autoscaler_class == kAverageClass ||
         autoscaler_class == kLuaClass;
}

// `otherwise`: without a class. False if the class is none.
bool read_class_and_metric(Reader& read, const std::string& otherwise, AutoscalingSpec& spec) {
  bool known = true;
  spec.autoscaler_class = otherwise;
  if (const auto* text = read.find("class")) {
    constexpr std::string_view kOurs = ".knative.dev";
    const bool kpa_or_hpa = *text == kKpaClass || *text == kHpaClass;
    if (text->ends_with(kOurs) && !kpa_or_hpa) {
      read.report(*text, fmt::format("must be {} or {}", kKpaClass, kHpaClass));
      known = false;
      spec.autoscaler_class = AutoscalingSpec().autoscaler_class;
    } else {
      spec.autoscaler_class = *text;
    }
  }
  if (const auto* text = read.find("metric")) {
    const bool kpa = known && spec.autoscaler_class == kKpaClass;
    const bool own = is_own(spec.autoscaler_class);
    const bool load = *text == "concurrency" || *text == "rps";
    const bool average = spec.autoscaler_class == kAverageClass;
    const bool hpa = spec.autoscaler_class == kHpaClass;
    const bool outside = (average || hpa) && !text->empty() && read.declares(*text);
    if (text->empty() || ((kpa || own) && !load && !outside)) {
      read.report(*text, average ? "must be \"concurrency\", \"rps\", or the NAME of an annotation "
                                   "ebb.dev/metric-NAME"
                                 : "must be \"concurrency\" or \"rps\"");
    } else if (hpa && !load && !outside && *text != "cpu" && *text != "memory") {
      read.report(*text,
                  fmt::format("must be \"cpu\", \"memory\", \"concurrency\", \"rps\", or say "
                              "by the annotation {} where it is to be had",
                              outside_annotation(*text)));
    } else if (spec.autoscaler_class == kAdaptiveClass && *text != "concurrency") {
      read.report(*text, fmt::format("class {} looks at requests and concurrency by itself: leave "
                                     "it out",
                                     kAdaptiveClass));
    } else {
      spec.metric = *text;
    }
  } else if (spec.autoscaler_class == kHpaClass) {
    spec.metric = "cpu";
  }
  if (const auto* text = read.find("metric-aggregation-algorithm")) {
    if (*text == "linear" || *text == "weighted-exponential") {
      spec.aggregation = *text;
    } else {
      read.report(*text, "must be \"linear\" or \"weighted-exponential\"");
    }
  }
  return known;
}

// What holds without the annotation.
Duration default_window(const std::string& autoscaler_class) {
  if (autoscaler_class == kAverageClass) return std::chrono::seconds(10);
  if (autoscaler_class == kAdaptiveClass) return AutoscalingSpec().stable_window;
  if (autoscaler_class == kHpaClass) return std::chrono::seconds(300);
  return std::chrono::seconds(60);
}

// A misspelt annotation would else be without effect and without a word.
void refuse_unknown(const Annotations& annotations, const std::string& path,
                    std::vector<FieldError>& errors) {
  for (const auto& [key, value] : annotations) {
    if (!key.starts_with(kAutoscalingPrefix)) continue;
    auto name = std::string_view(key).substr(kAutoscalingPrefix.size());
    bool known = std::any_of(kKeys.begin(), kKeys.end(), [&](const Key& k) {
      return name == k.name || (!k.legacy.empty() && name == k.legacy);
    });
    if (!known) {
      errors.push_back({fmt::format("{}[{}]", path, key),
                        fmt::format("Invalid value: \"{}\": unknown autoscaling annotation", key)});
    }
  }
}

}  // namespace

bool is_for_kpa(std::string_view annotation) {
  if (!annotation.starts_with(kAutoscalingPrefix)) return false;
  const auto name = annotation.substr(kAutoscalingPrefix.size());
  return std::any_of(kKeys.begin(), kKeys.end(), [name](const Key& key) {
    return key.for_kpa && (name == key.name || name == key.legacy);
  });
}

std::string newer_spelling(const std::string& annotation) {
  if (!annotation.starts_with(kAutoscalingPrefix)) return annotation;
  const auto name = std::string_view(annotation).substr(kAutoscalingPrefix.size());
  const auto* found = std::find_if(kKeys.begin(), kKeys.end(), [name](const Key& key) {
    return !key.legacy.empty() && name == key.legacy;
  });
  return found == kKeys.end() ? annotation : fmt::format("{}{}", kAutoscalingPrefix, found->name);
}

std::string autoscaler_class_of(const Annotations& annotations) {
  const auto named = annotations.find(fmt::format("{}class", kAutoscalingPrefix));
  if (named != annotations.end()) return named->second;
  const bool kpa = std::any_of(annotations.begin(), annotations.end(),
                               [](const auto& one) { return is_for_kpa(one.first); });
  return std::string(kpa ? kKpaClass : kAdaptiveClass);
}

double AutoscalingSpec::total_target(int64_t container_concurrency) const {
  if (metric == "rps") return target.value_or(rps_default);
  // Slots of a pod say nothing about another metric.
  if (metric != "concurrency") return target.value_or(concurrency_default);
  auto limit = static_cast<double>(container_concurrency);
  if (!target) return limit > 0 ? limit : concurrency_default;
  return limit > 0 ? std::min(*target, limit) : *target;
}

AutoscalingSpec parse_autoscaling(const Annotations& annotations, const std::string& path,
                                  std::vector<FieldError>& errors) {
  AutoscalingSpec spec;
  Reader read(annotations, path, errors);
  refuse_unknown(annotations, path, errors);
  const bool known = read_class_and_metric(read, autoscaler_class_of(annotations), spec);
  if (known && is_own(spec.autoscaler_class)) read.refuse_what_is_for_kpa(spec.autoscaler_class);
  read_scales(read, spec);

  const auto is_target = [](double v) { return v >= kMinTarget && v <= kMaxTarget; };
  constexpr std::string_view kTargets = "must be in [0.01, 1e9]";
  double target = 0;
  read.number("target", is_target, kTargets, target);
  if (target > 0) spec.target = target;
  read.number("container-concurrency-target-default", is_target, kTargets,
              spec.concurrency_default);
  read.number("requests-per-second-target-default", is_target, kTargets, spec.rps_default);
  double percentage = spec.target_utilization * 100;
  read.number(
      "target-utilization-percentage", [](double v) { return v >= 1 && v <= 100; },
      "must be in [1, 100]", percentage);
  spec.target_utilization = percentage / 100;
  read.number(
      "target-burst-capacity", [](double v) { return v >= 0 || v == -1; },
      "must be at least 0, or -1 for unlimited", spec.target_burst_capacity);
  read.number(
      "panic-window-percentage", [](double v) { return v >= 1 && v <= 100; }, "must be in [1, 100]",
      spec.panic_window_percentage);
  read.number(
      "panic-threshold-percentage", [](double v) { return v >= 110 && v <= 1000; },
      "must be in [110, 1000]", spec.panic_threshold_percentage);
  const auto is_rate = [](double v) { return v > 1 && v <= kMaxRate; };
  constexpr std::string_view kRates = "must be greater than 1, and at most 1e6";
  read.number("max-scale-up-rate", is_rate, kRates, spec.max_scale_up_rate);
  read.number("max-scale-down-rate", is_rate, kRates, spec.max_scale_down_rate);

  const Duration least = is_own(spec.autoscaler_class) ? kMinOwnWindow : kMinWindow;
  spec.stable_window = default_window(spec.autoscaler_class);
  read.duration("window", least, kHour, true, spec.stable_window);
  read.duration("scale-down-delay", Duration(0), kHour, true, spec.scale_down_delay);
  read.duration("scale-to-zero-pod-retention-period", Duration(0), kHour, false, spec.retention);
  return spec;
}

Duration parse_progress_deadline(const Annotations& annotations, const std::string& path,
                                 std::vector<FieldError>& errors) {
  std::string key(kProgressDeadline);
  auto found = annotations.find(key);
  if (found == annotations.end()) return kDefaultProgressDeadline;
  auto value = parse_duration(found->second);
  bool whole = value && *value % std::chrono::seconds(1) == Duration(0);
  if (whole && *value >= std::chrono::seconds(1)) return *value;
  errors.push_back(
      {path + "[" + key + "]",
       fmt::format("Invalid value: \"{}\": must be whole seconds, at least 1s", found->second)});
  return kDefaultProgressDeadline;
}

}  // namespace ebb::api
