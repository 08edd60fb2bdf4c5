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
    kMetrics,       // /metrics
    kVersion,       // /version
    kCoreVersions,  // /api
    kGroups,        // /apis
    kGroup,         // /apis/GROUP
    kResources,     // /api/v1, /apis/GROUP/VERSION
    kOpenApiV2,     // /openapi/v2
    kOpenApiV3,     // /openapi/v3, and the documents below it
    kInfo,          // /apis/ebb.dev/v1/info
    kBlob,          // /apis/ebb.dev/v1/blobs/DIGEST
    kNamespaces,    // /api/v1/namespaces: those that anything is in
    kNamespace,     // one of them
    kBackup,        // /apis/ebb.dev/v1/backup
    kObjects,       // all of a kind, or of a namespace
    kObject,
    kStatus,      // an object's status
    kPodLog,      // /api/v1/namespaces/NS/pods/POD/log
    kServiceLog,  // /apis/ebb.dev/v1/namespaces/NS/services/NAME/log
  };
  Endpoint endpoint = Endpoint::kHealthz;
  std::string group;                // kGroup, kResources
  std::string version;              // kResources
  const api::Kind* kind = nullptr;  // kObjects, kObject, kStatus
  std::string ns;                   // empty: all namespaces, or a cluster-scoped kind
  // kObject, kStatus, kNamespace, logs; the digest of a kBlob; what follows /openapi/v3.
  std::string name;
  std::map<std::string, std::string> query;  // the last value of each parameter

  [[nodiscard]] std::string_view parameter(const std::string& name) const;  // empty if not given
  // True for "true" and "1", and for a parameter without value.
  [[nodiscard]] bool flag(const std::string& name) const;
};

// kInvalid for a target that cannot be read, kNotFound for what the API does not have.
[[nodiscard]] Result<ApiRequest> parse_request(std::string_view target);

}  // namespace ebb::apiserver
