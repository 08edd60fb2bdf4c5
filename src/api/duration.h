// Durations as Go writes them: "60s", "1m30s", "1.5h", "300ms", "0".
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace ebb::api {

// kInvalid if it is not a duration, or over 290 years.
[[nodiscard]] Result<Duration> parse_duration(std::string_view text);
[[nodiscard]] std::string format_duration(Duration duration);  // "1m30s", "0s"

}  // namespace ebb::api
