// One number out of what a server outside answers: a Prometheus query, or a JSON
// document. Pure.
//
// Sources: Prometheus' HTTP API (/api/v1/query, "Expression query result formats");
// RFC 6901 for JSON pointers; RFC 3986 for URLs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace ebb::control {

// The result of an instant query: a scalar, or a vector with exactly one sample.
// kNotFound for an empty one; kInvalid for the server's error, several series, another
// type, or a value that is no finite number.
[[nodiscard]] Result<double> prometheus_value(std::string_view body);

// The number at `pointer` ("/queue/0/length"; "": the document itself), which may be a
// number's text. kNotFound, kInvalid.
[[nodiscard]] Result<double> json_value(std::string_view body, std::string_view pointer);

// "" or "/...", "~" only as "~0" and "~1".
[[nodiscard]] bool is_json_pointer(std::string_view text);

// What of a URL a request needs.
struct HttpUrl {
  std::string host;  // without brackets
  uint16_t port = 80;
  std::string authority;  // for the Host field
  std::string target;     // path and query
  friend bool operator==(const HttpUrl&, const HttpUrl&) = default;
};
// kInvalid for another scheme than http, user information, a fragment, or bytes that may
// not stand in a URL.
[[nodiscard]] Result<HttpUrl> parse_http_url(std::string_view url);

// Where a number is to be had, and how often it is asked for.
struct OutsideMetricSpec {
  enum class Kind { kPrometheus, kJson };
  Kind kind = Kind::kJson;
  std::string url;                               // of kPrometheus: of its web page
  std::string query;                             // PromQL, or a JSON pointer
  Duration interval = std::chrono::seconds(15);  // from one question to the next
  Duration patience = std::chrono::seconds(5);   // for one answer
  friend bool operator==(const OutsideMetricSpec&, const OutsideMetricSpec&) = default;
};

// "prometheus http://127.0.0.1:9090 sum(rate(jobs_total[1m]))" or
// "json http://127.0.0.1:8000/stats /queue/length". kInvalid with what is wrong.
[[nodiscard]] Result<OutsideMetricSpec> parse_outside_metric(std::string_view text);

// The URL that is asked.
[[nodiscard]] std::string url_of(const OutsideMetricSpec& spec);

// What an answer to it says.
[[nodiscard]] Result<double> value_of(const OutsideMetricSpec& spec, std::string_view body);

}  // namespace ebb::control
