#include "serving/refusal.h"

#include "http/grpc.h"

namespace ebb::serving {

net::Task<void> refuse(http::Exchange& exchange, RequestRecord& record, int status,
                       std::string text, int retry_after_s) {
  http::Fields extra;
  extra.add("x-request-id", record.id);
  // An error here means that the client has gone: nobody is left to tell.
  if (http::is_grpc(exchange.request())) {
    static_cast<void>(co_await http::respond_grpc(exchange, status, text, extra));
    co_return;
  }
  text += '\n';
  if (exchange.request().method != "HEAD") record.bytes_out += text.size();
  const std::string seconds = std::to_string(retry_after_s);
  if (retry_after_s > 0) extra.add("retry-after", seconds);
  static_cast<void>(co_await exchange.respond(status, "text/plain; charset=utf-8", text, &extra));
}

}  // namespace ebb::serving
