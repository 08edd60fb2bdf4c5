// Reading and writing JSON text, strictly.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "api/object.h"
#include "base/result.h"

namespace ebb::api {

inline constexpr int kMaxJsonDepth = 64;

// kInvalid with "line L, column C: ..." for text that is not one JSON value, repeats
// a key of an object, or nests deeper than kMaxJsonDepth.
[[nodiscard]] Result<Json> parse_json(std::string_view text);

// Compact text. Bytes that are not UTF-8 become U+FFFD.
[[nodiscard]] std::string to_text(const Json& json);

}  // namespace ebb::api
