#include "apiserver/send.h"

#include <nlohmann/json.hpp>

#include "api/json.h"

namespace ebb::apiserver {

namespace {

constexpr size_t kMaxWarnings = 16;
constexpr size_t kMaxWarning = 256;  // bytes

// The value of a Warning field (RFC 7234 5.5), as kubectl shows it.
std::string warning_of(std::string_view text) {
  std::string out = "299 - \"";
  for (const char c : text.substr(0, kMaxWarning)) {
    if (c == '"' || c == '\\') out += '\\';
    out += c >= ' ' && c != 0x7f ? c : '?';
  }
  return out + '"';
}

}  // namespace

net::Task<void> send(http::Exchange& exchange, const Response& response) {
  http::Fields extra;
  const std::string retry_after = std::to_string(response.retry_after);
  if (response.retry_after != 0) extra.add("Retry-After", retry_after);
  if (response.code == 401) extra.add("WWW-Authenticate", "Bearer realm=\"ebb\"");
  extra.add("Cache-Control", "no-cache, private");
  std::vector<std::string> warnings;
  for (const auto& text : response.warnings) {
    if (warnings.size() < kMaxWarnings) warnings.push_back(warning_of(text));
  }
  for (const auto& text : warnings) extra.add("Warning", text);
  const std::string body = api::to_text(response.body) + "\n";
  // A client that has gone is no error here.
  (void)co_await exchange.respond(response.code, "application/json", body, &extra);
}

}  // namespace ebb::apiserver
