#include "cli/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <functional>
#include <nlohmann/json.hpp>

#include "api/autoscaling.h"
#include "api/hpa.h"
#include "api/types.h"
#include "api/usage.h"
#include "cli/console.h"

namespace ebb::cli {

namespace {

using api::Json;
using Path = std::vector<std::string>;

struct Column {
  std::string title;
  std::function<std::string(const Json&, WallTime)> text;
  bool wide = false;
};

Column at(std::string title, Path path, bool wide = false) {
  return {std::move(title),
          [path = std::move(path)](const Json& object, WallTime) { return text_at(object, path); },
          wide};
}

Column label(std::string title, std::string_view key, bool wide = false) {
  return at(std::move(title), {"metadata", "labels", std::string(key)}, wide);
}

Column name() { return at("NAME", {"metadata", "name"}); }

Column ready() {
  return {"READY", [](const Json& object, WallTime) {
            const std::string status = text_at(condition_of(object, "Ready"), {"status"});
            return status.empty() ? std::string("Unknown") : status;
          }};
}

// Why it is not ready.
Column reason() {
  return {"REASON", [](const Json& object, WallTime) {
            const Json condition = condition_of(object, "Ready");
            if (text_at(condition, {"status"}) == "True") return std::string();
            std::string why = text_at(condition, {"reason"});
            const std::string message = first_line(text_at(condition, {"message"}));
            if (!message.empty()) why += (why.empty() ? "" : ": ") + message;
            return why;
          }};
}

Column state() {
  return {"STATE", [](const Json& object, WallTime) {
            std::string text =
                text_at(object, {"metadata", "labels", std::string(api::kStateLabel)});
            if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') {
              text[0] = static_cast<char>(text[0] - 'a' + 'A');
            }
            return text;
          }};
}

Column age() {
  return {"AGE", [](const Json& object, WallTime now) {
            const auto created =
                api::from_rfc3339(text_at(object, {"metadata", "creationTimestamp"}));
            return created ? format_age(now - *created) : std::string("<unknown>");
          }};
}

std::vector<Column> columns_of(const api::Kind& kind) {
  if (kind.plural == "services") {
    return {name(),
            at("URL", {"status", "url"}),
            at("LATESTCREATED", {"status", "latestCreatedRevisionName"}),
            at("LATESTREADY", {"status", "latestReadyRevisionName"}),
            ready(),
            age(),
            reason(),
            at("GENERATION", {"metadata", "generation"}, true)};
  }
  if (kind.plural == "configurations") {
    return {name(),
            at("LATESTCREATED", {"status", "latestCreatedRevisionName"}),
            at("LATESTREADY", {"status", "latestReadyRevisionName"}),
            ready(),
            age(),
            reason()};
  }
  if (kind.plural == "revisions") {
    return {name(),
            label("SERVICE", api::kServiceLabel),
            ready(),
            age(),
            reason(),
            label("GENERATION", api::kConfigurationGenerationLabel, true),
            at("ACTUAL", {"status", "actualReplicas"}, true),
            at("DESIRED", {"status", "desiredReplicas"}, true)};
  }
  if (kind.plural == "routes") {
    return {name(), at("URL", {"status", "url"}), ready(), age(), reason()};
  }
  if (kind.plural == "horizontalpodautoscalers") {
    return {name(),
            {"REFERENCE",
             [](const Json& object, WallTime) { return first_line(api::reference_text(object)); }},
            {"TARGETS",
             [](const Json& object, WallTime) { return first_line(api::targets_text(object)); }},
            at("MINPODS", {"spec", "minReplicas"}),
            at("MAXPODS", {"spec", "maxReplicas"}),
            {"REPLICAS",
             [](const Json& object, WallTime) {
               const std::string pods = text_at(object, {"status", "currentReplicas"});
               return pods.empty() ? std::string("0") : pods;
             }},
            age()};
  }
  if (kind.group == api::PodMetrics::kind().group) {
    const auto used = [](const char* title, const char* what) {
      return Column{title, [what](const Json& object, WallTime) {
                      const Json::json_pointer container("/containers/0/usage");
                      const bool pod = object.contains(container);
                      return pod ? text_at(object.at(container), {what})
                                 : text_at(object, {"usage", what});
                    }};
    };
    return {name(), used("CPU", "cpu"), used("MEMORY", "memory"), at("WINDOW", {"window"})};
  }
  if (kind.plural == "pods") {
    return {name(),
            at("NODE", {"spec", "nodeName"}),
            state(),
            label("REVISION", api::kRevisionLabel),
            label("RUNTIME", "ebb.dev/runtime"),
            age(),
            label("SERVICE", api::kServiceLabel, true)};
  }
  if (kind.plural == "nodes") {
    return {name(),
            state(),
            at("COLD", {"metadata", "annotations", "ebb.dev/cold-pods"}),
            at("WARM", {"metadata", "annotations", "ebb.dev/warm-pods"}),
            age(),
            {"PROBLEM",
             [](const Json& object, WallTime) {
               const Json network = condition_of(object, "NetworkUnavailable");
               const bool bad = text_at(network, {"status"}) == "True";
               return bad ? first_line(text_at(network, {"message"})) : std::string();
             }},
            at("VERSION", {"status", "nodeInfo", "kubeletVersion"}, true)};
  }
  if (kind.plural == "events") {
    return {{"LAST SEEN",
             [](const Json& object, WallTime now) {
               const auto seen = api::from_rfc3339(text_at(object, {"lastTimestamp"}));
               return seen ? format_age(now - *seen) : std::string("<unknown>");
             }},
            at("TYPE", {"type"}),
            at("REASON", {"reason"}),
            {"OBJECT",
             [](const Json& object, WallTime) {
               std::string what = text_at(object, {"involvedObject", "kind"});
               std::transform(what.begin(), what.end(), what.begin(),
                              [](unsigned char c) { return std::tolower(c); });
               return what + "/" + text_at(object, {"involvedObject", "name"});
             }},
            at("COUNT", {"count"}, true),
            {"MESSAGE", [](const Json& object, WallTime) {
               return first_line(text_at(object, {"message"}));
             }}};
  }
  if (kind.plural == "podautoscalers") {
    return {name(),
            {"CLASS", [](const Json& object, WallTime) { return scaling_class(object); }},
            at("DESIRED", {"status", "desiredScale"}),
            at("READY", {"status", "actualScale"}),
            at("STARTING", {"status", "starting"}),
            at("INFLIGHT", {"status", "inFlight"}),
            at("WAITING", {"status", "waiting"}),
            at("CONCURRENCY", {"status", "concurrency"}, true),
            at("RPS", {"status", "requestsPerSecond"}, true),
            at("PANIC", {"status", "panic"}, true),
            age(),
            {"REASON", [](const Json& object, WallTime) {
               const std::string error = text_at(object, {"status", "error"});
               if (!error.empty()) return first_line("POLICY FAILED: " + error);
               return first_line(text_at(object, {"status", "reason"}));
             }}};
  }
  return {name(), age()};
}

// Code points, so that names beyond ASCII stay aligned.
size_t width(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](unsigned char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

std::string scaling_class(const Json& autoscaler) {
  std::string name = text_at(autoscaler, {"status", "class"});
  constexpr std::string_view kOwn = "ebb.dev/";
  if (name.starts_with(kOwn)) return name.substr(kOwn.size());
  return name.substr(0, name.find('.'));
}

std::string text_at(const Json& object, const Path& path) {
  const Json* value = &object;
  for (const std::string& key : path) {
    if (!value->is_object()) return {};
    const auto found = value->find(key);
    if (found == value->end()) return {};
    value = &*found;
  }
  if (value->is_string()) return value->get<std::string>();
  return value->is_number() || value->is_boolean() ? value->dump() : std::string();
}

std::string line_at(const Json& object, const Path& path) {
  return one_line(text_at(object, path));
}

std::string name_of(const Json& object) { return line_at(object, {"metadata", "name"}); }

const Json& list_at(const Json& object, const char* pointer) {
  static const Json kEmpty = Json::array();
  const Json::json_pointer path(pointer);
  return object.is_object() && object.contains(path) && object.at(path).is_array() ? object.at(path)
                                                                                   : kEmpty;
}

Json condition_of(const Json& object, const std::string& type) {
  const auto status = object.find("status");
  if (status == object.end() || !status->is_object()) return Json::object();
  const auto conditions = status->find("conditions");
  if (conditions == status->end() || !conditions->is_array()) return Json::object();
  for (const Json& condition : *conditions) {
    if (text_at(condition, {"type"}) == type) return condition;
  }
  return Json::object();
}

Table table_of(const api::Kind& kind, const std::vector<Json>& objects,
               const TableOptions& options) {
  std::vector<Column> columns = columns_of(kind);
  if (!options.wide) std::erase_if(columns, [](const Column& column) { return column.wide; });
  if (options.namespaces && kind.namespaced) {
    columns.insert(columns.begin(), at("NAMESPACE", {"metadata", "namespace"}));
  }
  Table table;
  for (const Column& column : columns) table.columns.push_back(column.title);
  for (const Json& object : objects) {
    auto& row = table.rows.emplace_back();
    for (const Column& column : columns) row.push_back(one_line(column.text(object, options.now)));
  }
  return table;
}

std::string render(const Table& table) {
  ColumnWidths widths;
  return render(table, widths);
}

std::string render(const Table& table, ColumnWidths& widths) {
  constexpr size_t kGap = 3;
  const bool first = widths.columns.empty();
  widths.columns.resize(table.columns.size());
  for (size_t i = 0; i < table.columns.size(); ++i) {
    size_t& widest = widths.columns[i];
    widest = std::max(widest, width(table.columns[i]));
    for (const auto& row : table.rows) widest = std::max(widest, width(row[i]));
  }
  std::string out;
  const auto add_line = [&out, &widths](const std::vector<std::string>& cells) {
    std::string line;
    for (size_t i = 0; i < cells.size(); ++i) {
      line += cells[i];
      line.append(widths.columns[i] + kGap - width(cells[i]), ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  if (first) add_line(table.columns);
  for (const auto& row : table.rows) add_line(row);
  return out;
}

std::string format_age(Duration age) {
  // The steps of k8s.io/apimachinery/pkg/util/duration HumanDuration.
  using std::chrono::duration_cast;
  const auto seconds = std::max<int64_t>(0, duration_cast<std::chrono::seconds>(age).count());
  const int64_t minutes = seconds / 60;
  const int64_t hours = minutes / 60;
  const int64_t days = hours / 24;
  const auto two = [](int64_t major, char unit, int64_t minor, char small) {
    return minor == 0 ? fmt::format("{}{}", major, unit)
                      : fmt::format("{}{}{}{}", major, unit, minor, small);
  };
  if (seconds < 120) return fmt::format("{}s", seconds);
  if (minutes < 10) return two(minutes, 'm', seconds % 60, 's');
  if (minutes < 180) return fmt::format("{}m", minutes);
  if (hours < 8) return two(hours, 'h', minutes % 60, 'm');
  if (hours < 48) return fmt::format("{}h", hours);
  if (days < 8) return two(days, 'd', hours % 24, 'h');
  if (days < 730) return fmt::format("{}d", days);
  return two(days / 365, 'y', days < 2920 ? days % 365 : 0, 'd');
}

}  // namespace ebb::cli
