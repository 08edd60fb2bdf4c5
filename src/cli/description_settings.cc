#include "cli/description_settings.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "api/autoscaling.h"
#include "api/types.h"
#include "cli/console.h"
#include "cli/table.h"

namespace ebb::cli {

namespace {

using api::Json;

// The two names that each bound of the scale goes by.
constexpr std::array kMinScale{"min-scale", "minScale"};
constexpr std::array kMaxScale{"max-scale", "maxScale"};

std::string annotation(const Json& object, std::string_view key) {
  return line_at(object, {"metadata", "annotations", std::string(key)});
}

std::string or_else(const std::string& value, const char* otherwise) {
  return value.empty() ? otherwise : value;
}

std::string scale(const Json& of, const std::array<const char*, 2>& names) {
  for (const char* name : names) {
    std::string value = annotation(of, std::string(api::kAutoscalingPrefix) + name);
    if (!value.empty()) return value;
  }
  return "default";
}

std::string runtime_of(const Json& container) {
  std::string image = line_at(container, {"image"});
  const std::string prefix(api::kRuntimeImagePrefix);
  if (image.starts_with(prefix)) image.erase(0, prefix.size());
  return image;
}

// "128Mi (request 64Mi)".
std::string resource(const Json& container, const char* name, const char* without_limit) {
  std::string shown = or_else(line_at(container, {"resources", "limits", name}), without_limit);
  const std::string request = line_at(container, {"resources", "requests", name});
  if (!request.empty()) shown += " (request " + request + ")";
  return shown;
}

bool is_scale(std::string_view name) {
  if (!name.starts_with(api::kAutoscalingPrefix)) return false;
  name.remove_prefix(api::kAutoscalingPrefix.size());
  const auto is_name = [name](const char* one) { return name == one; };
  return std::any_of(kMinScale.begin(), kMinScale.end(), is_name) ||
         std::any_of(kMaxScale.begin(), kMaxScale.end(), is_name);
}

// Under serving.knative.dev/ most is bookkeeping; these are wishes of the user.
bool is_bookkeeping(std::string_view name) {
  constexpr std::string_view kServing = "serving.knative.dev/";
  constexpr std::array<std::string_view, 3> kWishes{"no-gc", "progress-deadline",
                                                    "rollout-duration"};
  if (name == "kubectl.kubernetes.io/last-applied-configuration") return true;
  if (!name.starts_with(kServing)) return false;
  name.remove_prefix(kServing.size());
  return std::find(kWishes.begin(), kWishes.end(), name) == kWishes.end();
}

}  // namespace

std::vector<Setting> settings_of(const Json& made_from) {
  const Json& containers = list_at(made_from, "/spec/containers");
  if (containers.empty()) return {};
  const Json& container = containers[0];
  const std::string most = scale(made_from, kMaxScale);
  const std::string concurrency = line_at(made_from, {"spec", "containerConcurrency"});
  const std::string timeout = line_at(made_from, {"spec", "timeoutSeconds"});
  return {
      {"Runtime", runtime_of(container)},
      {"Code", annotation(made_from, api::kCodeAnnotation)},
      {"Min pods", scale(made_from, kMinScale)},
      {"Max pods", most == "0" ? "no limit" : most},
      {"Concurrency", concurrency == "0" ? "no limit" : or_else(concurrency, "no limit")},
      {"Timeout", timeout.empty() ? timeout : timeout + " s"},
      {"Memory", resource(container, "memory", "default")},
      {"CPU", resource(container, "cpu", "no limit")},
      {"Network", or_else(annotation(made_from, api::kNetworkAnnotation), "default")},
  };
}

std::vector<Setting> annotations_of(const Json& made_from) {
  static const Json::json_pointer kPath("/metadata/annotations");
  std::vector<Setting> out;
  if (!made_from.is_object() || !made_from.contains(kPath)) return out;
  const Json& all = made_from.at(kPath);
  if (!all.is_object()) return out;
  const bool has_settings = !list_at(made_from, "/spec/containers").empty();  // with its scale
  for (const auto& [name, value] : all.items()) {                             // sorted by name
    const bool shown = name == api::kCodeAnnotation || name == api::kNetworkAnnotation ||
                       (has_settings && is_scale(name)) || is_bookkeeping(name);
    if (!shown) out.emplace_back(one_line(name), line_at(all, {name}));
  }
  return out;
}

}  // namespace ebb::cli
