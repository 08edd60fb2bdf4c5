#include "http/grpc.h"

#include <fmt/format.h>

namespace ebb::http {

bool is_grpc(const RequestHead& request) {
  const auto type = request.fields.get("content-type");
  return type && type->starts_with("application/grpc");
}

int to_grpc_status(int http_status) {
  constexpr int kUnknown = 2;
  constexpr int kDeadlineExceeded = 4;
  constexpr int kPermissionDenied = 7;
  constexpr int kResourceExhausted = 8;
  constexpr int kUnimplemented = 12;
  constexpr int kInternal = 13;
  constexpr int kUnavailable = 14;
  constexpr int kUnauthenticated = 16;
  switch (http_status) {
    case 400:
    case 500:
      return kInternal;
    case 401:
      return kUnauthenticated;
    case 403:
      return kPermissionDenied;
    case 404:
    case 501:
      return kUnimplemented;
    case 408:
    case 504:
      return kDeadlineExceeded;
    case 413:
    case 431:
      return kResourceExhausted;
    case 429:
    case 502:
    case 503:
      return kUnavailable;
    default:
      return kUnknown;
  }
}

std::string to_grpc_message(std::string_view text) {
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

net::Task<HttpResult<void>> respond_grpc(Exchange& exchange, int http_status, std::string_view text,
                                         const Fields& extra) {
  const std::string status = std::to_string(to_grpc_status(http_status));
  const std::string message = to_grpc_message(text);
  Fields fields = extra;
  fields.add("grpc-status", status);
  fields.add("grpc-message", message);
  auto done = co_await exchange.respond(200, "application/grpc", {}, &fields);
  co_return done;
}

}  // namespace ebb::http
