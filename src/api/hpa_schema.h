// The fields of a HorizontalPodAutoscaler, for schema.cc. Private to api/.
#pragma once

#include "api/schema.h"

namespace ebb::api {

[[nodiscard]] const Schema& hpa_spec_schema();
[[nodiscard]] const Schema& hpa_status_schema();

}  // namespace ebb::api
