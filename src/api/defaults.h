// The values that Knative fills in where the user left them out
// (pkg/apis/serving/v1/*_defaults.go). Idempotent. What Knative fills into lists (a
// container's name, latestRevision: false) is left out: a client that merges, such as
// `kubectl apply`, replaces lists as a whole, and would see a change each time.
#pragma once

#include "api/types.h"

namespace ebb::api {

inline constexpr int64_t kDefaultTimeoutSeconds = 300;
inline constexpr int64_t kDefaultResponseStartTimeoutSeconds = 300;
// Of a container without a name.
inline constexpr std::string_view kDefaultContainerName = "user-container";
inline constexpr std::string_view kDefaultNamespace = "default";

void apply_defaults(RevisionSpec& spec);
void apply_defaults(Service& service);  // also: all traffic to the latest revision
void apply_defaults(Configuration& configuration);
void apply_defaults(Revision& revision);
void apply_defaults(Route& route);

}  // namespace ebb::api
