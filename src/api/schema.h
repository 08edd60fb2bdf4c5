// The fields that a kind has, with type and meaning: what finds unknown fields and what
// the API's OpenAPI documents are made of. Ebb refuses some of them (validate.h), such
// as volumes: they are Kubernetes' and no misspelling.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"

namespace ebb::api {

struct Schema;

struct SchemaField {
  enum class Type {
    kString,
    kInteger,
    kBoolean,
    kStrings,  // a list of them
    kTexts,    // a map of strings
    kObject,   // `object` says more
    kObjects,  // a list of them
    kAny,      // anything: not looked into
  };
  std::string_view name;
  Type type = Type::kAny;
  std::string_view description;
  const Schema* object = nullptr;
};

struct Schema {
  std::string_view name;  // of the definition: "ServiceSpec"
  std::string_view description;
  std::vector<SchemaField> fields;

  [[nodiscard]] const SchemaField* find(std::string_view field) const;
};

// nullptr for a kind that nobody writes, whose objects are not described.
[[nodiscard]] const Schema* schema_of(const Kind& kind);

// Takes the fields that the kind does not have out of `object`, and returns their paths:
// "spec.template.spec.containers[0].imagee". What has a wrong type is left.
[[nodiscard]] std::vector<std::string> remove_unknown_fields(const Kind& kind, Json& object);

}  // namespace ebb::api
