// Kubernetes resource quantities: "128Mi", "1.5G", "500m", "2", "1e3".
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace ebb::api {

// Bytes, rounded up. kInvalid if it is not a quantity, negative or over 2^63-1.
[[nodiscard]] Result<int64_t> parse_bytes(std::string_view text);
// Thousandths of a CPU, rounded up: "500m" -> 500, "2" -> 2000.
[[nodiscard]] Result<int64_t> parse_millicores(std::string_view text);
// Thousandths of whatever it is, rounded up: "100" -> 100000, "1Ki" -> 1024000.
[[nodiscard]] Result<int64_t> parse_thousandths(std::string_view text);

}  // namespace ebb::api
