#include "base/base64.h"

#include <cstdint>

namespace ebb {
namespace {

constexpr std::string_view kDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string to_base64(std::string_view data) {
  std::string out;
  out.reserve((data.size() + 2) / 3 * 4);
  for (size_t at = 0; at < data.size(); at += 3) {
    uint32_t bits = 0;
    for (size_t i = 0; i < 3; ++i) {
      bits = bits << 8U | (at + i < data.size() ? static_cast<unsigned char>(data[at + i]) : 0U);
    }
    for (size_t i = 0; i < 4; ++i) {
      const bool padding = at + i > data.size();
      out.push_back(padding ? '=' : kDigits[bits >> (18 - 6 * i) & 63U]);
    }
  }
  return out;
}

std::optional<std::string> from_base64(std::string_view text) {
  std::string out;
  uint32_t bits = 0;
  size_t digits = 0;
  size_t padding = 0;
  for (const char c : text) {
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t') continue;
    const size_t value = kDigits.find(c);
    if (c == '=') {
      ++padding;
    } else if (value == std::string_view::npos || padding > 0) {
      return std::nullopt;
    }
    bits = bits << 6U | (c == '=' ? 0U : static_cast<uint32_t>(value));
    if (++digits % 4 != 0) continue;
    for (size_t i = 0; i < 3; ++i) out.push_back(static_cast<char>(bits >> (16 - 8 * i)));
    bits = 0;
  }
  if (digits % 4 != 0 || padding > 2 || padding > out.size()) return std::nullopt;
  // Bits that the padding leaves over must be zero: one text for one value.
  for (size_t i = 0; i < padding; ++i) {
    if (out.back() != '\0') return std::nullopt;
    out.pop_back();
  }
  return out;
}

}  // namespace ebb
