// How a gRPC call is told of an error that is HTTP's: by a status and words of its own, which
// its client would else make up from the HTTP status.
//
//   if (http::is_grpc(exchange.request())) {
//     co_await http::respond_grpc(exchange, 413, "the body is too large", extra);
//   }
#pragma once

#include <string>
#include <string_view>

#include "http/server.h"

namespace ebb::http {

[[nodiscard]] bool is_grpc(const RequestHead& request);
// The gRPC status for one of HTTP: what gRPC's own mapping says (its
// doc/http-grpc-status-mapping.md), and where that only knows UNKNOWN, what its libraries say
// in such a case themselves.
[[nodiscard]] int to_grpc_status(int http_status);
// As grpc-message has it: percent-encoded but for visible ASCII and spaces.
[[nodiscard]] std::string to_grpc_message(std::string_view text);
// Answers by a head that is all ("Trailers-Only"), with the status that stands for the one of
// HTTP. All arguments must outlive the task.
[[nodiscard]] net::Task<HttpResult<void>> respond_grpc(Exchange& exchange, int http_status,
                                                       std::string_view text, const Fields& extra);

}  // namespace ebb::http
