// The invariants that the fuzz targets check.
#pragma once

#include <fmt/core.h>
#include <llhttp.h>

#include <cstdlib>

#include "http/codec_feed.h"

namespace ebb::http {

inline void require(bool holds, const char* what, const std::string& a, const std::string& b) {
  if (holds) return;
  fmt::print(stderr, "{}\n--- one\n{}\n--- other\n{}\n", what, a, b);
  std::abort();
}

// What llhttp alone makes of a stream: the bodies, one per line.
struct LlhttpReading {
  std::string bodies;
  size_t messages = 0;
};

inline LlhttpReading read_with_llhttp(std::string_view stream, bool is_request) {
  LlhttpReading out;
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  settings.on_body = [](llhttp_t* p, const char* at, size_t n) {
    static_cast<LlhttpReading*>(p->data)->bodies.append(at, n);
    return 0;
  };
  settings.on_message_complete = [](llhttp_t* p) {
    auto& reading = *static_cast<LlhttpReading*>(p->data);
    reading.bodies += '\n';
    ++reading.messages;
    return 0;
  };
  llhttp_t parser;
  llhttp_init(&parser, is_request ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
  parser.data = &out;
  while (llhttp_execute(&parser, stream.data(), stream.size()) == HPE_PAUSED_UPGRADE) {
    stream.remove_prefix(static_cast<size_t>(llhttp_get_error_pos(&parser) - stream.data()));
    llhttp_resume_after_upgrade(&parser);
  }
  llhttp_finish(&parser);
  return out;
}

// `data` begins with 8 bytes that say how the rest is cut into reads.
inline void check_codec(std::string_view data, bool is_request) {
  if (data.size() < 8) return;
  const std::string_view sizes = data.substr(0, 8);
  const std::string_view stream = data.substr(8);
  const HeadLimits limits{.bytes = 2048, .fields = 16};
  size_t turn = 0;
  const Cut cut = [&](size_t) -> size_t {
    return static_cast<uint8_t>(sizes[turn++ % sizes.size()]) % 64 + 1;
  };
  const Fed whole = feed(stream, is_request, limits, all_at_once);
  const Fed pieces = feed(stream, is_request, limits, cut);
  require(whole.text() == pieces.text(), "the reads make a difference", whole.text(),
          pieces.text());

  // What llhttp alone takes for the first body is ours, or its beginning: llhttp
  // knows the grammar of chunk extensions and stops where we skip. It also expects
  // a body in answers that have none (RFC 9112 6.3).
  if (whole.messages.empty() || !whole.messages[0].whole) return;
  const FedMessage& first = whole.messages[0];
  const bool bodiless =
      !is_request && (first.head.starts_with("1") || first.head.starts_with("204 ") ||
                      first.head.starts_with("304 "));
  if (bodiless) return;
  const LlhttpReading other = read_with_llhttp(stream, is_request);
  const std::string ours = first.body + '\n';
  const size_t common = std::min(ours.size(), other.bodies.size());
  const bool same = ours.substr(0, common) == other.bodies.substr(0, common) &&
                    (other.messages == 0 || other.bodies.size() >= ours.size());
  require(same, "llhttp disagrees", ours, other.bodies);
}

}  // namespace ebb::http
