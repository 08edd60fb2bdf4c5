// Numbers in fields.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

#include "http/message.h"

namespace ebb::http {

// Of decimal digits and nothing else.
template <class Number>
[[nodiscard]] std::optional<Number> to_number(std::string_view text) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// nullopt if there is no Content-Length, or no such number in it.
[[nodiscard]] inline std::optional<uint64_t> content_length(const Fields& fields) {
  const auto text = fields.get("content-length");
  return text ? to_number<uint64_t>(*text) : std::nullopt;
}

}  // namespace ebb::http
