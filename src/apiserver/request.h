// What a request to the API asks for, from its method and target. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "api/object.h"
#include "base/result.h"

namespace ebb::apiserver {

struct ApiRequest {
  enum class Endpoint {
    kHealthz,
    kReadyz,
    kVersion,       // /version
    kCoreVersions,  // /api
    kGroups,        // /apis
    kGroup,         // /apis/GROUP
    kResources,     // /api/v1, /apis/GROUP/VERSION
    kOpenApi,       // /openapi/v2
    kInfo,          // /apis/ebb.dev/v1/info
    kBlob,          // /apis/ebb.dev/v1/blobs/DIGEST
    kBackup,        // /apis/ebb.dev/v1/backup
    kObjects,       // all of a kind, or of a namespace
    kObject,
    kStatus,  // an object's status
  };
  Endpoint endpoint = Endpoint::kHealthz;
  std::string group;                         // kGroup, kResources
  std::string version;                       // kResources
  const api::Kind* kind = nullptr;           // kObjects, kObject, kStatus
  std::string ns;                            // empty: all namespaces, or a cluster-scoped kind
  std::string name;                          // kObject, kStatus; the digest of a kBlob
  std::map<std::string, std::string> query;  // the last value of each parameter

  [[nodiscard]] std::string_view parameter(const std::string& name) const;  // empty if not given
  // True for "true" and "1", and for a parameter without value.
  [[nodiscard]] bool flag(const std::string& name) const;
};

// kInvalid for a target that cannot be read, kNotFound for what the API does not have.
[[nodiscard]] Result<ApiRequest> parse_request(std::string_view target);

}  // namespace ebb::apiserver
