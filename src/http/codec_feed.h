// For tests and fuzz targets: runs a whole byte stream through the codec, cut into
// reads as the caller says, and writes down what came out. However the stream is
// cut, the record must be the same.
#pragma once

#include <fmt/format.h>

#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/body_decoder.h"
#include "http/head_parser.h"

namespace ebb::http {

// Says how many bytes the next read brings, 1..left.
using Cut = std::function<size_t(size_t left)>;

struct FedMessage {
  std::string head;  // a rendering of everything the head says
  std::string body;
  bool whole = false;
};

struct Fed {
  std::vector<FedMessage> messages;
  std::string error;  // empty: the stream ended between bytes that are all right
  HttpError code = HttpError::kClosed;

  [[nodiscard]] std::string text() const {
    std::string out;
    for (const auto& m : messages) out += fmt::format("{}|{}|{}\n", m.head, m.body, m.whole);
    return out + error;
  }
};

inline std::string render(const Fields& fields) {
  std::string out;
  for (const Field& f : fields) out += fmt::format("{}={};", f.name, f.value);
  return out;
}

inline std::string render(const RequestHead& h) {
  return fmt::format("{} {} 1.{} @{} body={}/{} keep={} cont={} up={} {}", h.method, h.target,
                     h.minor_version, h.authority, static_cast<int>(h.body.kind), h.body.size,
                     h.keep_alive, h.expects_continue, h.upgrade, render(h.fields));
}

inline std::string render(const ResponseHead& h) {
  return fmt::format("{} {} 1.{} body={}/{} keep={} {}", h.status, h.reason, h.minor_version,
                     static_cast<int>(h.body.kind), h.body.size, h.keep_alive, render(h.fields));
}

// Feeds `stream` as consecutive messages. `is_request` picks the parser; responses
// are parsed as answers to GET. Every read gets memory of its own size, so that a
// sanitizer sees any access beyond it.
inline Fed feed(std::string_view stream, bool is_request, HeadLimits limits, const Cut& cut) {
  Fed out;
  HeadParser parser(limits);
  RequestHead request;
  ResponseHead response;
  BodyDecoder decoder;
  std::string pending;  // received, not used
  bool in_body = false;
  const auto refuse = [&](const ParseError& error) {
    out.error = fmt::format("{}: {}", to_string(error.code), error.what);
    out.code = error.code;
  };
  while (!stream.empty()) {
    const size_t n = std::min(std::max<size_t>(cut(stream.size()), 1), stream.size());
    pending.append(stream.substr(0, n));
    stream.remove_prefix(n);
    while (!pending.empty()) {
      if (!in_body) {
        const std::unique_ptr<char[]> exact(new char[pending.size()]);
        std::memcpy(exact.get(), pending.data(), pending.size());
        const std::string_view bytes(exact.get(), pending.size());
        const auto size =
            is_request ? parser.request(bytes, request) : parser.response(bytes, false, response);
        if (!size) {
          refuse(size.error());
          return out;
        }
        if (*size == 0) break;
        out.messages.push_back({is_request ? render(request) : render(response), {}, false});
        decoder = BodyDecoder(is_request ? request.body : response.body);
        parser.reset();
        pending.erase(0, *size);
        in_body = true;
      }
      if (!decoder.done() && !pending.empty()) {
        const auto step = decoder.decode(std::span<char>(pending));
        if (!step) {
          refuse(step.error());
          // How much came out before the fault depends on the reads.
          out.messages.back().body.clear();
          return out;
        }
        out.messages.back().body.append(step->data);
        pending.erase(0, step->consumed);
      }
      if (!decoder.done()) break;
      out.messages.back().whole = true;
      in_body = false;
    }
  }
  if (in_body && decoder.end_of_stream()) out.messages.back().whole = true;
  return out;
}

inline size_t all_at_once(size_t left) { return left; }
inline size_t byte_by_byte(size_t /*left*/) { return 1; }

}  // namespace ebb::http
