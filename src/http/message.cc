#include "http/message.h"

#include <algorithm>
#include <array>

#include "http/chars.h"

namespace ebb::http {

bool may_be_trailer(std::string_view name) {
  static constexpr auto kNever = std::to_array<std::string_view>(
      {"authorization", "cache-control", "content-encoding", "content-length", "content-range",
       "content-type", "cookie", "expect", "host", "location", "max-forwards", "range",
       "set-cookie", "vary", "www-authenticate"});
  return !is_hop_by_hop(name) && std::ranges::none_of(kNever, [name](std::string_view never) {
    return iequals(name, never);
  });
}

bool iequals_of_one_size(std::string_view a, std::string_view b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (to_lower(a[i]) != to_lower(b[i])) return false;
  }
  return true;
}

bool list_has_token(std::string_view list, std::string_view token) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    if (iequals(trim(list.substr(0, comma)), token)) return true;
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  return false;
}

std::optional<std::string_view> Fields::get(std::string_view name) const {
  for (const Field& field : fields_) {
    if (iequals(field.name, name)) return field.value;
  }
  return std::nullopt;
}

size_t Fields::count(std::string_view name) const {
  size_t found = 0;
  for (const Field& field : fields_) found += iequals(field.name, name) ? 1 : 0;
  return found;
}

bool Fields::has_token(std::string_view name, std::string_view token) const {
  for (const Field& field : fields_) {
    if (iequals(field.name, name) && list_has_token(field.value, token)) return true;
  }
  return false;
}

bool is_hop_by_hop(std::string_view name) {
  switch (name.size()) {
    case 2:
      return iequals(name, "te");
    case 7:
      return iequals(name, "upgrade") || iequals(name, "trailer");
    case 10:
      return iequals(name, "connection") || iequals(name, "keep-alive");
    case 16:
      return iequals(name, "proxy-connection");
    case 17:
      return iequals(name, "transfer-encoding");
    case 18:
      return iequals(name, "proxy-authenticate");
    case 19:
      return iequals(name, "proxy-authorization");
    default:
      return false;
  }
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 101:
      return "Switching Protocols";
    case 102:
      return "Processing";
    case 103:
      return "Early Hints";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 203:
      return "Non-Authoritative Information";
    case 204:
      return "No Content";
    case 205:
      return "Reset Content";
    case 206:
      return "Partial Content";
    case 207:
      return "Multi-Status";
    case 208:
      return "Already Reported";
    case 226:
      return "IM Used";
    case 300:
      return "Multiple Choices";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 402:
      return "Payment Required";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 407:
      return "Proxy Authentication Required";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 418:
      return "I'm a teapot";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 423:
      return "Locked";
    case 424:
      return "Failed Dependency";
    case 425:
      return "Too Early";
    case 426:
      return "Upgrade Required";
    case 428:
      return "Precondition Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 451:
      return "Unavailable For Legal Reasons";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    case 508:
      return "Loop Detected";
    case 511:
      return "Network Authentication Required";
    default:
      return "Unknown";
  }
}

const char* to_string(HttpError error) {
  switch (error) {
    case HttpError::kClosed:
      return "connection closed";
    case HttpError::kTruncated:
      return "connection closed inside a message";
    case HttpError::kTimeout:
      return "timed out";
    case HttpError::kMalformed:
      return "malformed message";
    case HttpError::kHeadTooLarge:
      return "head too large";
    case HttpError::kBodyTooLarge:
      return "body too large";
    case HttpError::kUnsupported:
      return "method or transfer coding not supported";
    case HttpError::kVersion:
      return "HTTP version not supported";
    case HttpError::kIo:
      return "input/output error";
  }
  return "?";
}

int status_of(HttpError error) {
  switch (error) {
    case HttpError::kMalformed:
    case HttpError::kTruncated:
      return 400;
    case HttpError::kTimeout:
      return 408;
    case HttpError::kHeadTooLarge:
      return 431;
    case HttpError::kBodyTooLarge:
      return 413;
    case HttpError::kUnsupported:
      return 501;
    case HttpError::kVersion:
      return 505;
    case HttpError::kClosed:
    case HttpError::kIo:
      return 500;
  }
  return 500;
}

}  // namespace ebb::http
