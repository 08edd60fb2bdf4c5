#include "serving/refusal.h"

namespace ebb::serving {

net::Task<void> refuse(http::Exchange& exchange, const RequestRecord& record, int status,
                       std::string text, int retry_after_s) {
  text += '\n';
  http::Fields extra;
  extra.add("x-request-id", record.id);
  const std::string seconds = std::to_string(retry_after_s);
  if (retry_after_s > 0) extra.add("retry-after", seconds);
  // An error here means that the client has gone: nobody is left to tell.
  static_cast<void>(co_await exchange.respond(status, "text/plain; charset=utf-8", text, &extra));
}

}  // namespace ebb::serving
