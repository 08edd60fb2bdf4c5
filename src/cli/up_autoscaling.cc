#include "cli/up_autoscaling.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <string>
#include <string_view>

#include "api/autoscaling.h"
#include "api/policy_annotations.h"
#include "api/quantity.h"

namespace ebb::cli {
namespace {

using Errors = std::vector<api::FieldError>;

// What no annotation can exceed. The first is Knative's name.
constexpr std::string_view kRevisionLimit = "max-scale-limit";
constexpr std::string_view kNamespaceLimit = "max-pods-per-namespace";
constexpr std::string_view kMemoryLimit = "max-pods-memory";

// A text for people, which Knative's ConfigMap comes with.
constexpr std::string_view kExample = "_example";
constexpr std::string_view kScaleToZero = "enable-scale-to-zero";
constexpr std::string_view kUtilization = "container-concurrency-target-percentage";

// Knative's config-autoscaler has these by other names than its annotations.
struct Alias {
  std::string_view key;
  std::string_view annotation;
};
constexpr std::array kAliases{
    Alias{"pod-autoscaler-class", "class"},
    Alias{"stable-window", "window"},
    Alias{kUtilization, "target-utilization-percentage"},
};

// Keys of config-autoscaler for what Ebb does not have, and why.
struct Useless {
  std::string_view key;
  std::string_view why;
};
constexpr std::array kUseless{
    Useless{"scale-to-zero-grace-period",
            "the last pod has nothing to wait for, since every request passes the gateway that "
            "holds it; leave it out, or keep the pod by scale-to-zero-pod-retention-period"},
    Useless{"activator-capacity", "there are no activators to choose from; leave it out"},
    Useless{"allow-zero-initial-scale", "it is always allowed; leave it out"},
};

void report(Errors& errors, std::string_view key, std::string message) {
  errors.push_back({.path = fmt::format("autoscaling.{}", key), .message = std::move(message)});
}

void read_limit(std::string_view key, const std::string& text, int& out, Errors& errors) {
  constexpr int kMost = 1'000'000;
  const char* end = text.data() + text.size();
  const auto [stopped, code] = std::from_chars(text.data(), end, out);
  if (code == std::errc() && stopped == end && out >= 0 && out <= kMost) return;
  out = 0;
  report(errors, key,
         fmt::format("\"{}\" is no whole number within 0 (no limit) and {}", text, kMost));
}

void read_memory(const std::string& text, uint64_t& out, Errors& errors) {
  if (const auto bytes = api::parse_bytes(text)) {
    out = static_cast<uint64_t>(*bytes);
  } else {
    report(errors, kMemoryLimit, bytes.error().message);
  }
}

// As Go's ParseBool.
void read_scale_to_zero(const std::string& text, bool& out, Errors& errors) {
  constexpr std::array<std::string_view, 6> kTrue{"1", "t", "T", "true", "TRUE", "True"};
  constexpr std::array<std::string_view, 6> kFalse{"0", "f", "F", "false", "FALSE", "False"};
  out = std::find(kTrue.begin(), kTrue.end(), text) != kTrue.end();
  if (!out && std::find(kFalse.begin(), kFalse.end(), text) == kFalse.end()) {
    report(errors, kScaleToZero, fmt::format("\"{}\" is neither true nor false", text));
  }
}

// As Knative reads the percentage: up to 1 it is a fraction.
std::string as_percentage(const std::string& text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, code] = std::from_chars(text.data(), end, value);
  if (code != std::errc() || stopped != end || !(value > 0 && value <= 1)) return text;
  return fmt::format("{}", value * 100);
}

// The keys as they were written, by annotation.
using Written = std::map<std::string, std::string>;

// A default: as an annotation that revisions have which do not set it.
void read_default(const std::string& key, const std::string& text, UpOptions& up, Written& written,
                  Errors& errors) {
  if (key == kExample) return;
  const auto* useless = std::find_if(kUseless.begin(), kUseless.end(),
                                     [&](const Useless& one) { return one.key == key; });
  if (useless != kUseless.end()) return report(errors, key, std::string(useless->why));
  const auto* alias = std::find_if(kAliases.begin(), kAliases.end(),
                                   [&](const Alias& one) { return one.key == key; });
  const std::string_view name = alias != kAliases.end() ? alias->annotation : key;
  const std::string annotation =
      api::newer_spelling(fmt::format("{}{}", api::kAutoscalingPrefix, name));
  if (written.emplace(annotation, key).second) {
    up.autoscaling[annotation] = key == kUtilization ? as_percentage(text) : text;
  } else {
    report(errors, key,
           fmt::format("is {} by another name: keep one of them", written[annotation]));
  }
}

// "autoscaling[ANNOTATION]" as the key that was written.
std::string path_of(const std::string& path, const Written& written) {
  for (const auto& [annotation, key] : written) {
    if (path == fmt::format("autoscaling[{}]", annotation)) return "autoscaling." + key;
  }
  return path;
}

// Those for kpa alone are for revisions of class kpa, the others for those of the class that is
// named: without one for revisions of all, and what Knative's refuses no one may have.
api::AutoscalingSpec check_defaults(const std::map<std::string, std::string>& defaults,
                                    Errors& errors) {
  const std::string class_key = fmt::format("{}class", api::kAutoscalingPrefix);
  std::map<std::string, std::string> for_kpa{{class_key, std::string(api::kKpaClass)}};
  auto rest = defaults;
  rest.emplace(class_key, api::kKpaClass);
  for (const auto& [name, value] : defaults) {
    if (api::is_for_kpa(name) && !name.ends_with("/metric")) for_kpa.insert(rest.extract(name));
  }
  static_cast<void>(api::parse_autoscaling(for_kpa, "autoscaling", errors));
  static_cast<void>(api::parse_policy(defaults, "autoscaling", errors));
  return api::parse_autoscaling(rest, "autoscaling", errors);
}

}  // namespace

void read_autoscaling(api::FieldReader& fields, UpOptions& up, Errors& errors) {
  std::map<std::string, std::string> keys;
  Written written;
  fields.read_scalars("autoscaling", keys);
  for (const auto& [key, text] : keys) {
    if (key == kRevisionLimit) {
      read_limit(key, text, up.limits.per_revision, errors);
    } else if (key == kNamespaceLimit) {
      read_limit(key, text, up.limits.per_namespace, errors);
    } else if (key == kMemoryLimit) {
      read_memory(text, up.limits.memory_bytes, errors);
    } else if (key == kScaleToZero) {
      read_scale_to_zero(text, up.scale_to_zero, errors);
    } else {
      read_default(key, text, up, written, errors);
    }
  }
  Errors found;
  const auto defaults = check_defaults(up.autoscaling, found);
  for (auto& error : found) {
    errors.push_back({path_of(error.path, written), std::move(error.message)});
  }
  const int most = up.limits.per_revision;
  if (most > 0 && std::max(defaults.min_scale, defaults.max_scale) > most) {
    report(errors, kRevisionLimit,
           fmt::format("{} is below the default of min-scale or max-scale", most));
  }
}

}  // namespace ebb::cli
