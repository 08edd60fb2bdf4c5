// Bytes as lower-case hexadecimal digits.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace ebb {

// Two digits per byte: {0x0f, 0xa0} -> "0fa0".
[[nodiscard]] std::string to_hex(std::span<const unsigned char> bytes);

}  // namespace ebb
