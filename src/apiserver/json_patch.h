// JSON Patch (RFC 6902), bounded: copies of copies must not fill the memory. Pure.
#pragma once

#include "api/object.h"
#include "base/result.h"

namespace ebb::apiserver {

inline constexpr size_t kMaxPatchSteps = 10'000;
inline constexpr size_t kMaxPatchCopied = 1 << 20;  // bytes that "copy" steps add, about

// Applies all steps to `object`; kInvalid, and part of them applied, if one cannot be, or
// if the result nests deeper than api::kMaxJsonDepth.
[[nodiscard]] Result<void> apply_json_patch(api::Json& object, const api::Json& steps);

}  // namespace ebb::apiserver
