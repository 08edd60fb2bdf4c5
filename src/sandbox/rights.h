// What this process needs to isolate pods, and what to do where it lacks.
#pragma once

#include "base/result.h"

namespace ebb::sandbox {

// kPermission with a message that says what is missing and how to get it.
[[nodiscard]] Result<void> check_rights();

}  // namespace ebb::sandbox
