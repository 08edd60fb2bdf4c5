// What lists show of HorizontalPodAutoscalers, as kubectl's printers do
// (pkg/printers/internalversion, formatHPAMetrics).
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "api/hpa.h"

namespace ebb::api {
namespace {

constexpr size_t kShownMetrics = 2;
constexpr const char* kUnknown = "<unknown>";

std::string text_or(const Json& value, const char* fallback) {
  if (value.is_string()) return value.get<std::string>();
  return value.is_number() ? value.dump() : fallback;
}

// The value at a path of keys; null if there is none.
const Json& at(const Json& object, std::initializer_list<const char*> path) {
  static const Json kNull;
  const Json* value = &object;
  for (const char* key : path) {
    if (!value->is_object()) return kNull;
    const auto found = value->find(key);
    if (found == value->end()) return kNull;
    value = &*found;
  }
  return *value;
}

std::string percent(const Json& value, const char* fallback) {
  return value.is_number() ? value.dump() + "%" : fallback;
}

// A metric that has no resource's name before it.
std::string plain(const Json& spec, const Json& status, const char* section) {
  const Json& average = at(spec, {section, "target", "averageValue"});
  const bool each = !average.is_null();
  const Json& current = at(status, {section, "current", each ? "averageValue" : "value"});
  const Json& target = each ? average : at(spec, {section, "target", "value"});
  const bool marked = each && std::string_view(section) != "pods";
  return fmt::format("{}/{}{}", text_or(current, kUnknown), text_or(target, kUnknown),
                     marked ? " (avg)" : "");
}

std::string of_resource(const Json& spec, const Json& status, const char* section) {
  const std::string name = text_or(at(spec, {section, "name"}), "");
  const Json& average = at(spec, {section, "target", "averageValue"});
  if (!average.is_null()) {
    return fmt::format("{}: {}/{}", name,
                       text_or(at(status, {section, "current", "averageValue"}), kUnknown),
                       text_or(average, ""));
  }
  return fmt::format("{}: {}/{}", name,
                     percent(at(status, {section, "current", "averageUtilization"}), kUnknown),
                     percent(at(spec, {section, "target", "averageUtilization"}), "<auto>"));
}

std::string of_metric(const Json& spec, const Json& status) {
  const std::string type = text_or(at(spec, {"type"}), "");
  if (type == "Resource") return of_resource(spec, status, "resource");
  if (type == "ContainerResource") return of_resource(spec, status, "containerResource");
  if (type == "Pods") return plain(spec, status, "pods");
  if (type == "Object") return plain(spec, status, "object");
  if (type == "External") return plain(spec, status, "external");
  return "<unknown type>";
}

}  // namespace

std::string reference_text(const Json& hpa) {
  const Json& target = at(hpa, {"spec", "scaleTargetRef"});
  return fmt::format("{}/{}", text_or(at(target, {"kind"}), ""), text_or(at(target, {"name"}), ""));
}

std::string targets_text(const Json& hpa) {
  const Json& specs = at(hpa, {"spec", "metrics"});
  const Json& statuses = at(hpa, {"status", "currentMetrics"});
  if (!specs.is_array() || specs.empty()) return "<none>";
  std::string out;
  for (size_t i = 0; i < specs.size() && i < kShownMetrics; ++i) {
    const bool known = statuses.is_array() && i < statuses.size();
    out +=
        fmt::format("{}{}", i == 0 ? "" : ", ", of_metric(specs[i], known ? statuses[i] : Json()));
  }
  if (specs.size() > kShownMetrics) {
    out += fmt::format(" + {} more...", specs.size() - kShownMetrics);
  }
  return out;
}

}  // namespace ebb::api
