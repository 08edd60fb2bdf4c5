// The labels and annotations, Knative's, that say whose a revision is and whether routes
// use it. Garbage collection goes by them.
#pragma once

#include <string_view>

namespace ebb::control {

inline constexpr std::string_view kServiceUidLabel = "serving.knative.dev/serviceUID";
inline constexpr std::string_view kConfigurationUidLabel = "serving.knative.dev/configurationUID";

// A label: kPending, kActive or kReserve.
inline constexpr std::string_view kRoutingState = "serving.knative.dev/routingState";
inline constexpr std::string_view kPending = "pending";  // new: no route has used it yet
inline constexpr std::string_view kActive = "active";    // some route names it
inline constexpr std::string_view kReserve = "reserve";  // none does any more

// Annotations.
inline constexpr std::string_view kRoutingStateModified =
    "serving.knative.dev/routingStateModified";                                    // RFC 3339
inline constexpr std::string_view kRoutes = "serving.knative.dev/routes";          // names: "a,b"
inline constexpr std::string_view kLastPinned = "serving.knative.dev/lastPinned";  // Unix seconds
inline constexpr std::string_view kNoGc = "serving.knative.dev/no-gc";             // "true"

}  // namespace ebb::control
