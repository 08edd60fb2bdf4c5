#include "serving/refusal.h"

#include <fmt/format.h>

#include "http/chars.h"

namespace ebb::serving {
namespace {

// What a gRPC client makes of an HTTP status by itself (the protocol's mapping), so that it
// sees the same code and our words for it.
int grpc_status(int http) {
  constexpr int kDeadlineExceeded = 4;
  constexpr int kUnimplemented = 12;
  constexpr int kUnavailable = 14;
  switch (http) {
    case 404:
      return kUnimplemented;
    case 504:
      return kDeadlineExceeded;
    default:
      return kUnavailable;
  }
}

// Of a grpc-message: percent-encoded but for visible ASCII.
std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c >= ' ' && c <= '~' && c != '%') {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

bool is_grpc(const http::RequestHead& request) {
  const auto type = request.fields.get("content-type");
  return type && type->starts_with("application/grpc");
}

}  // namespace

net::Task<void> refuse(http::Exchange& exchange, const RequestRecord& record, int status,
                       std::string text, int retry_after_s) {
  http::Fields extra;
  extra.add("x-request-id", record.id);
  if (is_grpc(exchange.request())) {
    // An answer that is all head ("Trailers-Only").
    const std::string code = std::to_string(grpc_status(status));
    const std::string message = percent_encoded(text);
    extra.add("grpc-status", code);
    extra.add("grpc-message", message);
    static_cast<void>(co_await exchange.respond(200, "application/grpc", {}, &extra));
    co_return;
  }
  text += '\n';
  const std::string seconds = std::to_string(retry_after_s);
  if (retry_after_s > 0) extra.add("retry-after", seconds);
  // An error here means that the client has gone: nobody is left to tell.
  static_cast<void>(co_await exchange.respond(status, "text/plain; charset=utf-8", text, &extra));
}

}  // namespace ebb::serving
