// Unpredictable bytes from the kernel: names, uids, tokens. Thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>

namespace ebb {

void random_bytes(std::span<unsigned char> out);

// `bytes` random bytes as 2 * `bytes` hexadecimal digits.
[[nodiscard]] std::string random_hex(size_t bytes);

// The same for names that are made often (request ids): takes the kernel's bytes in
// blocks. One per thread, and not over a fork, which would make the names twice.
class RandomNames final {
 public:
  [[nodiscard]] std::string hex(size_t bytes);  // at most kBlock

 private:
  static constexpr size_t kBlock = 512;
  std::array<unsigned char, kBlock> block_{};
  size_t left_ = 0;
};

// A random UUID (RFC 9562 version 4): "8c9b1b4c-3c1f-4ab0-9d0e-6f1f7c2a5b11".
[[nodiscard]] std::string uuid4();

}  // namespace ebb
