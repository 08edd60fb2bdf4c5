// What the API has to offer, as kubectl asks for it before anything else.
#pragma once

#include <string>
#include <string_view>

#include "api/object.h"

namespace ebb::apiserver {

[[nodiscard]] api::Json version_info(std::string_view ebb_version);  // /version
[[nodiscard]] api::Json core_versions();                             // /api
[[nodiscard]] api::Json group_list();                                // /apis
[[nodiscard]] api::Json group_info(std::string_view group);          // /apis/GROUP
[[nodiscard]] api::Json resource_list(std::string_view group, std::string_view version);

// True for kinds that are shown and not stored.
[[nodiscard]] bool is_live(const api::Kind& kind);

// The smallest OpenAPI document that kubectl of all versions takes ({swagger: "2.0"}
// as protobuf): with it, `kubectl apply` works without client-side validation. The
// media type must be this one, whatever the client accepts.
inline constexpr std::string_view kOpenApiV2(
    "\x0a\x03"
    "2.0",
    5);
inline constexpr std::string_view kOpenApiV2Type =
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

}  // namespace ebb::apiserver
