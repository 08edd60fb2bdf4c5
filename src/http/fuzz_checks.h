// The invariants that the fuzz targets check.
#pragma once

#include <fmt/core.h>
#include <llhttp.h>

#include <cstdlib>

#include "http/chars.h"
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

// What llhttp, in strict mode, reads in a head.
struct LlhttpHead {
  std::string first;   // method and target, or status and reason
  std::string fields;  // as render() writes them
  std::string name;
  std::string value;
  llhttp_errno_t error = HPE_OK;
};

inline LlhttpHead read_head_with_llhttp(std::string_view head, bool is_request) {
  LlhttpHead out;
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  settings.on_method = settings.on_url =
      settings.on_status = [](llhttp_t* p, const char* at, size_t n) {
        static_cast<LlhttpHead*>(p->data)->first.append(at, n);
        return 0;
      };
  settings.on_method_complete = [](llhttp_t* p) {
    static_cast<LlhttpHead*>(p->data)->first += ' ';
    return 0;
  };
  settings.on_header_field = [](llhttp_t* p, const char* at, size_t n) {
    static_cast<LlhttpHead*>(p->data)->name.append(at, n);
    return 0;
  };
  settings.on_header_value = [](llhttp_t* p, const char* at, size_t n) {
    static_cast<LlhttpHead*>(p->data)->value.append(at, n);
    return 0;
  };
  settings.on_header_value_complete = [](llhttp_t* p) {
    auto& read = *static_cast<LlhttpHead*>(p->data);
    read.fields += fmt::format("{}={};", read.name, trim(read.value));
    read.name.clear();
    read.value.clear();
    return 0;
  };
  settings.on_headers_complete = [](llhttp_t*) -> int { return HPE_PAUSED; };
  llhttp_t parser;
  llhttp_init(&parser, is_request ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
  parser.data = &out;
  out.error = llhttp_execute(&parser, head.data(), head.size());
  if (!is_request) out.first = fmt::format("{} {}", parser.status_code, out.first);
  return out;
}

// What is accepted llhttp accepts, too, and reads the same in it; but for methods, of which
// it has a list.
inline void check_head(std::string_view stream, bool is_request, HeadLimits limits) {
  HeadParser parser(limits);
  RequestHead request;
  ResponseHead response;
  const auto size =
      is_request ? parser.request(stream, request) : parser.response(stream, false, response);
  if (!size || *size == 0) return;
  const std::string ours =
      is_request
          ? fmt::format("{} {}\n{}", request.method, request.target, render(request.fields))
          : fmt::format("{} {}\n{}", response.status, response.reason, render(response.fields));
  const LlhttpHead other = read_head_with_llhttp(stream.substr(0, *size), is_request);
  if (other.error == HPE_INVALID_METHOD || other.error == HPE_INVALID_CONSTANT) return;
  const std::string theirs = other.first + '\n' + other.fields;
  require(other.error == HPE_PAUSED, "llhttp refuses the head", ours,
          llhttp_errno_name(other.error));
  require(ours == theirs, "llhttp reads another head", ours, theirs);
}

// `data` begins with 8 bytes that say how the rest is cut into reads.
inline void check_codec(std::string_view data, bool is_request) {
  if (data.size() < 8) return;
  const std::string_view sizes = data.substr(0, 8);
  const std::string_view stream = data.substr(8);
  const HeadLimits limits{.bytes = 2048, .fields = 16};
  check_head(stream, is_request, limits);
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
