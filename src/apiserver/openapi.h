// The API's OpenAPI documents, made of api/schema.h: what kubectl validates, explains
// and finds out dry runs with. Version 3 as JSON for kubectl from 1.27 on, version 2 as
// protobuf (gnostic's OpenAPIv2.proto) for older ones. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "api/object.h"

namespace ebb::apiserver {

// /openapi/v3: where the document of each group and version is.
[[nodiscard]] api::Json openapi_v3_index();
// /openapi/v3/PATH, with PATH as in the index: "api/v1", "apis/GROUP/VERSION". nullopt if
// there is none.
[[nodiscard]] std::optional<api::Json> openapi_v3(std::string_view path);

// /openapi/v2. The media type must be this one, whatever the client accepts.
[[nodiscard]] std::string openapi_v2();
inline constexpr std::string_view kOpenApiV2Type =
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

}  // namespace ebb::apiserver
