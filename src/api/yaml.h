// Reading and writing YAML, strictly: what a manifest says is what is taken, or the
// reader says where it does not understand. JSON is YAML too.
//
// YAML 1.2 with the core schema: an untyped scalar is null, a boolean (true, false), a
// number or a string; yes, no, on and off are strings. Stricter than the standard
// where readers differ: numbers with leading zeros, merge keys (<<), NaN and infinity
// are refused.
//
//   auto documents = parse_yaml(text);
//   if (!documents) return fail(documents.error());   // "line 3, column 5: ..."
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "base/result.h"

namespace ebb::api {

inline constexpr size_t kMaxYamlBytes = 4 << 20;    // of a text
inline constexpr size_t kMaxYamlCopied = 4 << 20;   // bytes that anchors and aliases add to it
inline constexpr size_t kMaxYamlDocuments = 10000;  // in a text

// The documents of `text`; empty ones (only comments, or null) are left out, so there
// may be none. kInvalid with "line L, column C: ..." for what is not YAML in UTF-8,
// repeats a key, has keys that are no scalars, nests deeper than kMaxJsonDepth, or
// exceeds a bound.
[[nodiscard]] Result<std::vector<Json>> parse_yaml(std::string_view text);

// Block style, keys in order; ends with a line feed. Strings that a reader of YAML
// 1.1 or 1.2 could take for something else are quoted. parse_yaml() of it gives `json`
// again, apart from invalid UTF-8, which becomes U+FFFD.
[[nodiscard]] std::string to_yaml(const Json& json);

}  // namespace ebb::api
