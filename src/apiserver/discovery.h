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

}  // namespace ebb::apiserver
