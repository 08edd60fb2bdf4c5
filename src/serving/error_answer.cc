#include "serving/error_answer.h"

#include "http/grpc.h"

namespace ebb::serving {

net::Task<void> refuse(http::Exchange& exchange, RequestRecord& record, ErrorAnswer answer) {
  record.status = answer.status;
  record.refused = answer.why;
  http::Fields extra;
  extra.add("x-request-id", record.id);
  // An error here means that the client has gone: nobody is left to tell.
  if (http::is_grpc(exchange.request())) {
    static_cast<void>(co_await http::respond_grpc(exchange, answer.status, answer.text, extra));
    co_return;
  }
  answer.text += '\n';
  if (exchange.request().method != "HEAD") record.bytes_out += answer.text.size();
  if (!answer.location.empty()) extra.add("location", answer.location);
  const std::string seconds = std::to_string(answer.retry_after_s);
  if (answer.retry_after_s > 0) extra.add("retry-after", seconds);
  static_cast<void>(
      co_await exchange.respond(answer.status, "text/plain; charset=utf-8", answer.text, &extra));
}

void note_client_left(http::Exchange& exchange, RequestRecord& record) {
  record.status = kClientLeftStatus;
  record.refused = Refusal::kClientLeft;
  exchange.close_after();
}

}  // namespace ebb::serving
