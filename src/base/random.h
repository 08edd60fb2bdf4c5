// Unpredictable bytes from the kernel: names, uids, tokens. Thread-safe.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace ebb {

void random_bytes(std::span<unsigned char> out);

// `bytes` random bytes as 2 * `bytes` hexadecimal digits.
[[nodiscard]] std::string random_hex(size_t bytes);

// A random UUID (RFC 9562 version 4): "8c9b1b4c-3c1f-4ab0-9d0e-6f1f7c2a5b11".
[[nodiscard]] std::string uuid4();

}  // namespace ebb
