// Which bytes may stand where in a head (RFC 9110 section 5.6).
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

namespace ebb::http {

namespace detail {

inline constexpr uint8_t kTokenChar = 1;
inline constexpr uint8_t kValueChar = 2;   // field value: visible, obs-text, space, tab
inline constexpr uint8_t kTargetChar = 4;  // request target: visible ASCII without '#'
inline constexpr uint8_t kHostChar = 8;    // reg-name without "%": unreserved, sub-delims

consteval std::array<uint8_t, 256> make_char_classes() {
  std::array<uint8_t, 256> classes{};
  for (int c = 0; c < 256; ++c) {
    const bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    uint8_t bits = 0;
    if (alnum ||
        std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(c)) != std::string_view::npos) {
      bits |= kTokenChar;
    }
    if (c == '\t' || (c >= 0x20 && c != 0x7f)) bits |= kValueChar;
    if (c > 0x20 && c < 0x7f && c != '#') bits |= kTargetChar;
    if (alnum ||
        std::string_view("-._~!$&'()*+,;=").find(static_cast<char>(c)) != std::string_view::npos) {
      bits |= kHostChar;
    }
    classes[static_cast<size_t>(c)] = bits;
  }
  return classes;
}

inline constexpr std::array<uint8_t, 256> kCharClasses = make_char_classes();

constexpr bool all_of_class(std::string_view text, uint8_t bits) {
  for (const char c : text) {
    if ((kCharClasses[static_cast<uint8_t>(c)] & bits) == 0) return false;
  }
  return true;
}

// Of the first eight bytes, which there must be: one is below 0x20, or 0x7f. After "Bit Twiddling
// Hacks", Sean Eron Anderson, "Determine if a word has a byte less than n".
inline bool may_have_control(std::string_view text) {
  constexpr uint64_t kOnes = 0x0101010101010101;
  constexpr uint64_t kHigh = 0x8080808080808080;
  uint64_t word = 0;
  std::memcpy(&word, text.data(), sizeof word);
  const uint64_t del = word ^ (kOnes * 0x7f);
  return (((word - kOnes * 0x20) & ~word & kHigh) | ((del - kOnes) & ~del & kHigh)) != 0;
}

}  // namespace detail

[[nodiscard]] constexpr bool is_token_char(char c) {
  return (detail::kCharClasses[static_cast<uint8_t>(c)] & detail::kTokenChar) != 0;
}
[[nodiscard]] constexpr bool is_value_char(char c) {
  return (detail::kCharClasses[static_cast<uint8_t>(c)] & detail::kValueChar) != 0;
}
[[nodiscard]] constexpr bool is_host_char(char c) {
  return (detail::kCharClasses[static_cast<uint8_t>(c)] & detail::kHostChar) != 0;
}
[[nodiscard]] constexpr bool is_token(std::string_view text) {
  return !text.empty() && detail::all_of_class(text, detail::kTokenChar);
}
[[nodiscard]] constexpr bool is_field_value(std::string_view text) {
  // Eight at a time as long as there is neither a control character nor DEL.
  constexpr size_t kStep = 8;
  while (!std::is_constant_evaluated() && text.size() >= kStep) {
    if (detail::may_have_control(text)) break;
    text.remove_prefix(kStep);
  }
  return detail::all_of_class(text, detail::kValueChar);
}
[[nodiscard]] constexpr bool is_target(std::string_view text) {
  return !text.empty() && detail::all_of_class(text, detail::kTargetChar);
}

[[nodiscard]] constexpr char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}
// 0..15, or -1.
[[nodiscard]] constexpr int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = to_lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Without spaces and tabs at both ends.
[[nodiscard]] constexpr std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace ebb::http
