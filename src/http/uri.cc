#include "http/uri.h"

#include <algorithm>

#include "http/chars.h"
#include "http/message.h"

namespace ebb::http {
namespace {

constexpr size_t kMaxHost = 255;  // RFC 1035; also far above any IPv6 literal

struct HostPort {
  std::string_view host;  // with its brackets
  std::string_view rest;  // ":port", or empty
};

// Splits without checking the parts.
HostPort split_authority(std::string_view authority) {
  size_t host_end = 0;
  if (authority.starts_with('[')) {
    host_end = authority.find(']');
    host_end = host_end == std::string_view::npos ? authority.size() : host_end + 1;
  } else {
    host_end = std::min(authority.find(':'), authority.size());
  }
  return {authority.substr(0, host_end), authority.substr(host_end)};
}

// The address between brackets, or nothing.
std::optional<std::string_view> unbracket(std::string_view host) {
  if (host.size() < 2 || host.front() != '[' || host.back() != ']') return std::nullopt;
  return host.substr(1, host.size() - 2);
}

bool is_ipv6_literal(std::string_view text) {  // the text between the brackets
  if (text.size() < 2 || text.size() > 45 || text.find(':') == std::string_view::npos) return false;
  return std::ranges::all_of(text,
                             [](char c) { return hex_value(c) >= 0 || c == ':' || c == '.'; });
}

bool is_reg_name(std::string_view text) {
  if (text.empty() || text.size() > kMaxHost) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (is_host_char(text[i])) continue;
    const bool escape = text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 &&
                        hex_value(text[i + 2]) >= 0;
    if (!escape) return false;
    i += 2;
  }
  return true;
}

bool is_port(std::string_view text) {
  if (text.empty() || text.size() > 5) return false;
  int value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    value = value * 10 + (c - '0');
  }
  return value <= 65535;
}

// What stands before the first `separator`; leaves what stands behind it.
std::string_view take_until(std::string_view& text, char separator) {
  const size_t at = text.find(separator);
  const auto before = text.substr(0, at);
  text = at == std::string_view::npos ? std::string_view() : text.substr(at + 1);
  return before;
}

}  // namespace

std::string origin_form(std::string_view target) {
  const auto parts = split_target(target);
  if (!parts || parts->authority.empty()) return std::string(target);
  std::string out(parts->path);
  if (!parts->query.empty()) out.append("?").append(parts->query);
  return out;
}

bool is_authority(std::string_view authority) {
  const auto [host, rest] = split_authority(authority);
  if (!rest.empty() && (rest.front() != ':' || !is_port(rest.substr(1)))) return false;
  if (const auto address = unbracket(host)) return is_ipv6_literal(*address);
  return is_reg_name(host);
}

std::string host_of(std::string_view authority) {
  std::string host;
  host_of(authority, host);
  return host;
}

void host_of(std::string_view authority, std::string& out) {
  std::string_view host = split_authority(authority).host;
  if (const auto address = unbracket(host)) {
    host = *address;
  } else if (host.size() > 1 && host.back() == '.') {
    host.remove_suffix(1);
  }
  out.assign(host);
  std::ranges::transform(out, out.begin(), to_lower);
}

std::optional<Target> split_target(std::string_view target) {
  if (!is_target(target)) return std::nullopt;
  Target out;
  if (target == "*") {
    out.path = target;
    return out;
  }
  if (target.front() != '/') {
    const size_t scheme_end = target.find("://");
    if (scheme_end == std::string_view::npos) return std::nullopt;
    const auto scheme = target.substr(0, scheme_end);
    if (!iequals(scheme, "http") && !iequals(scheme, "https")) return std::nullopt;
    target.remove_prefix(scheme_end + 3);
    const size_t authority_end = std::min(target.find_first_of("/?"), target.size());
    out.authority = target.substr(0, authority_end);
    if (!is_authority(out.authority)) return std::nullopt;
    target.remove_prefix(authority_end);
  }
  const size_t mark = target.find('?');
  out.path = target.substr(0, mark);
  if (out.path.empty()) out.path = "/";
  if (mark != std::string_view::npos) out.query = target.substr(mark + 1);
  return out;
}

std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out.push_back(' ');
    } else if (text[i] == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = hex_value(text[i + 1]);
      const int low = hex_value(text[i + 2]);
      if (high < 0 || low < 0 || (high == 0 && low == 0)) return std::nullopt;
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

std::optional<QueryPairs> parse_query(std::string_view query) {
  QueryPairs pairs;
  while (!query.empty()) {
    std::string_view value = take_until(query, '&');
    if (value.empty()) continue;
    const std::string_view name = take_until(value, '=');
    auto decoded_name = percent_decode(name, true);
    auto decoded_value = percent_decode(value, true);
    if (!decoded_name || !decoded_value) return std::nullopt;
    pairs.emplace_back(std::move(*decoded_name), std::move(*decoded_value));
  }
  return pairs;
}

}  // namespace ebb::http
