// Pieces of request targets and authorities (RFC 3986, RFC 9112 section 3.2).
// Pure functions, any thread; views point into the argument.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ebb::http {

struct Target {
  std::string_view authority;  // absolute-form only, else empty
  std::string_view path;       // as received, still percent-encoded; "/" or "*" at least
  std::string_view query;      // without "?"; empty if none
};

// Splits an origin-form ("/a?b"), absolute-form ("http://h/a?b", http and https
// only) or asterisk-form target. nullopt for anything else, a bad authority, a
// fragment, or a byte that may not stand in a target.
[[nodiscard]] std::optional<Target> split_target(std::string_view target);

// A target as the server of that host takes it: "http://h/a?b" -> "/a?b", "http://h" -> "/";
// others as they are.
[[nodiscard]] std::string origin_form(std::string_view target);

// True for a non-empty "host", "host:port", "[IPv6]" or "[IPv6]:port" without
// user information. Checks the bytes and the port, not whether the name exists.
[[nodiscard]] bool is_authority(std::string_view authority);

// The host of an authority: lower case, without port, brackets and trailing dot.
// "Example.COM.:80" -> "example.com", "[::1]:80" -> "::1".
[[nodiscard]] std::string host_of(std::string_view authority);
// The same into `out`, replacing what is there.
void host_of(std::string_view authority, std::string& out);

// Decodes %XX; with `plus_is_space` also "+" (form encoding). nullopt for a broken
// escape and for %00, which no name in Ebb may have.
[[nodiscard]] std::optional<std::string> percent_decode(std::string_view text,
                                                        bool plus_is_space = false);

// The decoded pairs of a query string in order; "a" alone has an empty value.
// nullopt if any escape is broken.
using QueryPairs = std::vector<std::pair<std::string, std::string>>;
[[nodiscard]] std::optional<QueryPairs> parse_query(std::string_view query);

}  // namespace ebb::http
