#include "serving/outgoing_request.h"

#include <algorithm>
#include <array>

#include "http/chars.h"
#include "serving/routing_table.h"

namespace ebb::serving {

// CGI and its heirs take '_' and '-' for the same.
bool is_ours(std::string_view name) {
  static constexpr auto kOurs = std::to_array<std::string_view>(
      {"forwarded", "x-forwarded-for", "x-forwarded-proto", "x-request-id"});
  const auto same = [](char a, char b) { return (a == '_' ? '-' : http::to_lower(a)) == b; };
  return std::ranges::any_of(
      kOurs, [&](std::string_view one) { return std::ranges::equal(name, one, same); });
}

http::Fields passed_on(const http::Fields& trailers) {
  http::Fields out;
  for (const http::Field& field : trailers) {
    if (http::may_be_trailer(field.name) && !is_ours(field.name)) out.add(field.name, field.value);
  }
  return out;
}

namespace {

// RFC 9110 7.6.1: a client may not name what concerns more than its connection; Host is what
// every request must have.
bool is_dropped(const http::RequestHead& head, bool has_connection, std::string_view name) {
  return http::is_hop_by_hop(name) || http::iequals(name, "expect") || is_ours(name) ||
         http::iequals(name, "knative-serving-tag") ||
         (has_connection && !http::iequals(name, "host") &&
          head.fields.has_token("connection", name));
}

// An open quote would swallow what is put behind it.
bool closes_its_quotes(std::string_view value) {
  bool quoted = false;
  for (size_t i = 0; i < value.size(); ++i) {
    if (value[i] == '"') quoted = !quoted;
    if (quoted && value[i] == '\\') ++i;
  }
  return !quoted;
}

// HTTP/2 over an upgrade would hide requests from us inside one of them.
bool is_http2(std::string_view protocols) {
  return http::list_has_token(protocols, "h2c") || http::list_has_token(protocols, "h2");
}

}  // namespace

OutgoingRequest::OutgoingRequest(http::Exchange& exchange, RequestRecord& record)
    : exchange_(exchange), record_(record) {
  fill_fields();
}

void OutgoingRequest::fill_fields() {
  const http::RequestHead& head = exchange_.request();
  fields_.reserve(head.fields.size() + 8);
  const bool has_connection = head.fields.get("connection").has_value();
  for (const auto& field : head.fields) {
    if (http::iequals(field.name, "x-forwarded-for")) {
      forwarded_for_.append(field.value).append(", ");
    } else if (http::iequals(field.name, "forwarded") && closes_its_quotes(field.value)) {
      forwarded_.append(field.value).append(", ");
    }
    if (!is_dropped(head, has_connection, field.name)) add(field.name, field.value);
  }
  if (!head.fields.get("host")) add("host", head.authority);
  // Only one that led somewhere is passed on, as in Knative.
  const auto tag = head.fields.get("knative-serving-tag");
  if (tag && record_.route && record_.route->tagged(*tag) != nullptr) {
    add("knative-serving-tag", *tag);
  }
  forwarded_for_ += exchange_.client().host;
  append_forwarded();
  add("forwarded", forwarded_);
  add("x-forwarded-for", forwarded_for_);
  add("x-forwarded-proto", record_.secure ? "https" : "http");
  add("x-request-id", record_.id);
  const auto protocols = head.fields.get("upgrade");
  upgrade_ = head.upgrade && head.minor_version > 0 && protocols && !is_http2(*protocols) &&
             head.body.is_empty();
  if (upgrade_) {
    add("connection", "Upgrade");
    add("upgrade", *protocols);
  }
}

// RFC 7239: an IPv6 address stands in brackets and quotes, a host may have a port.
void OutgoingRequest::append_forwarded() {
  const std::string& client = exchange_.client().host;
  const bool is_v6 = client.find(':') != std::string::npos;
  constexpr size_t kWords = 40;
  forwarded_.reserve(forwarded_.size() + client.size() + exchange_.request().authority.size() +
                     kWords);
  forwarded_.append("for=")
      .append(is_v6 ? "\"[" : "")
      .append(client)
      .append(is_v6 ? "]\"" : "")
      .append(";host=\"")
      .append(exchange_.request().authority)
      .append("\";proto=")
      .append(exchange_.secure() ? "https" : "http");
}

net::Task<http::HttpResult<void>> OutgoingRequest::read_first() {
  const auto piece = co_await exchange_.read_body();
  if (!piece) co_return fail(piece.error());
  first_read_ = true;
  first_ = *piece;
  record_.bytes_in += first_.size();
  const auto& body = head().body;
  whole_ = first_.empty() || exchange_.body_read() ||
           (body.kind == http::BodyLength::Kind::kSized && first_.size() == body.size);
  co_return http::HttpResult<void>();
}

bool OutgoingRequest::idempotent() const {
  static constexpr auto kMethods =
      std::to_array<std::string_view>({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"});
  return std::find(kMethods.begin(), kMethods.end(), head().method) != kMethods.end();
}

}  // namespace ebb::serving
