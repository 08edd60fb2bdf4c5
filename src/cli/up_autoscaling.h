// The key `autoscaling` of the settings of `ebb up`: what holds for revisions that do not say
// otherwise, by the annotations' names or by those of Knative's config-autoscaler, and what no
// revision can exceed.
#pragma once

#include <vector>

#include "api/json_fields.h"
#include "api/object.h"
#include "cli/options.h"

namespace ebb::cli {

// Sets `autoscaling`, `limits` and `scale_to_zero` of `up`; what is wrong is added to `errors`
// as "autoscaling.KEY".
void read_autoscaling(api::FieldReader& fields, UpOptions& up,
                      std::vector<api::FieldError>& errors);

}  // namespace ebb::cli
