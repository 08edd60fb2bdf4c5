// What all resources share: JSON in Kubernetes shape, metadata, conditions.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace ebb::api {

using Json = nlohmann::json;

// Names one kind of resource in the API's paths and objects.
struct Kind {
  std::string_view group;                     // "serving.knative.dev"; empty for the core group
  std::string_view version;                   // "v1"
  std::string_view kind;                      // "Service"
  std::string_view plural;                    // "services"
  std::string_view singular;                  // "service"
  std::vector<std::string_view> short_names;  // "ksvc"
  bool namespaced = true;

  [[nodiscard]] std::string api_version() const;  // "serving.knative.dev/v1"
};

struct OwnerReference {
  std::string api_version;
  std::string kind;
  std::string name;
  std::string uid;
  bool controller = true;
  std::string extra;  // see ObjectMeta::extra
  friend bool operator==(const OwnerReference&, const OwnerReference&) = default;
};

struct ObjectMeta {
  std::string name;
  std::string ns;
  std::string uid;
  std::string resource_version;
  int64_t generation = 0;
  std::string creation_timestamp;  // RFC 3339, UTC, seconds
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> annotations;
  std::vector<OwnerReference> owners;
  // The fields that Ebb has no member for, as the text of one JSON object, so that
  // nothing a user wrote gets lost; empty if there are none.
  std::string extra;
  friend bool operator==(const ObjectMeta&, const ObjectMeta&) = default;

  [[nodiscard]] std::string_view annotation(std::string_view key) const;  // empty if not set
};

// A Knative condition. `Ready` is the summary of the others.
struct Condition {
  enum class Status { kTrue, kFalse, kUnknown };
  std::string type;
  Status status = Status::kUnknown;
  std::string reason;   // one CamelCase word
  std::string message;  // for a person
  std::string last_transition_time;
  friend bool operator==(const Condition&, const Condition&) = default;
};

// Sets or adds `type`; last_transition_time moves only when the status changes.
void set_condition(std::vector<Condition>& conditions, Condition condition, WallTime now);
[[nodiscard]] const Condition* find_condition(const std::vector<Condition>& conditions,
                                              std::string_view type);

[[nodiscard]] std::string to_rfc3339(WallTime time);
// Takes what to_rfc3339 writes, and fractions of seconds (dropped). UTC only.
[[nodiscard]] Result<WallTime> from_rfc3339(std::string_view text);

// An input error at a field, in kubectl's words: "spec.traffic[0].percent: Invalid
// value: ...". Several are joined by the caller.
struct FieldError {
  std::string path;
  std::string message;
  friend bool operator==(const FieldError&, const FieldError&) = default;
};

// All of them in one kInvalid error, "path: message" joined with "; ".
[[nodiscard]] Error to_error(const std::vector<FieldError>& errors);

}  // namespace ebb::api
