#include "apiserver/apply.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace ebb::apiserver {
namespace {

using api::Json;

// Set by the server, or saying which object it is: nobody's fields.
bool is_identity(std::string_view parent, std::string_view key) {
  if (parent.empty()) return key == "apiVersion" || key == "kind" || key == "status";
  if (parent != "metadata") return false;
  for (const char* one : {"name", "namespace", "uid", "resourceVersion", "generation",
                          "creationTimestamp", "selfLink", "managedFields"}) {
    if (key == one) return true;
  }
  return false;
}

// FieldsV1: {"f:spec": {"f:template": {...}}}; a leaf is {}.
Json fields_of(const Json& object, std::string_view parent) {
  Json fields = Json::object();
  for (const auto& [key, value] : object.items()) {
    if (value.is_null() || is_identity(parent, key)) continue;
    Json below = Json::object();
    if (value.is_object()) {
      // Only the first two levels have names of a meaning of their own.
      below = fields_of(value, parent.empty() ? key : "-");
      if (below.empty()) continue;  // an empty object is nobody's
    }
    fields["f:" + key] = std::move(below);
  }
  return fields;
}

// A path of fields is a list of keys without "f:".
using Path = std::vector<std::string>;

template <class Each>
void each_leaf(const Json& fields, Path& path, const Each& each) {
  if (fields.empty()) {
    if (!path.empty()) each(path);
    return;
  }
  for (const auto& [key, below] : fields.items()) {
    if (!key.starts_with("f:")) continue;
    path.push_back(key.substr(2));
    each_leaf(below, path, each);
    path.pop_back();
  }
}

template <class Each>
void each_leaf(const Json& fields, const Each& each) {
  Path path;
  each_leaf(fields, path, each);
}

const Json* value_at(const Json& object, const Path& path) {
  const Json* at = &object;
  for (const auto& key : path) {
    if (!at->is_object()) return nullptr;
    const auto found = at->find(key);
    if (found == at->end()) return nullptr;
    at = &*found;
  }
  return at;
}

// True if the fields hold that one, or a part of it, or the whole that it is part of.
bool owns(const Json& fields, const Path& path) {
  const Json* at = &fields;
  for (const auto& key : path) {
    const auto found = at->find("f:" + key);
    if (found == at->end()) return false;
    at = &*found;
    if (at->empty()) return true;
  }
  return true;
}

// Removes a field, and the objects that it leaves empty.
void erase_value(Json& object, const Path& path, size_t depth, const std::string& prefix) {
  if (!object.is_object()) return;
  const auto found = object.find(prefix + path[depth]);
  if (found == object.end()) return;
  if (depth + 1 < path.size()) {
    erase_value(*found, path, depth + 1, prefix);
    if (!found->is_object() || !found->empty()) return;
  }
  object.erase(found);
}

void merge(Json& into, const Json& from) {
  for (const auto& [key, value] : from.items()) {
    if (value.is_null()) continue;
    Json& target = into[key];
    if (value.is_object() && target.is_object()) {
      merge(target, value);
    } else {
      target = value;
    }
  }
}

const Json& managed_of(const Json& object) {
  static const Json kNone = Json::array();
  const Json* found = value_at(object, {"metadata", "managedFields"});
  return found != nullptr && found->is_array() ? *found : kNone;
}

bool is_entry(const Json& entry) {
  return entry.is_object() && entry.contains("manager") && entry["manager"].is_string() &&
         entry.contains("fieldsV1") && entry["fieldsV1"].is_object();
}

std::string shown(const Path& path) {
  std::string out;
  for (const auto& key : path) out += "." + key;
  return out;
}

}  // namespace

Json merge_applied(const Json& live, const Json& config, const std::string& manager) {
  Json out = live.is_object() ? live : Json::object();
  const Json wanted = fields_of(config, "");
  for (const auto& entry : managed_of(live)) {
    if (!is_entry(entry) || entry["manager"] != manager) continue;
    each_leaf(entry["fieldsV1"], [&](const Path& path) {
      if (owns(wanted, path)) return;
      for (const auto& other : managed_of(live)) {
        if (is_entry(other) && other["manager"] != manager && owns(other["fieldsV1"], path)) return;
      }
      erase_value(out, path, 0, "");
    });
  }
  merge(out, config);
  return out;
}

std::vector<std::string> apply_conflicts(const Json& live, const Json& after, const Json& config,
                                         const std::string& manager) {
  std::vector<std::string> conflicts;
  const Json wanted = fields_of(config, "");
  for (const auto& entry : managed_of(live)) {
    if (!is_entry(entry) || entry["manager"] == manager) continue;
    each_leaf(wanted, [&](const Path& path) {
      if (!owns(entry["fieldsV1"], path)) return;
      const Json* is = value_at(live, path);
      const Json* becomes = value_at(after, path);
      const bool same = is != nullptr && becomes != nullptr && *is == *becomes;
      if (!same) {
        conflicts.push_back(fmt::format("conflict with \"{}\": {}",
                                        entry["manager"].get_ref<const std::string&>(),
                                        shown(path)));
      }
    });
  }
  return conflicts;
}

void set_managed(const Json& live, Json& after, const Json& config, const std::string& manager,
                 const std::string& now) {
  const Json wanted = fields_of(config, "");
  Json entries = Json::array();
  Json mine;
  for (Json entry : managed_of(live)) {
    if (!is_entry(entry)) continue;
    if (entry["manager"] == manager) {
      mine = std::move(entry);
      continue;
    }
    // What changed has a new owner; what two want alike has two.
    each_leaf(wanted, [&](const Path& path) {
      const Json* is = value_at(live, path);
      const Json* becomes = value_at(after, path);
      const bool same = is != nullptr && becomes != nullptr && *is == *becomes;
      if (!same) erase_value(entry["fieldsV1"], path, 0, "f:");
    });
    if (!entry["fieldsV1"].empty()) entries.push_back(std::move(entry));
  }
  const bool unchanged = is_entry(mine) && mine["fieldsV1"] == wanted;
  if (!unchanged) {
    mine = {{"manager", manager},
            {"operation", "Apply"},
            {"apiVersion", config.value("apiVersion", "")},
            {"time", now},
            {"fieldsType", "FieldsV1"},
            {"fieldsV1", wanted}};
  }
  entries.push_back(std::move(mine));
  after["metadata"]["managedFields"] = std::move(entries);
}

void keep_managed(const Json& before, Json& after) {
  Json& meta = after["metadata"];
  const auto given = meta.find("managedFields");
  const bool forget = given != meta.end() && given->is_array() &&
                      (given->empty() || *given == Json::array({Json::object()}));
  Json entries = Json::array();
  for (Json entry : managed_of(before)) {
    if (forget || !is_entry(entry)) continue;
    const Json fields = entry["fieldsV1"];
    each_leaf(fields, [&](const Path& path) {
      const Json* was = value_at(before, path);
      const Json* is = value_at(after, path);
      const bool same = was != nullptr && is != nullptr && *was == *is;
      if (!same) erase_value(entry["fieldsV1"], path, 0, "f:");
    });
    if (!entry["fieldsV1"].empty()) entries.push_back(std::move(entry));
  }
  if (entries.empty()) {
    meta.erase("managedFields");
  } else {
    meta["managedFields"] = std::move(entries);
  }
}

}  // namespace ebb::apiserver
