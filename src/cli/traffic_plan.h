// What spec.traffic of a service becomes. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "api/object.h"
#include "base/result.h"
#include "cli/await.h"
#include "cli/options.h"

namespace ebb::cli {

// The shares and tags that the options give; what they do not speak of stays. kNotFound
// for a revision that is not one of `revisions`, which are all of the service's.
[[nodiscard]] Result<api::Json> planned_traffic(const TrafficOptions& options,
                                                const api::Json& service,
                                                const std::vector<api::Json>& revisions);

// All traffic to one revision: the given one; else, where several have traffic now, the
// newest of them but one; else the newest ready one that is older than the one that has it.
// Tags stay.
[[nodiscard]] Result<api::Json> planned_rollback(const RollbackOptions& options,
                                                 const api::Json& service,
                                                 const std::vector<api::Json>& revisions);

// Whether the route has what spec.traffic says. A latest revision that is not ready is
// no failure of the route.
[[nodiscard]] Verdict traffic_verdict(const api::Json& service);

}  // namespace ebb::cli
