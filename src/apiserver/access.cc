#include "apiserver/access.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstdlib>

#include "base/log.h"
#include "http/uri.h"

namespace ebb::apiserver {
namespace {

bool is_ip(const std::string& host) {
  in6_addr scratch{};
  return ::inet_pton(AF_INET, host.c_str(), &scratch) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), &scratch) == 1;
}

bool is_loopback(const std::string& host) {
  if (host == "localhost" || host == "::1") return true;
  in_addr address{};
  constexpr uint32_t kLoopbackNet = 127;
  return ::inet_pton(AF_INET, host.c_str(), &address) == 1 &&
         ntohl(address.s_addr) >> 24 == kLoopbackNet;
}

bool is_wildcard(const std::string& host) { return host == "0.0.0.0" || host == "::"; }

// Looks at every byte of `given`, whatever it finds.
bool equal_in_constant_time(std::string_view secret, std::string_view given) {
  unsigned difference = secret.size() == given.size() ? 0 : 1;
  for (size_t i = 0; i < given.size(); ++i) {
    char expected = secret[i % secret.size()];
    difference |= static_cast<unsigned char>(expected ^ given[i]);
  }
  return difference == 0;
}

}  // namespace

Access::Access(std::string token, net::Address listen, std::vector<std::string> names)
    : token_(std::move(token)), listen_(std::move(listen)), names_(std::move(names)) {
  if (token_.empty()) {
    log::error("apiserver", "an API without a token would be open to everyone");
    std::abort();
  }
}

bool Access::has_token(const http::Fields& fields) const {
  constexpr std::string_view kScheme = "Bearer ";
  auto given = fields.get("Authorization");
  if (!given || fields.count("Authorization") != 1 || given->size() <= kScheme.size()) return false;
  if (!http::iequals(given->substr(0, kScheme.size()), kScheme)) return false;
  return equal_in_constant_time(token_, given->substr(kScheme.size()));
}

bool Access::is_our_host(std::string_view authority) const {
  if (listen_.kind == net::Address::Kind::kUnix) return true;  // no web page gets there
  std::string host = http::host_of(authority);
  if (is_loopback(host) || host == listen_.host) return true;
  if (is_wildcard(listen_.host) && is_ip(host)) return true;
  return std::find(names_.begin(), names_.end(), host) != names_.end();
}

}  // namespace ebb::apiserver
