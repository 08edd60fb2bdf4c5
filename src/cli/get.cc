// `ebb get`.
#include <nlohmann/json.hpp>
#include <thread>

#include "api/json.h"
#include "api/kinds.h"
#include "api/yaml.h"
#include "cli/commands.h"
#include "cli/resource_kinds.h"
#include "cli/table.h"

namespace ebb::cli {

namespace {

using api::Json;

constexpr int kIndent = 4;  // of JSON, as kubectl writes it
constexpr Duration kWatchPause = std::chrono::seconds(1);
constexpr Duration kWatchTurn = std::chrono::hours(1);  // then the watch is opened anew

// Lists leave out what all their items share.
void name_type(Json& object, const api::Kind& kind) {
  if (!object.contains("apiVersion")) object["apiVersion"] = kind.api_version();
  if (!object.contains("kind")) object["kind"] = kind.kind;
}

Result<std::vector<Json>> items_of(Json& answer, const api::Kind& kind) {
  const auto items = answer.find("items");
  if (items == answer.end() || !items->is_array()) {
    return fail(Errc::kInternal, "the API's list of {} has no items", kind.plural);
  }
  std::vector<Json> out;
  for (Json& item : *items) {
    if (!item.is_object()) return fail(Errc::kInternal, "the API's list holds no objects");
    name_type(item, kind);
    out.push_back(std::move(item));
  }
  return out;
}

std::string to_json_text(const Json& shown) {
  return shown.dump(kIndent, ' ', false, Json::error_handler_t::replace) + "\n";
}

class Getter {
 public:
  Getter(const GetOptions& options, const std::string& ns, ApiClient& client, const Clock& clock,
         Console& console)
      : options_(options),
        kind_(*api::find_kind(options.kind)),
        ns_(options.all_namespaces ? "" : ns),
        client_(client),
        clock_(clock),
        console_(console) {}

  // Everything once. Sets where a watch goes on.
  Result<void> show_all() {
    auto objects = read();
    if (!objects) return fail(objects.error());
    show(*objects);
    return {};
  }

  // What changes, until the program is ended.
  Result<void> follow() {
    for (;;) {
      const TimePoint began = client_.now();
      const auto ended = client_.watch(
          watch_path(), [this](std::string_view line) { return take(line); }, began + kWatchTurn);
      if (!console_.out) return {};
      if (!ended && ended.error().code != Errc::kTimeout && ended.error().code != Errc::kGone) {
        return fail(ended.error());
      }
      if (client_.now() - began < kWatchPause) std::this_thread::sleep_for(kWatchPause);
      if (!again_) continue;
      // What it needs is forgotten: from the start, showing what is new to the reader.
      again_ = false;
      auto objects = read();
      if (!objects) return fail(objects.error());
      for (const Json& object : *objects) show_change(object);
    }
  }

 private:
  Result<std::vector<Json>> read() {
    const bool single = !options_.name.empty();
    std::string path = path_of(kind_, ns_, options_.name);
    if (!options_.selector.empty()) path += "?labelSelector=" + escaped(options_.selector);
    auto answer = client_.get(path, client_.now() + kCallTimeout);
    if (!answer) return fail(answer.error());
    version_ = text_at(*answer, {"metadata", "resourceVersion"});
    std::vector<Json> objects;
    if (!single) return items_of(*answer, kind_);
    name_type(*answer, kind_);
    objects.push_back(std::move(*answer));
    return objects;
  }

  [[nodiscard]] std::string watch_path() const {
    std::string path = path_of(kind_, ns_, "") + "?watch=true&resourceVersion=" + version_;
    if (!options_.selector.empty()) path += "&labelSelector=" + escaped(options_.selector);
    if (!options_.name.empty()) path += "&fieldSelector=metadata.name%3D" + options_.name;
    return path;
  }

  bool take(std::string_view line) {
    auto event = api::parse_json(line);
    if (!event || !event->is_object() || !event->contains("object")) return true;
    const std::string type = text_at(*event, {"type"});
    Json& object = (*event)["object"];
    if (type == "ERROR") {
      again_ = true;
      return false;
    }
    version_ = text_at(object, {"metadata", "resourceVersion"});
    if (type != "ADDED" && type != "MODIFIED" && type != "DELETED") return true;
    name_type(object, kind_);
    show_change(object);
    return static_cast<bool>(console_.out);
  }

  void show(const std::vector<Json>& objects) {
    const bool single = !options_.name.empty();
    if (options_.output == Output::kJson || options_.output == Output::kYaml) {
      show_whole(single ? objects.front()
                        : Json{{"apiVersion", "v1"}, {"kind", "List"}, {"items", objects}});
    } else if (options_.output == Output::kName) {
      for (const Json& object : objects) show_name(object);
    } else if (objects.empty()) {
      const bool one_namespace = kind_.namespaced && !ns_.empty();
      console_.err << "No resources found" << (one_namespace ? " in " + ns_ + " namespace" : "")
                   << ".\n";
    } else {
      show_table(objects);
    }
    flush_output(console_);
  }

  void show_change(const Json& object) {
    if (options_.output == Output::kJson || options_.output == Output::kYaml) {
      if (options_.output == Output::kYaml) console_.out << "---\n";
      show_whole(object);
    } else if (options_.output == Output::kName) {
      show_name(object);
    } else {
      show_table({object});
    }
    flush_output(console_);
  }

  void show_whole(const Json& shown) {
    console_.out << (options_.output == Output::kYaml ? api::to_yaml(shown) : to_json_text(shown));
  }

  void show_name(const Json& object) {
    console_.out << qualified(kind_) << "/" << name_of(object) << "\n";
  }

  // With the same widths as before where that is enough, so that a watch stays aligned.
  void show_table(const std::vector<Json>& objects) {
    const TableOptions shown{.wide = options_.output == Output::kWide,
                             .namespaces = options_.all_namespaces,
                             .now = clock_.wall()};
    console_.out << render(table_of(kind_, objects, shown), widths_);
  }

  const GetOptions& options_;
  const api::Kind& kind_;
  const std::string ns_;  // empty: all
  ApiClient& client_;
  const Clock& clock_;
  Console& console_;
  std::string version_;
  bool again_ = false;
  ColumnWidths widths_;
};

}  // namespace

Result<void> get(const GetOptions& options, const std::string& ns, ApiClient& client,
                 const Clock& clock, Console& console) {
  Getter getter(options, ns, client, clock, console);
  auto done = getter.show_all();
  if (done && options.watch) done = getter.follow();
  return done;
}

}  // namespace ebb::cli
