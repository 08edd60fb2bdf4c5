#include "api/json_fields.h"

#include "api/json.h"

namespace ebb::api {

FieldReader::FieldReader(const Json& json, std::string path, std::vector<FieldError>& errors)
    : object_(&json), path_(std::move(path)), errors_(errors) {
  if (!expect(json.is_object(), json, path_, "object")) object_ = nullptr;
}

const Json* FieldReader::find(const char* key) const {
  if (!object_) return nullptr;
  auto found = object_->find(key);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

const Json* FieldReader::take(const char* key) {
  taken_.emplace_back(key);
  return find(key);
}

std::string FieldReader::path_of(const char* key) const {
  return path_.empty() ? key : path_ + "." + key;
}

bool FieldReader::expect(bool right, const Json& value, const std::string& path,
                         const char* wanted) {
  if (right) return true;
  std::string text = to_text(value);
  constexpr size_t kShown = 64;  // bytes of a wrong value in a message
  if (text.size() > kShown) text = std::string(value.type_name());
  errors_.push_back({path, "Invalid value: " + text + ": must be of type " + wanted + ", not " +
                               value.type_name()});
  return false;
}

void FieldReader::read(const char* key, std::string& out) {
  const Json* value = take(key);
  if (value && expect(value->is_string(), *value, path_of(key), "string")) {
    out = value->get_ref<const std::string&>();
  }
}

void FieldReader::read(const char* key, bool& out) {
  const Json* value = take(key);
  if (value && expect(value->is_boolean(), *value, path_of(key), "boolean")) {
    out = value->get<bool>();
  }
}

void FieldReader::read(const char* key, int64_t& out) {
  const Json* value = take(key);
  if (!value) return;
  bool fits = value->is_number_integer() &&
              (!value->is_number_unsigned() || value->get<uint64_t>() <= INT64_MAX);
  if (expect(fits, *value, path_of(key), "integer")) out = value->get<int64_t>();
}

void FieldReader::read(const char* key, std::vector<std::string>& out) {
  const Json* value = take(key);
  if (!value || !expect(value->is_array(), *value, path_of(key), "array")) return;
  for (size_t i = 0; i < value->size(); ++i) {
    const Json& item = (*value)[i];
    std::string path = path_of(key) + "[" + std::to_string(i) + "]";
    if (expect(item.is_string(), item, path, "string")) out.push_back(item.get<std::string>());
  }
}

void FieldReader::read(const char* key, std::map<std::string, std::string>& out) {
  const Json* value = take(key);
  if (!value || !expect(value->is_object(), *value, path_of(key), "object")) return;
  for (const auto& [name, item] : value->items()) {
    if (item.is_null()) continue;
    if (expect(item.is_string(), item, path_of(key) + "." + name, "string")) {
      out[name] = item.get<std::string>();
    }
  }
}

void FieldReader::read_quantity(const char* key, std::optional<std::string>& out) {
  const Json* value = take(key);
  if (!value || !expect(value->is_string() || value->is_number(), *value, path_of(key), "string")) {
    return;
  }
  out = value->is_string() ? value->get<std::string>() : to_text(*value);
}

void FieldReader::read_quantities(const char* key, std::map<std::string, std::string>& out) {
  read_texts(key, /*booleans=*/false, out);
}

void FieldReader::read_scalars(const char* key, std::map<std::string, std::string>& out) {
  read_texts(key, /*booleans=*/true, out);
}

void FieldReader::read_texts(const char* key, bool booleans,
                             std::map<std::string, std::string>& out) {
  const Json* value = take(key);
  if (!value || !expect(value->is_object(), *value, path_of(key), "object")) return;
  for (const auto& [name, item] : value->items()) {
    if (item.is_null()) continue;
    const bool good = item.is_string() || item.is_number() || (booleans && item.is_boolean());
    if (expect(good, item, path_of(key) + "." + name, "string")) {
      out[name] = item.is_string() ? item.get<std::string>() : to_text(item);
    }
  }
}

void FieldReader::read_quantity(const char* key, std::string& out) {
  const Json* value = take(key);
  if (value && expect(value->is_string() || value->is_number(), *value, path_of(key), "string")) {
    out = value->is_string() ? value->get<std::string>() : to_text(*value);
  }
}

void FieldReader::read_text(const char* key, std::string& out) {
  const Json* value = take(key);
  if (value && expect(value->is_object(), *value, path_of(key), "object")) out = to_text(*value);
}

std::string FieldReader::rest() const {
  if (!object_) return {};
  Json rest = Json::object();
  for (const auto& [name, value] : object_->items()) {
    bool known = std::find(taken_.begin(), taken_.end(), name) != taken_.end();
    if (!known && !value.is_null()) rest[name] = value;
  }
  return rest.empty() ? std::string() : to_text(rest);
}

Json object_with(const std::string& extra) {
  if (extra.empty()) return Json::object();
  auto parsed = parse_json(extra);
  return parsed && parsed->is_object() ? std::move(*parsed) : Json::object();
}

void write(Json& to, const char* key, const std::string& value) {
  if (!value.empty()) to[key] = value;
}

void write(Json& to, const char* key, const std::vector<std::string>& value) {
  if (!value.empty()) to[key] = value;
}

void write(Json& to, const char* key, const std::map<std::string, std::string>& value) {
  if (!value.empty()) to[key] = value;
}

void read_type(FieldReader& fields, const Kind& kind, std::vector<FieldError>& errors) {
  std::string api_version = kind.api_version();
  std::string name(kind.kind);
  fields.read("apiVersion", api_version);
  fields.read("kind", name);
  if (api_version != kind.api_version()) {
    errors.push_back(
        {"apiVersion", "Invalid value: \"" + api_version + "\": must be " + kind.api_version()});
  }
  if (name != kind.kind) {
    errors.push_back(
        {"kind", "Invalid value: \"" + name + "\": must be " + std::string(kind.kind)});
  }
}

void read_meta(FieldReader& fields, ObjectMeta& meta) {
  fields.read("name", meta.name);
  fields.read("namespace", meta.ns);
  fields.read("uid", meta.uid);
  fields.read("resourceVersion", meta.resource_version);
  fields.read("generation", meta.generation);
  fields.read("creationTimestamp", meta.creation_timestamp);
  fields.read("labels", meta.labels);
  fields.read("annotations", meta.annotations);
  fields.read_array("ownerReferences", meta.owners, [](FieldReader& f, OwnerReference& owner) {
    owner.controller = false;
    f.read("apiVersion", owner.api_version);
    f.read("kind", owner.kind);
    f.read("name", owner.name);
    f.read("uid", owner.uid);
    f.read("controller", owner.controller);
    owner.extra = f.rest();
  });
  meta.extra = fields.rest();
}

Json write_meta(const ObjectMeta& meta) {
  Json json = object_with(meta.extra);
  write(json, "name", meta.name);
  write(json, "namespace", meta.ns);
  write(json, "uid", meta.uid);
  write(json, "resourceVersion", meta.resource_version);
  if (meta.generation != 0) json["generation"] = meta.generation;
  write(json, "creationTimestamp", meta.creation_timestamp);
  write(json, "labels", meta.labels);
  write(json, "annotations", meta.annotations);
  for (const auto& owner : meta.owners) {
    Json reference = object_with(owner.extra);
    write(reference, "apiVersion", owner.api_version);
    write(reference, "kind", owner.kind);
    write(reference, "name", owner.name);
    write(reference, "uid", owner.uid);
    if (owner.controller) reference["controller"] = true;
    json["ownerReferences"].push_back(std::move(reference));
  }
  return json;
}

void read_condition(FieldReader& fields, Condition& condition) {
  std::string status;
  fields.read("type", condition.type);
  fields.read("status", status);
  fields.read("reason", condition.reason);
  fields.read("message", condition.message);
  fields.read("lastTransitionTime", condition.last_transition_time);
  condition.status = status == "True"    ? Condition::Status::kTrue
                     : status == "False" ? Condition::Status::kFalse
                                         : Condition::Status::kUnknown;
}

Json write_conditions(const std::vector<Condition>& conditions) {
  Json json = Json::array();
  for (const auto& condition : conditions) {
    Json one = Json::object();
    one["type"] = condition.type;
    one["status"] = condition.status == Condition::Status::kTrue    ? "True"
                    : condition.status == Condition::Status::kFalse ? "False"
                                                                    : "Unknown";
    write(one, "reason", condition.reason);
    write(one, "message", condition.message);
    write(one, "lastTransitionTime", condition.last_transition_time);
    json.push_back(std::move(one));
  }
  return json;
}

}  // namespace ebb::api
