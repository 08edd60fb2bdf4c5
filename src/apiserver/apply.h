// Server-side apply: a client says which fields it wants how, and the server remembers
// who set which (metadata.managedFields, in Kubernetes' format). Pure.
//
// A field is set by the manager that applied it last. A manager that applies without a
// field that it had set removes it, unless another one has set it too. A different value
// for another manager's field is a conflict, or takes the field over if forced.
// Simpler than Kubernetes in this: lists are one value (as in Knative's own definitions),
// and a plain update or patch only takes the fields that it changes from their managers,
// without becoming one.
#pragma once

#include <string>
#include <vector>

#include "api/object.h"

namespace ebb::apiserver {

inline constexpr size_t kMaxManagers = 32;  // of one object

// What `manager` wants, merged into `live` (null: there is no such object yet) without
// the fields that it no longer wants. Managed fields are left to set_managed().
[[nodiscard]] api::Json merge_applied(const api::Json& live, const api::Json& config,
                                      const std::string& manager);

// The fields that `manager` would take from others with `after`, what `live` is to
// become: "conflict with \"other\": .spec.template". Empty: none.
[[nodiscard]] std::vector<std::string> apply_conflicts(const api::Json& live,
                                                       const api::Json& after,
                                                       const api::Json& config,
                                                       const std::string& manager);

// Notes in `after` that `manager` has applied `config`: over what `live` says of itself.
void set_managed(const api::Json& live, api::Json& after, const api::Json& config,
                 const std::string& manager, const std::string& now);

// For other writes: `after` keeps what `before` says, apart from fields that changed. An
// empty list in `after` forgets all.
void keep_managed(const api::Json& before, api::Json& after);

}  // namespace ebb::apiserver
