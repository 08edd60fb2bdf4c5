#include "http/head_writer.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <iterator>

#include "http/chars.h"

namespace ebb::http {
namespace {

void append_in_base(std::string& out, uint64_t value, int base) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, base).ptr;
  out.append(digits.data(), end);
}

}  // namespace

bool append_field(std::string& out, std::string_view name, std::string_view value) {
  if (!is_token(name) || !is_field_value(value)) return false;
  out.append(name).append(": ").append(value).append("\r\n");
  return true;
}

void append_number(std::string& out, uint64_t value) { append_in_base(out, value, 10); }
void append_hex(std::string& out, uint64_t value) { append_in_base(out, value, 16); }

void append_framing(std::string& out, FramingField framing, uint64_t size) {
  switch (framing) {
    case FramingField::kOmit:
      return;
    case FramingField::kContentLength:
      out.append("Content-Length: ");
      append_number(out, size);
      out.append("\r\n");
      return;
    case FramingField::kChunked:
      out.append("Transfer-Encoding: chunked\r\n");
      return;
  }
}

bool append_status_line(std::string& out, int status, std::string_view reason) {
  if (!is_field_value(reason)) return false;
  out.append("HTTP/1.1 ");
  append_number(out, static_cast<uint64_t>(status));
  out.push_back(' ');
  out.append(reason.empty() ? reason_phrase(status) : reason).append("\r\n");
  return true;
}

std::string_view DateCache::at(std::time_t now) {
  static constexpr std::array kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  if (now != rendered_) {
    std::tm utc{};
    gmtime_r(&now, &utc);
    text_.clear();
    fmt::format_to(std::back_inserter(text_), "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
                   kDays[static_cast<size_t>(utc.tm_wday)], utc.tm_mday,
                   kMonths[static_cast<size_t>(utc.tm_mon)], utc.tm_year + 1900, utc.tm_hour,
                   utc.tm_min, utc.tm_sec);
    rendered_ = now;
  }
  return text_;
}

}  // namespace ebb::http
