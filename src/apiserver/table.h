// Objects as a Kubernetes Table, which `kubectl get` prints as it is. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "apiserver/request.h"
#include "base/clock.h"

namespace ebb::apiserver {

// True if the Accept field asks for a Table.
[[nodiscard]] bool wants_table(std::string_view accept);

// What a row says of its object beside the cells: includeObject of a request.
enum class RowObject { kNone, kMetadata, kWhole };

[[nodiscard]] RowObject row_object_of(const ApiRequest& request);

// One row for each object, with the columns of its kind (as Knative defines them).
// `version`: the resourceVersion of the list; empty in a watch.
[[nodiscard]] api::Json to_table(const api::Kind& kind, const std::vector<api::Json>& objects,
                                 const std::string& version, WallTime now,
                                 RowObject with = RowObject::kMetadata);

}  // namespace ebb::apiserver
