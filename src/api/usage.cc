#include "api/usage.h"

#include <fmt/format.h>

#include "api/defaults.h"
#include "api/json_fields.h"

namespace ebb::api {
namespace {

constexpr std::string_view kGroup = "metrics.k8s.io";
constexpr std::string_view kVersion = "v1beta1";
constexpr int64_t kBytesPerKi = 1024;

// In the units that the metrics server uses.
Json write_usage(const Usage& usage) {
  Json json = Json::object();
  json["cpu"] = usage.cpu_nanocores == 0 ? "0" : fmt::format("{}n", usage.cpu_nanocores);
  json["memory"] = fmt::format("{}Ki", usage.memory_bytes / kBytesPerKi);
  return json;
}

// "15.02s", as Go reads durations.
std::string write_window(Duration window) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(window).count();
  return fmt::format("{}.{:03}s", ms / 1000, ms % 1000);
}

template <class T>
Json write_head(const T& object) {
  Json json = Json::object();
  json["apiVersion"] = T::kind().api_version();
  json["kind"] = T::kind().kind;
  json["metadata"] = write_meta(object.meta);
  json["timestamp"] = object.timestamp;
  json["window"] = write_window(object.window);
  return json;
}

}  // namespace

const Kind& PodMetrics::kind() {
  static const Kind kKind{kGroup, kVersion, "PodMetrics", "pods", "podmetrics", {}};
  return kKind;
}

Json PodMetrics::to_json() const {
  Json json = write_head(*this);
  Json container = Json::object();
  container["name"] = kDefaultContainerName;
  container["usage"] = write_usage(usage);
  json["containers"] = Json::array({std::move(container)});
  return json;
}

const Kind& NodeMetrics::kind() {
  static const Kind kKind{kGroup, kVersion, "NodeMetrics", "nodes", "nodemetrics", {}, false};
  return kKind;
}

Json NodeMetrics::to_json() const {
  Json json = write_head(*this);
  json["usage"] = write_usage(usage);
  return json;
}

}  // namespace ebb::api
