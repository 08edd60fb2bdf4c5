#include "apiserver/openapi.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "api/json.h"
#include "api/kinds.h"
#include "api/schema.h"
#include "base/sha256.h"

namespace ebb::apiserver {
namespace {

using api::Json;
using api::Kind;
using api::Schema;
using api::SchemaField;
using Type = SchemaField::Type;

constexpr const char* kGvk = "x-kubernetes-group-version-kind";
// Query parameters of writes that kubectl asks for before it uses them.
constexpr std::string_view kWriteParameters[] = {"dryRun", "fieldManager", "fieldValidation",
                                                 "force"};

std::string path_of(const Kind& kind) {
  return kind.group.empty() ? fmt::format("api/{}", kind.version)
                            : fmt::format("apis/{}/{}", kind.group, kind.version);
}

// "dev.knative.serving.v1.Service"
std::string definition_of(const Kind& kind, std::string_view name) {
  std::string out;
  std::string_view rest = kind.group.empty() ? "api.k8s.io" : kind.group;
  while (!rest.empty()) {
    const auto dot = rest.rfind('.');
    out += rest.substr(dot == std::string_view::npos ? 0 : dot + 1);
    out += '.';
    rest = dot == std::string_view::npos ? std::string_view() : rest.substr(0, dot);
  }
  return fmt::format("{}{}.{}", out, kind.version, name);
}

Json gvk_of(const Kind& kind) {
  return {{"group", kind.group}, {"kind", kind.kind}, {"version", kind.version}};
}

const Schema& undescribed() {
  static const Schema kSchema{"", "Shows what is; read-only.", {}};
  return kSchema;
}

// Calls `each` for `schema` and all that it is made of, once each.
template <class Each>
void visit(const Schema& schema, std::set<const Schema*>& seen, const Each& each) {
  if (!seen.insert(&schema).second) return;
  each(schema);
  for (const auto& field : schema.fields) {
    if (field.object != nullptr) visit(*field.object, seen, each);
  }
}

// --- Version 3 ---

Json type_v3(const Kind& kind, const SchemaField& field) {
  const auto text = [] { return Json{{"type", "string"}}; };
  const auto reference = [&] {
    return Json{{"$ref", "#/components/schemas/" + definition_of(kind, field.object->name)}};
  };
  switch (field.type) {
    case Type::kString:
      return text();
    case Type::kInteger:
      return {{"type", "integer"}, {"format", "int64"}};
    case Type::kBoolean:
      return {{"type", "boolean"}};
    case Type::kStrings:
      return {{"type", "array"}, {"items", text()}};
    case Type::kTexts:
      return {{"type", "object"}, {"additionalProperties", text()}};
    case Type::kObject:
      return {{"allOf", Json::array({reference()})}};
    case Type::kObjects:
      return {{"type", "array"}, {"items", {{"allOf", Json::array({reference()})}}}};
    case Type::kAny:
      break;
  }
  return {{"x-kubernetes-preserve-unknown-fields", true}};
}

Json schema_v3(const Kind& kind, const Schema& schema) {
  Json out{{"type", "object"}, {"description", schema.description}};
  for (const auto& field : schema.fields) {
    Json property = type_v3(kind, field);
    property["description"] = field.description;
    out["properties"][std::string(field.name)] = std::move(property);
  }
  return out;
}

void add_schemas_v3(const Kind& kind, Json& schemas) {
  const Schema* schema = api::schema_of(kind);
  const std::string name = definition_of(kind, kind.kind);
  if (schema != nullptr) {
    std::set<const Schema*> seen;
    visit(*schema, seen, [&](const Schema& one) {
      schemas[definition_of(kind, one.name)] = schema_v3(kind, one);
    });
  } else {
    schemas[name] = schema_v3(kind, undescribed());
    schemas[name]["x-kubernetes-preserve-unknown-fields"] = true;
  }
  schemas[name][kGvk] = Json::array({gvk_of(kind)});
}

Json operation_v3(const Kind& kind, const char* action) {
  Json operation{{"x-kubernetes-action", action},
                 {kGvk, gvk_of(kind)},
                 {"responses", {{"200", {{"description", "OK"}}}}}};
  if (std::string_view(action) == "patch" || std::string_view(action) == "post") {
    for (const auto parameter : kWriteParameters) {
      operation["parameters"].push_back(
          {{"in", "query"}, {"name", parameter}, {"schema", {{"type", "string"}}}});
    }
  }
  return operation;
}

void add_paths_v3(const Kind& kind, Json& paths) {
  std::string base = "/" + path_of(kind) + "/";
  if (kind.namespaced) base += "namespaces/{namespace}/";
  base += kind.plural;
  const std::string one = base + "/{name}";
  paths[base]["get"] = operation_v3(kind, "list");
  paths[one]["get"] = operation_v3(kind, "get");
  if (api::schema_of(kind) == nullptr) return;
  paths[base]["post"] = operation_v3(kind, "post");
  paths[one]["patch"] = operation_v3(kind, "patch");
  paths[one]["delete"] = operation_v3(kind, "delete");
}

// --- Version 2: protobuf ---

// One message of the wire format: length-delimited fields and booleans are enough.
class Message final {
 public:
  Message& text(unsigned field, std::string_view value) {
    constexpr unsigned kLengthDelimited = 2;
    varint(field << 3U | kLengthDelimited);
    varint(value.size());
    bytes_.append(value);
    return *this;
  }
  Message& message(unsigned field, const Message& value) { return text(field, value.bytes_); }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  void varint(size_t value) {
    constexpr size_t kMore = 0x80;
    for (; value >= kMore; value >>= 7U) bytes_.push_back(static_cast<char>(value | kMore));
    bytes_.push_back(static_cast<char>(value));
  }
  std::string bytes_;
};

// Field numbers of openapiv2.OpenAPIv2.proto.
namespace field {
constexpr unsigned kName = 1;   // of all Named... messages
constexpr unsigned kValue = 2;  // of the same
namespace document {
constexpr unsigned kSwagger = 1;
constexpr unsigned kInfo = 2;
constexpr unsigned kPaths = 8;
constexpr unsigned kDefinitions = 9;
}  // namespace document
namespace path {
constexpr unsigned kPath = 2;              // of Paths
constexpr unsigned kPatch = 8;             // of PathItem
constexpr unsigned kParameters = 8;        // of Operation
constexpr unsigned kOperationVendor = 13;  // of Operation
}  // namespace path
namespace schema {
constexpr unsigned kRef = 1;
constexpr unsigned kDescription = 4;
constexpr unsigned kAdditional = 21;
constexpr unsigned kType = 22;
constexpr unsigned kItems = 23;
constexpr unsigned kProperties = 25;
constexpr unsigned kVendor = 31;
}  // namespace schema
}  // namespace field

Message named(std::string_view name, const Message& value) {
  return std::move(Message().text(field::kName, name).message(field::kValue, value));
}

// An extension: its value is JSON, which is YAML.
Message extension(std::string_view name, const Json& value) {
  constexpr unsigned kYaml = 2;  // of Any
  return named(name, Message().text(kYaml, api::to_text(value)));
}

Message typed(std::string_view type) {
  return std::move(Message().message(field::schema::kType, Message().text(1, type)));
}

Message type_v2(const Kind& kind, const SchemaField& one) {
  const auto reference = [&] {
    return std::move(Message().text(field::schema::kRef,
                                    "#/definitions/" + definition_of(kind, one.object->name)));
  };
  switch (one.type) {
    case Type::kString:
      return typed("string");
    case Type::kInteger:
      return typed("integer");
    case Type::kBoolean:
      return typed("boolean");
    case Type::kStrings:
      return std::move(
          typed("array").message(field::schema::kItems, Message().message(1, typed("string"))));
    case Type::kTexts:
      return std::move(typed("object").message(field::schema::kAdditional,
                                               Message().message(1, typed("string"))));
    case Type::kObject:
      return reference();
    case Type::kObjects:
      return std::move(
          typed("array").message(field::schema::kItems, Message().message(1, reference())));
    case Type::kAny:
      break;
  }
  return {};
}

Message schema_v2(const Kind& kind, const Schema& schema) {
  Message properties;
  for (const auto& one : schema.fields) {
    Message property = type_v2(kind, one);
    property.text(field::schema::kDescription, one.description);
    properties.message(1, named(one.name, property));
  }
  Message out = typed("object");
  out.text(field::schema::kDescription, schema.description);
  if (!schema.fields.empty()) out.message(field::schema::kProperties, properties);
  return out;
}

Message patch_v2(const Kind& kind) {
  Message operation;
  for (const auto parameter : kWriteParameters) {
    // A QueryParameterSubSchema inside of three messages that choose among others.
    Message query;
    query.text(2, "query").text(4, parameter).text(6, "string");
    Message choice;
    choice.message(1, Message().message(2, Message().message(3, query)));
    operation.message(field::path::kParameters, choice);
  }
  operation.message(field::path::kOperationVendor, extension(kGvk, gvk_of(kind)));
  return operation;
}

}  // namespace

Json openapi_v3_index() {
  Json index;
  for (const auto* kind : api::all_kinds()) {
    const std::string path = path_of(*kind);
    if (index["paths"].contains(path)) continue;
    const auto document = openapi_v3(path);
    // Clients keep the document for as long as its hash is the same.
    index["paths"][path]["serverRelativeURL"] =
        fmt::format("/openapi/v3/{}?hash={}", path, sha256_hex(api::to_text(*document)));
  }
  return index;
}

std::optional<Json> openapi_v3(std::string_view path) {
  Json out{{"openapi", "3.0.0"}, {"info", {{"title", "Ebb"}, {"version", "v1"}}}};
  bool found = false;
  for (const auto* kind : api::all_kinds()) {
    if (path_of(*kind) != path) continue;
    found = true;
    add_paths_v3(*kind, out["paths"]);
    add_schemas_v3(*kind, out["components"]["schemas"]);
  }
  if (!found) return std::nullopt;
  return out;
}

std::string openapi_v2() {
  Message definitions;
  Message paths;
  std::set<const Schema*> seen;
  for (const auto* kind : api::all_kinds()) {
    const Schema* schema = api::schema_of(*kind);
    const auto define = [&](const Schema& one, std::string_view name, bool whole) {
      Message definition = schema_v2(*kind, one);
      if (whole) {
        definition.message(field::schema::kVendor, extension(kGvk, Json::array({gvk_of(*kind)})));
      }
      definitions.message(1, named(definition_of(*kind, name), definition));
    };
    if (schema == nullptr) {
      define(undescribed(), kind->kind, true);
      continue;
    }
    visit(*schema, seen, [&](const Schema& one) { define(one, one.name, &one == schema); });
    const std::string path =
        fmt::format("/{}/namespaces/{{namespace}}/{}/{{name}}", path_of(*kind), kind->plural);
    paths.message(field::path::kPath,
                  named(path, Message().message(field::path::kPatch, patch_v2(*kind))));
  }
  Message document;
  document.text(field::document::kSwagger, "2.0")
      .message(field::document::kInfo, Message().text(1, "Ebb").text(2, "v1"))
      .message(field::document::kPaths, paths)
      .message(field::document::kDefinitions, definitions);
  return document.bytes();
}

}  // namespace ebb::apiserver
