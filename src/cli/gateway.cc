#include "cli/gateway.h"

#include <nlohmann/json.hpp>

#include "cli/table.h"
#include "http/client.h"
#include "http/uri.h"
#include "net/listener.h"

namespace ebb::cli {

namespace {

constexpr size_t kPiece = 64 << 10;  // of a request body per write
constexpr Duration kTurn = std::chrono::seconds(1);

bool is_given(const GatewayRequest& request, std::string_view name) {
  return std::any_of(request.headers.begin(), request.headers.end(),
                     [name](const auto& header) { return http::iequals(header.first, name); });
}

}  // namespace

GatewayClient::GatewayClient(net::Address address)
    : address_(std::move(address)), executor_("gateway") {}

tl::unexpected<Error> GatewayClient::broken(std::string_view why) const {
  return fail(Errc::kUnavailable, "the gateway at {}: {}", address_.to_string(), why);
}

net::Task<Result<GatewayAnswer>> GatewayClient::exchange(const GatewayRequest& request,
                                                         const GatewayReader& reader,
                                                         TimePoint deadline) {
  const TimePoint began = executor_.now();
  auto connecting = net::connect(executor_, address_, deadline);
  auto stream = co_await connecting;
  if (!stream) {
    if (stream.error() == net::IoError::kRefused) {
      co_return broken("nobody listens there. Another one is given with --gateway");
    }
    co_return broken(net::to_string(stream.error()));
  }
  http::ClientConnection connection(std::move(*stream));
  http::Fields fields;
  if (!is_given(request, "Host")) fields.add("Host", request.host);
  if (!is_given(request, "User-Agent")) fields.add("User-Agent", "ebb");
  if (!is_given(request, "Accept")) fields.add("Accept", "*/*");
  // It is no browser that could be sent to https.
  if (!is_given(request, "X-Forwarded-Proto")) fields.add("X-Forwarded-Proto", "https");
  for (const auto& [name, value] : request.headers) fields.add(name, value);
  fields.add("Connection", "close");
  http::BodyLength length;
  if (request.has_body) length = http::BodyLength::sized(request.body.size());
  const std::string_view body(request.body);
  auto sent = co_await connection.send_head(request.method, request.path, fields, length,
                                            body.substr(0, kPiece), deadline);
  if (!sent && sent.error() == http::HttpError::kMalformed) {
    co_return fail(Errc::kInvalid, "the method, the path or a header is not valid in HTTP");
  }
  for (size_t at = kPiece; sent && at < body.size(); at += kPiece) {
    sent = co_await connection.send_body(body.substr(at, kPiece), deadline);
  }
  // Even if not all could be sent: it may have been refused early, with a reason.
  auto head = co_await connection.read_head(deadline);
  if (!head) co_return broken(http::to_string(sent ? head.error() : sent.error()));
  GatewayAnswer answer{.status = (*head)->status, .first_byte = executor_.now() - began};
  if (reader.on_head && !reader.on_head(**head)) co_return answer;
  for (;;) {
    auto piece = co_await connection.read_body(deadline);
    if (!piece) co_return broken(http::to_string(piece.error()));
    if (piece->empty()) co_return answer;
    if (reader.on_body && !reader.on_body(*piece)) co_return answer;
  }
}

net::Task<void> GatewayClient::store(const GatewayRequest& request, const GatewayReader& reader,
                                     TimePoint deadline,
                                     std::optional<Result<GatewayAnswer>>& out) {
  auto exchanging = exchange(request, reader, deadline);
  auto answer = co_await exchanging;
  out.emplace(std::move(answer));
}

Result<GatewayAnswer> GatewayClient::call(const GatewayRequest& request,
                                          const GatewayReader& reader, TimePoint deadline) {
  std::optional<Result<GatewayAnswer>> out;
  executor_.spawn(store(request, reader, deadline, out));
  while (!out) executor_.run_until(executor_.now() + kTurn);
  return std::move(*out);
}

namespace {

// What the API says of itself under that name; "" for nothing.
Result<std::string> told(const std::string& name, ApiClient& api) {
  const auto info = api.get("/apis/ebb.dev/v1/info", api.now() + kCallTimeout);
  if (!info) return fail(info.error());
  return text_at(*info, {name});
}

Result<net::Address> seen_from_here(const std::string& text, const ApiClient& api) {
  auto address = net::Address::parse(text);
  if (!address) {
    return fail(Errc::kInvalid,
                "the gateway's address \"{}\" is not usable: give it with --gateway", text);
  }
  if (address->host == "0.0.0.0" || address->host == "::") address->host = api.address().host;
  return address;
}

}  // namespace

Result<net::Address> find_gateway(const std::string& wish, ApiClient& api) {
  if (!wish.empty()) return seen_from_here(wish, api);
  const auto text = told("gateway", api);
  if (!text) return fail(text.error());
  return seen_from_here(*text, api);
}

Result<net::Address> find_https(ApiClient& api) {
  const auto text = told("https", api);
  if (!text) return fail(text.error());
  if (text->empty()) return fail(Errc::kNotFound, "the gateway does not speak HTTPS");
  return seen_from_here(*text, api);
}

std::string host_of_url(const std::string& url) {
  constexpr std::string_view kScheme = "://";
  const size_t start = url.find(kScheme);
  const std::string host = start == std::string::npos ? url : url.substr(start + kScheme.size());
  return http::host_of(host.substr(0, host.find('/')));  // the port is no part of the name
}

}  // namespace ebb::cli
