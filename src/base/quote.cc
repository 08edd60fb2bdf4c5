#include "base/quote.h"

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <iterator>

namespace ebb {
namespace {

unsigned char byte_of(std::string_view text, size_t at) {
  return static_cast<unsigned char>(text[at]);
}

// The length of the well-formed printable character beyond ASCII at `at`, 0 if there is
// none: Unicode 15, table 3-7, without the controls U+0080 to U+009F.
size_t beyond_ascii(std::string_view text, size_t at) {
  struct Form {
    unsigned char first_low, first_high;
    unsigned char second_low, second_high;
    size_t length;
  };
  static constexpr std::array<Form, 9> kForms = {{{0xC2, 0xC2, 0xA0, 0xBF, 2},
                                                  {0xC3, 0xDF, 0x80, 0xBF, 2},
                                                  {0xE0, 0xE0, 0xA0, 0xBF, 3},
                                                  {0xE1, 0xEC, 0x80, 0xBF, 3},
                                                  {0xED, 0xED, 0x80, 0x9F, 3},
                                                  {0xEE, 0xEF, 0x80, 0xBF, 3},
                                                  {0xF0, 0xF0, 0x90, 0xBF, 4},
                                                  {0xF1, 0xF3, 0x80, 0xBF, 4},
                                                  {0xF4, 0xF4, 0x80, 0x8F, 4}}};
  const unsigned char first = byte_of(text, at);
  for (const Form& form : kForms) {
    if (first < form.first_low || first > form.first_high) continue;
    if (text.size() - at < form.length) return 0;
    const unsigned char second = byte_of(text, at + 1);
    if (second < form.second_low || second > form.second_high) return 0;
    for (size_t i = 2; i < form.length; ++i) {
      if ((byte_of(text, at + i) & 0xC0) != 0x80) return 0;
    }
    return form.length;
  }
  return 0;
}

}  // namespace

void append_escaped(std::string& out, std::string_view text, std::string_view also) {
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (also.find(c) != std::string_view::npos) {
      out += {'\\', c};
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c >= ' ' && c <= '~') {
      out += c;
    } else if (const size_t length = beyond_ascii(text, at)) {
      out += text.substr(at, length);
      at += length;
      continue;
    } else {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", byte_of(text, at));
    }
    ++at;
  }
}

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  append_escaped(out, text, "\"\\");
  return out + '"';
}

}  // namespace ebb
