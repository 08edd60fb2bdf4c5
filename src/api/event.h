// Something that happened to an object, as `kubectl describe` shows it: core/v1 Event.
// Live, never stored. A plain value.
#pragma once

#include <cstdint>
#include <string>

#include "api/object.h"

namespace ebb::api {

struct Event {
  enum class Type { kNormal, kWarning };
  // Whom it happened to.
  struct Involved {
    std::string api_version;
    std::string kind;
    std::string ns;  // empty for cluster-scoped kinds
    std::string name;
    std::string uid;
    friend bool operator==(const Involved&, const Involved&) = default;
  };
  ObjectMeta meta;
  Involved involved;
  Type type = Type::kNormal;
  std::string reason;           // one CamelCase word
  std::string message;          // for a person
  int64_t count = 1;            // how often
  std::string first_timestamp;  // RFC 3339
  std::string last_timestamp;

  static const Kind& kind();
  [[nodiscard]] Json to_json() const;
  friend bool operator==(const Event&, const Event&) = default;
};

}  // namespace ebb::api
