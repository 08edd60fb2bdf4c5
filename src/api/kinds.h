// All kinds of resources, and finding one by the names that users type.
#pragma once

#include <span>
#include <string_view>

#include "api/object.h"

namespace ebb::api {

[[nodiscard]] std::span<const Kind* const> all_kinds();

// By plural, singular, kind or short name, without case, optionally qualified by a
// group ("services.serving.knative.dev"). nullptr if there is none.
[[nodiscard]] const Kind* find_kind(std::string_view name);

// By the parts of an API path. nullptr if there is none.
[[nodiscard]] const Kind* find_kind(std::string_view group, std::string_view version,
                                    std::string_view plural);

// By what an object says of itself: "serving.knative.dev/v1", "Service".
[[nodiscard]] const Kind* find_kind_of(std::string_view api_version, std::string_view kind);

}  // namespace ebb::api
