#include "apiserver/table.h"

#include <fmt/format.h>

#include <cctype>
#include <functional>
#include <nlohmann/json.hpp>

#include "api/event.h"
#include "api/hpa.h"
#include "api/pod_autoscaler.h"
#include "api/types.h"
#include "api/usage.h"

namespace ebb::apiserver {
namespace {

using api::Json;

using Cell = std::function<Json(const Json& object, WallTime now)>;

struct Column {
  const char* name;
  const char* type;  // "string", "integer"
  int priority;      // 1: only with -o wide
  Cell cell;
};

// The value at a JSON pointer, or an empty text.
Cell at(const char* pointer) {
  return [path = Json::json_pointer(pointer)](const Json& object, WallTime) {
    return object.contains(path) ? object.at(path) : Json("");
  };
}

Cell label(std::string_view key) {
  return [key = std::string(key)](const Json& object, WallTime) {
    const Json::json_pointer path = Json::json_pointer("/metadata/labels") / key;
    return object.contains(path) ? object.at(path) : Json("");
  };
}

// A field of the condition of that type.
Cell condition(const char* type, const char* field) {
  return [type, field](const Json& object, WallTime) -> Json {
    static const Json::json_pointer kPath("/status/conditions");
    if (!object.contains(kPath)) return "";
    for (const auto& one : object.at(kPath)) {
      if (one.value("type", "") == type) return one.value(field, "");
    }
    return "";
  };
}

std::string format_age(Duration age) {
  auto seconds = std::max<int64_t>(0, age / std::chrono::seconds(1));
  constexpr int64_t kMinute = 60;
  constexpr int64_t kHour = 60 * kMinute;
  constexpr int64_t kDay = 24 * kHour;
  // As kubectl: two units near the lower end of a range, then one.
  if (seconds < 2 * kMinute) return fmt::format("{}s", seconds);
  if (seconds < 10 * kMinute) return fmt::format("{}m{}s", seconds / kMinute, seconds % kMinute);
  if (seconds < 3 * kHour) return fmt::format("{}m", seconds / kMinute);
  if (seconds < 8 * kHour) {
    return fmt::format("{}h{}m", seconds / kHour, seconds % kHour / kMinute);
  }
  if (seconds < 2 * kDay) return fmt::format("{}h", seconds / kHour);
  return fmt::format("{}d", seconds / kDay);
}

// How long ago the time at a JSON pointer was.
Cell since(const char* pointer) {
  return [path = Json::json_pointer(pointer)](const Json& object, WallTime now) -> Json {
    if (!object.contains(path) || !object.at(path).is_string()) return "<unknown>";
    auto then = api::from_rfc3339(object.at(path).get_ref<const std::string&>());
    return then ? format_age(now - *then) : "<unknown>";
  };
}

Json pod_ready(const Json& object, WallTime /*now*/) {
  static const Json::json_pointer kPath("/status/containerStatuses");
  int ready = 0;
  size_t all = 0;
  if (object.contains(kPath)) {
    all = object.at(kPath).size();
    for (const auto& one : object.at(kPath)) ready += one.value("ready", false) ? 1 : 0;
  }
  return fmt::format("{}/{}", ready, all);
}

Json pod_status(const Json& object, WallTime /*now*/) {
  auto status = object.find("status");
  if (status == object.end()) return "Unknown";
  std::string reason = status->value("reason", "");
  return reason.empty() ? status->value("phase", "Unknown") : reason;
}

Json node_status(const Json& object, WallTime now) {
  std::string ready = condition("Ready", "status")(object, now);
  std::string text = ready == "True" ? "Ready" : ready == "False" ? "NotReady" : "Unknown";
  static const Json::json_pointer kUnschedulable("/spec/unschedulable");
  if (object.contains(kUnschedulable)) text += ",SchedulingDisabled";
  return text;
}

// "service/hello"
Json involved(const Json& object, WallTime /*now*/) {
  auto about = object.find("involvedObject");
  if (about == object.end()) return "";
  std::string kind = about->value("kind", "");
  for (char& c : kind) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return kind + "/" + about->value("name", "");
}

// As kubectl: without the name.
std::vector<Column> event_columns() {
  return {{"Last Seen", "string", 0, since("/lastTimestamp")},
          {"Type", "string", 0, at("/type")},
          {"Reason", "string", 0, at("/reason")},
          {"Object", "string", 0, involved},
          {"Message", "string", 0, at("/message")},
          {"First Seen", "string", 1, since("/firstTimestamp")},
          {"Count", "string", 1, at("/count")},
          {"Name", "string", 1, at("/metadata/name")}};
}

// A number that is 0 where it is not told.
Cell number(const char* pointer) {
  return [path = Json::json_pointer(pointer)](const Json& object, WallTime) {
    return object.contains(path) ? object.at(path) : Json(0);
  };
}

std::vector<Column> hpa_columns() {
  return {{"Reference", "string", 0,
           [](const Json& object, WallTime) -> Json { return api::reference_text(object); }},
          {"Targets", "string", 0,
           [](const Json& object, WallTime) -> Json { return api::targets_text(object); }},
          {"MinPods", "string", 0, at("/spec/minReplicas")},
          {"MaxPods", "string", 0, at("/spec/maxReplicas")},
          {"Replicas", "string", 0, number("/status/currentReplicas")}};
}

std::vector<Column> columns_of(const api::Kind& kind) {
  if (&kind == &api::Event::kind()) return event_columns();
  std::vector<Column> columns{{"Name", "string", 0, at("/metadata/name")}};
  auto add = [&](const std::vector<Column>& more) {
    columns.insert(columns.end(), more.begin(), more.end());
  };
  const Column ready{"Ready", "string", 0, condition("Ready", "status")};
  const Column reason{"Reason", "string", 0, condition("Ready", "reason")};
  const Column created{"LatestCreated", "string", 0, at("/status/latestCreatedRevisionName")};
  const Column latest{"LatestReady", "string", 0, at("/status/latestReadyRevisionName")};
  const Column url{"URL", "string", 0, at("/status/url")};
  if (&kind == &api::Service::kind()) {
    add({url, created, latest, ready, reason});
  } else if (&kind == &api::Configuration::kind()) {
    add({created, latest, ready, reason});
  } else if (&kind == &api::Route::kind()) {
    add({url, ready, reason});
  } else if (&kind == &api::Revision::kind()) {
    add({{"Config Name", "string", 0, label(api::kConfigurationLabel)},
         {"Generation", "string", 0, label(api::kConfigurationGenerationLabel)},
         ready,
         reason,
         {"Actual Replicas", "integer", 0, at("/status/actualReplicas")},
         {"Desired Replicas", "integer", 0, at("/status/desiredReplicas")}});
  } else if (&kind == &api::Pod::kind()) {
    add({{"Ready", "string", 0, pod_ready},
         {"Status", "string", 0, pod_status},
         {"State", "string", 0, label(api::kStateLabel)},
         {"Revision", "string", 0, label(api::kRevisionLabel)},
         {"Node", "string", 1, at("/spec/nodeName")}});
  } else if (&kind == &api::Node::kind()) {
    add({{"Status", "string", 0, node_status},
         {"State", "string", 0, label(api::kStateLabel)},
         {"Pods", "string", 0, at("/status/capacity/pods")},
         {"Version", "string", 1, at("/status/nodeInfo/kubeletVersion")}});
  }
  if (kind.plural == "namespaces") {
    columns.push_back({"Status", "string", 0, at("/status/phase")});
  }
  if (&kind == &api::HorizontalPodAutoscaler::kind()) add(hpa_columns());
  if (&kind == &api::PodMetrics::kind()) {
    add({{"CPU", "string", 0, at("/containers/0/usage/cpu")},
         {"Memory", "string", 0, at("/containers/0/usage/memory")},
         {"Window", "string", 0, at("/window")}});
  } else if (&kind == &api::NodeMetrics::kind()) {
    add({{"CPU", "string", 0, at("/usage/cpu")},
         {"Memory", "string", 0, at("/usage/memory")},
         {"Window", "string", 0, at("/window")}});
  } else if (&kind == &api::PodAutoscaler::kind()) {
    add({{"Class", "string", 1, at("/status/class")},
         {"Desired", "integer", 0, at("/status/desiredScale")},
         {"Actual", "integer", 0, at("/status/actualScale")},
         {"Starting", "integer", 1, at("/status/starting")},
         {"In Flight", "integer", 0, at("/status/inFlight")},
         {"Waiting", "integer", 0, at("/status/waiting")},
         {"Panic", "boolean", 1, at("/status/panic")},
         {"Ready", "string", 0, condition("Ready", "status")},
         {"Reason", "string", 0, at("/status/reason")}});
  }
  columns.push_back({"Age", "string", 0, since("/metadata/creationTimestamp")});
  return columns;
}

}  // namespace

bool wants_table(std::string_view accept) {
  return accept.find("as=Table") != std::string_view::npos;
}

RowObject row_object_of(const ApiRequest& request) {
  const auto asked = request.parameter("includeObject");
  return asked == "None"     ? RowObject::kNone
         : asked == "Object" ? RowObject::kWhole
                             : RowObject::kMetadata;
}

Json to_table(const api::Kind& kind, const std::vector<Json>& objects, const std::string& version,
              WallTime now, RowObject with) {
  Json table;
  table["kind"] = "Table";
  table["apiVersion"] = "meta.k8s.io/v1";
  table["metadata"] = Json::object();
  if (!version.empty()) table["metadata"]["resourceVersion"] = version;
  table["columnDefinitions"] = Json::array();
  const auto columns = columns_of(kind);
  for (const auto& column : columns) {
    Json definition;
    definition["name"] = column.name;
    definition["type"] = column.type;
    definition["format"] = std::string_view(column.name) == "Name" ? "name" : "";
    definition["description"] = "";
    definition["priority"] = column.priority;
    table["columnDefinitions"].push_back(std::move(definition));
  }
  table["rows"] = Json::array();
  for (const auto& object : objects) {
    Json row;
    row["cells"] = Json::array();
    for (const auto& column : columns) row["cells"].push_back(column.cell(object, now));
    if (with == RowObject::kWhole) {
      row["object"] = object;
    } else if (with == RowObject::kMetadata) {
      row["object"]["kind"] = "PartialObjectMetadata";
      row["object"]["apiVersion"] = "meta.k8s.io/v1";
      row["object"]["metadata"] = object["metadata"];
    } else {
      row["object"] = nullptr;
    }
    table["rows"].push_back(std::move(row));
  }
  return table;
}

}  // namespace ebb::apiserver
