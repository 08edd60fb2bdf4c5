// Writes heads as text. What would break the framing is refused, never written.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

#include "http/message.h"

namespace ebb::http {

// How a body is framed on the wire, and the field that says so.
enum class FramingField {
  kOmit,           // none (no body, or until the connection closes)
  kContentLength,  // with the size
  kChunked,
};

// Appends "name: value\r\n". False, and nothing appended, if the name is no token
// or the value has a CR, LF, NUL or another control byte.
[[nodiscard]] bool append_field(std::string& out, std::string_view name, std::string_view value);
void append_number(std::string& out, uint64_t value);
void append_hex(std::string& out, uint64_t value);
void append_framing(std::string& out, FramingField framing, uint64_t size);

// "HTTP/1.1 404 Not Found\r\n"; an empty reason becomes the standard phrase. False
// if the reason has a byte that may not stand there.
[[nodiscard]] bool append_status_line(std::string& out, int status, std::string_view reason);

// The Date field's value, rendered once per second. Belongs to one thread.
class DateCache final {
 public:
  // "Sun, 06 Nov 1994 08:49:37 GMT", valid until the next call.
  [[nodiscard]] std::string_view at(std::time_t now);

 private:
  std::time_t rendered_ = -1;
  std::string text_;
};

}  // namespace ebb::http
