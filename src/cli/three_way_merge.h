// kubectl's client-side apply: what changed between the manifest applied last time, the
// manifest now and the object there is, as a JSON merge patch (RFC 7396).
//
// A field that is in the last manifest and not in this one is removed; a field that
// only the object has (set by others) stays; all that the manifest says is set. The
// last manifest is kept on the object in the same annotation and form as kubectl's, so
// that both tools may be used on one object. The algorithm is that of
// k8s.io/apimachinery/pkg/util/jsonmergepatch CreateThreeWayJSONMergePatch. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "api/object.h"
#include "base/result.h"

namespace ebb::cli {

inline constexpr const char* kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";

// `manifest` with itself, as text, in the annotation; without status.
[[nodiscard]] api::Json with_last_applied(api::Json manifest);

// The patch that brings `current` to `manifest` (which has the annotation); an empty
// object if nothing changes. kInvalid if the annotation of `current` is not JSON.
[[nodiscard]] Result<api::Json> three_way_merge_patch(const api::Json& manifest,
                                                      const api::Json& current);

}  // namespace ebb::cli
