#include "base/random.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <vector>

#include "base/hex.h"

namespace ebb {

void random_bytes(std::span<unsigned char> out) {
  while (!out.empty()) {
    const ssize_t n = ::getrandom(out.data(), out.size(), 0);
    if (n < 0) {
      if (errno == EINTR) continue;
      throw std::system_error(errno, std::system_category(), "getrandom");
    }
    out = out.subspan(static_cast<size_t>(n));
  }
}

std::string random_hex(size_t bytes) {
  std::vector<unsigned char> raw(bytes);
  random_bytes(raw);
  return to_hex(raw);
}

std::string RandomNames::hex(size_t bytes) {
  bytes = std::min(bytes, kBlock);
  if (left_ < bytes) {
    random_bytes(block_);
    left_ = kBlock;
  }
  left_ -= bytes;
  return to_hex(std::span(block_).subspan(left_, bytes));
}

std::string uuid4() {
  std::array<unsigned char, 16> raw{};
  random_bytes(raw);
  raw[6] = static_cast<unsigned char>((raw[6] & 0x0f) | 0x40);  // version 4
  raw[8] = static_cast<unsigned char>((raw[8] & 0x3f) | 0x80);  // the variant of RFC 9562
  std::string text = to_hex(raw);
  for (const size_t at : {8, 13, 18, 23}) text.insert(at, 1, '-');
  return text;
}

}  // namespace ebb
