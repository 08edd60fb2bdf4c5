// Reads the head of a request or response.
//
// The caller collects bytes contiguously and hands in all of them on every call;
// the parser remembers how far it has looked, so nothing is scanned twice and the
// bytes may have moved in between. Lines are checked as they arrive, fields once the
// head is complete, so the result does not depend on how the bytes were split. Views in
// the head point into the bytes of that last call.
//
// Refuses what recipients are known to disagree on (RFC 9112 section 11.2): bare CR or LF,
// folded lines, space before a colon, Transfer-Encoding repeated, in HTTP/1.0 or beside
// Content-Length, repeated or malformed Content-Length, missing, repeated or invalid Host, a
// target with spaces or a fragment, other protocols and versions. The fuzz targets check
// that llhttp, in strict mode, reads nothing else in what is accepted.
//
// No I/O, no allocation beyond Fields; belongs to one connection.
//
//   HeadParser parser(limits);
//   auto size = parser.request(received, head);   // 0: needs more bytes
#pragma once

#include <string_view>

#include "http/body_decoder.h"
#include "http/message.h"

namespace ebb::http {

class HeadParser final {
 public:
  explicit HeadParser(HeadLimits limits) : limits_(limits) {}

  // `bytes` is everything received since the message began. Returns the size of
  // the head once it is complete, else 0; never needs more than HeadLimits.bytes.
  // One empty line before a request is skipped and counts into the head.
  // After a result other than 0 call reset() before the next head.
  [[nodiscard]] ParseResult<size_t> request(std::string_view bytes, RequestHead& head);
  // `to_head`: the response answers a HEAD request, so it has no body.
  [[nodiscard]] ParseResult<size_t> response(std::string_view bytes, bool to_head,
                                             ResponseHead& head);
  void reset() { start_ = line_ = scanned_ = 0; }

 private:
  // Looks for the end of the head, line by line. Returns its size, or 0.
  [[nodiscard]] ParseResult<size_t> scan(std::string_view bytes, bool is_request);

  HeadLimits limits_;
  size_t start_ = 0;    // where the first line begins: after an empty line
  size_t line_ = 0;     // where the line under way begins
  size_t scanned_ = 0;  // everything before was looked at
};

}  // namespace ebb::http
