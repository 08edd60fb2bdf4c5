#include "apiserver/send.h"

#include <nlohmann/json.hpp>

#include "api/json.h"

namespace ebb::apiserver {

net::Task<void> send(http::Exchange& exchange, const Response& response) {
  http::Fields extra;
  const std::string retry_after = std::to_string(response.retry_after);
  if (response.retry_after != 0) extra.add("Retry-After", retry_after);
  if (response.code == 401) extra.add("WWW-Authenticate", "Bearer realm=\"ebb\"");
  extra.add("Cache-Control", "no-cache, private");
  const std::string body = api::to_text(response.body) + "\n";
  // A client that has gone is no error here.
  (void)co_await exchange.respond(response.code, "application/json", body, &extra);
}

}  // namespace ebb::apiserver
