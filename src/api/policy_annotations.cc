#include "api/policy_annotations.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>

#include "api/autoscaling.h"
#include "api/duration.h"
#include "api/types.h"

namespace ebb::api {
namespace {

using Annotations = std::map<std::string, std::string>;

constexpr std::string_view kClass = "autoscaling.knative.dev/class";
constexpr std::string_view kWait = "ebb.dev/policy-wait";
constexpr std::string_view kPatience = "ebb.dev/policy-patience";
constexpr std::string_view kShare = "ebb.dev/policy-share";
constexpr std::string_view kFile = "ebb.dev/policy-file";
constexpr std::string_view kForecast = "ebb.dev/forecast";
constexpr std::string_view kForecastLead = "ebb.dev/forecast-lead";
constexpr std::string_view kKeepAlive = "ebb.dev/keep-alive";
constexpr std::string_view kServiceMax = "ebb.dev/service-max-scale";
constexpr std::array<std::string_view, 10> kKeys{
    kWait,     kPatience,     kShare,     kFile,      kScheduleAnnotation, kTimezoneAnnotation,
    kForecast, kForecastLead, kKeepAlive, kServiceMax};
// Of those that begin so, these are not about scaling; the rest, if it is none of kKeys, is
// misspelt.
constexpr std::string_view kPrefix = "ebb.dev/";
constexpr std::array kOthers{kCodeAnnotation, kNetworkAnnotation, kFreezeAnnotation,
                             kPreloadAnnotation, kLoadBalancingAnnotation};
// And a name.
constexpr std::string_view kOutside = "ebb.dev/metric-";
constexpr size_t kMaxOutsideName = 40;
constexpr std::array<std::string_view, 4> kOwnMetrics{"cpu", "memory", "concurrency", "rps"};

constexpr Duration kMinWait = std::chrono::milliseconds(1);
constexpr Duration kMaxWait = std::chrono::minutes(1);
constexpr double kMinShare = 0.0001;
constexpr double kMaxShare = 0.5;
constexpr double kMaxPatience = 100;
constexpr Duration kMinLead = std::chrono::seconds(1);
constexpr Duration kMaxLead = std::chrono::hours(1);
constexpr size_t kMaxFileName = 128;
constexpr double kMostServicePods = 1e6;

// Looks annotations up and reports what is wrong with them.
class Reader {
 public:
  Reader(const Annotations& annotations, const std::string& path, std::vector<FieldError>& errors)
      : annotations_(annotations), path_(path), errors_(errors) {}

  const std::string* find(std::string_view key) const {
    const auto found = annotations_.find(std::string(key));
    return found == annotations_.end() ? nullptr : &found->second;
  }
  void report(std::string_view key, const std::string& value, std::string_view why) {
    errors_.push_back(
        {annotation_path(path_, key), fmt::format("Invalid value: \"{}\": {}", value, why)});
  }
  void duration(std::string_view key, Duration least, Duration most, Duration& out) {
    const auto* text = find(key);
    if (!text) return;
    auto value = parse_duration(*text);
    if (!value) {
      report(key, *text, value.error().message);
    } else if (*value < least || *value > most) {
      report(key, *text,
             fmt::format("must be in [{}, {}]", format_duration(least), format_duration(most)));
    } else {
      out = *value;
    }
  }
  // One of two words, of which `yes` sets it.
  void choice(std::string_view key, std::string_view yes, std::string_view no, bool& out) {
    const auto* text = find(key);
    if (!text) return;
    if (*text != yes && *text != no) {
      report(key, *text, fmt::format("must be \"{}\" or \"{}\"", yes, no));
      return;
    }
    out = *text == yes;
  }
  // Reports it if there is one: it would have no effect.
  void refuse(std::string_view key, std::string_view why) {
    if (const auto* text = find(key)) report(key, *text, why);
  }

 private:
  const Annotations& annotations_;
  const std::string& path_;
  std::vector<FieldError>& errors_;
};

void read_number(Reader& read, std::string_view key, double least, double most, double& out) {
  const auto* text = read.find(key);
  if (!text) return;
  double value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size() ||
      !(value >= least && value <= most)) {
    read.report(key, *text, fmt::format("must be a number in [{}, {}]", least, most));
    return;
  }
  out = value;
}

// No folder can be part of it, so that nothing outside of that of the policies is read.
bool is_policy_name(std::string_view name) {
  constexpr std::string_view kEnd = ".lua";
  return name.size() > kEnd.size() && name.size() <= kMaxFileName && name.ends_with(kEnd) &&
         name.front() != '.' && std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '-';
         });
}

bool is_metric_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxOutsideName && name.front() != '-' &&
         name.back() != '-' && std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

void read_class_settings(Reader& read, const Annotations& annotations, PolicyAnnotations& policy) {
  const auto* text = read.find(kClass);
  const std::string used = autoscaler_class_of(annotations);
  constexpr std::string_view kOurs = "ebb.dev/";
  const bool ours = used.size() > kOurs.size() &&
                    std::equal(kOurs.begin(), kOurs.end(), used.begin(), [](char a, char b) {
                      return a == std::tolower(static_cast<unsigned char>(b));
                    });
  if (ours && used != kAdaptiveClass && used != kAverageClass && used != kLuaClass) {
    read.report(kClass, *text,
                fmt::format("must be {}, {} or {}", kAdaptiveClass, kAverageClass, kLuaClass));
  }
  if (used == kAdaptiveClass) {
    read.duration(kWait, kMinWait, kMaxWait, policy.wait);
    read_number(read, kPatience, 0, kMaxPatience, policy.patience);
    read_number(read, kShare, kMinShare, kMaxShare, policy.share);
  } else {
    const auto why = fmt::format("has an effect only with class {}", kAdaptiveClass);
    read.refuse(kWait, why);
    read.refuse(kPatience, why);
    read.refuse(kShare, why);
  }
  if (used != kLuaClass) {
    read.refuse(kFile, fmt::format("has an effect only with class {}", kLuaClass));
    return;
  }
  const auto* file = read.find(kFile);
  if (!file) {
    read.report(kClass, *text, fmt::format("needs {}, the name of its file", kFile));
  } else if (!is_policy_name(*file)) {
    read.report(kFile, *file,
                fmt::format("must be NAME.lua of letters, digits, '-', '_' and '.', at most {} "
                            "characters, without a folder",
                            kMaxFileName));
  } else {
    policy.file = *file;
  }
}

void refuse_unknown_keys(const Annotations& annotations, const std::string& path,
                         std::vector<FieldError>& errors) {
  for (const auto& [key, value] : annotations) {
    if (!is_scaling_annotation(key) || key.starts_with(kAutoscalingPrefix) ||
        key.starts_with(kOutside) || std::ranges::find(kKeys, key) != kKeys.end()) {
      continue;
    }
    errors.push_back({annotation_path(path, key),
                      fmt::format("Invalid value: \"{}\": unknown annotation", key)});
  }
}

}  // namespace

std::string annotation_path(const std::string& path, std::string_view key) {
  return fmt::format("{}[{}]", path, key);
}

std::string outside_annotation(std::string_view name) {
  return fmt::format("{}{}", kOutside, name);
}

std::map<std::string, std::string> parse_outside_metrics(const Annotations& annotations,
                                                         const std::string& path,
                                                         std::vector<FieldError>& errors) {
  std::map<std::string, std::string> out;
  for (const auto& [key, value] : annotations) {
    if (!key.starts_with(kOutside)) continue;
    const std::string name = key.substr(kOutside.size());
    std::string why;
    if (!is_metric_name(name)) {
      why = fmt::format(
          "the metric's name must be of lower case letters, digits and '-', at "
          "most {} characters",
          kMaxOutsideName);
    } else if (std::find(kOwnMetrics.begin(), kOwnMetrics.end(), name) != kOwnMetrics.end()) {
      why = fmt::format("{} is measured anyway: choose another name", name);
    } else if (value.empty()) {
      why = "must be \"prometheus URL QUERY\" or \"json URL POINTER\"";
    } else if (out.size() == kMaxOutsideMetrics) {
      why = fmt::format("at most {} metrics from outside", kMaxOutsideMetrics);
    } else {
      out.emplace(name, value);
      continue;
    }
    errors.push_back(
        {annotation_path(path, key), fmt::format("Invalid value: \"{}\": {}", value, why)});
  }
  return out;
}

bool is_scaling_annotation(std::string_view key) {
  return key.starts_with(kAutoscalingPrefix) ||
         (key.starts_with(kPrefix) && std::ranges::find(kOthers, key) == kOthers.end());
}

PolicyAnnotations parse_policy(const Annotations& annotations, const std::string& path,
                               std::vector<FieldError>& errors) {
  PolicyAnnotations policy;
  Reader read(annotations, path, errors);
  refuse_unknown_keys(annotations, path, errors);
  read_class_settings(read, annotations, policy);
  if (const auto* text = read.find(kScheduleAnnotation)) {
    policy.schedule = *text;
    if (text->find_first_not_of(" \t\r\n;") == std::string::npos) {
      read.report(kScheduleAnnotation, *text, "must be windows: OPEN | CLOSE | PODS [| ZONE]");
    }
  }
  if (const auto* zone = read.find(kTimezoneAnnotation)) {
    policy.timezone = *zone;
    if (policy.schedule.empty()) {
      read.refuse(kTimezoneAnnotation,
                  fmt::format("has an effect only with {}", kScheduleAnnotation));
    }
  }
  read.choice(kForecast, "true", "false", policy.forecast);
  if (policy.forecast) {
    read.duration(kForecastLead, kMinLead, kMaxLead, policy.forecast_lead);
  } else {
    read.refuse(kForecastLead, fmt::format("has an effect only with {} \"true\"", kForecast));
  }
  policy.outside = parse_outside_metrics(annotations, path, errors);
  read.choice(kKeepAlive, "hybrid", "fixed", policy.hybrid_keep_alive);
  double most = 0;
  read_number(read, kServiceMax, 0, kMostServicePods, most);
  policy.service_max = static_cast<int>(most);
  if (most != std::floor(most)) {
    read.refuse(kServiceMax, "must be a whole number of pods");
    policy.service_max = 0;
  }
  return policy;
}

}  // namespace ebb::api
