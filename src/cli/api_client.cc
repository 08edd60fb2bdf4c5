#include "cli/api_client.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/json.h"
#include "http/uri.h"
#include "net/listener.h"

namespace ebb::cli {

namespace {

constexpr size_t kPiece = 64 << 10;    // of a request body per write
constexpr size_t kMaxErrorText = 300;  // of an answer that is not a Status object
constexpr Duration kTurn = std::chrono::seconds(1);

template <class T>
net::Task<void> store(net::Task<T> task, std::optional<T>& out) {
  auto value = co_await task;
  out.emplace(std::move(value));
}

Errc code_of(int status, const std::string& reason) {
  switch (status) {
    case 400:
    case 413:
    case 415:
    case 422:
      return Errc::kInvalid;
    case 401:
    case 403:
      return Errc::kPermission;
    case 404:
      return Errc::kNotFound;
    case 409:
      return reason == "AlreadyExists" ? Errc::kAlreadyExists : Errc::kConflict;
    case 410:
      return Errc::kGone;
    case 429:
    case 503:
      return Errc::kUnavailable;
    case 504:
      return Errc::kTimeout;
    default:
      return Errc::kInternal;
  }
}

Error error_of(int status, const std::string& body) {
  if (status == 401) {
    return {code_of(status, ""),
            "Unauthorized: the API does not know this token. `ebb up` writes the right one into "
            "DATA/kubeconfig (--kubeconfig, --data, KUBECONFIG), or give it as EBB_TOKEN"};
  }
  const auto json = api::parse_json(body);
  if (json && json->is_object() && json->contains("message") && (*json)["message"].is_string()) {
    const auto reason = json->find("reason");
    return {code_of(status, reason != json->end() && reason->is_string() ? *reason : ""),
            (*json)["message"]};
  }
  std::string text = body.substr(0, kMaxErrorText);
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, ' ');
  return {code_of(status, ""),
          fmt::format("the API answered {} {}{}{}", status, http::reason_phrase(status),
                      text.empty() ? "" : ": ", text)};
}

}  // namespace

struct ApiClient::Begun {
  http::ClientConnection connection;
  int status = 0;
};

Result<std::unique_ptr<ApiClient>> ApiClient::open(const std::string& url, const std::string& token,
                                                   const std::string& ca) {
  constexpr std::string_view kHttp = "http://";
  constexpr std::string_view kHttps = "https://";
  const bool secure = url.starts_with(kHttps);
  std::string authority;
  if (secure || url.starts_with(kHttp)) authority = url.substr((secure ? kHttps : kHttp).size());
  while (authority.ends_with('/')) authority.pop_back();
  if (!http::is_authority(authority)) {
    return fail(Errc::kInvalid, "\"{}\" is not the URL of an API: write https://HOST:PORT", url);
  }
  const bool has_port = authority.rfind(':') != std::string::npos && !authority.ends_with(']');
  auto address = net::Address::parse(has_port ? authority : authority + (secure ? ":443" : ":80"));
  if (!address || address->kind != net::Address::Kind::kIp) {
    return fail(Errc::kInvalid, "{}: the host must be localhost or a numeric IP address", url);
  }
  if (std::any_of(token.begin(), token.end(),
                  [](unsigned char c) { return c <= ' ' || c >= 0x7f; })) {
    return fail(Errc::kInvalid, "the token for the API holds characters that no token has");
  }
  std::optional<net::TlsContext> tls;
  if (secure) {
    auto context = net::TlsContext::client(ca);
    if (!context) return fail(context.error());
    tls = std::move(*context);
  }
  return std::unique_ptr<ApiClient>(
      new ApiClient(std::move(*address), std::move(authority), token, std::move(tls)));
}

ApiClient::ApiClient(net::Address address, std::string authority, const std::string& token,
                     std::optional<net::TlsContext> tls)
    : address_(std::move(address)),
      authority_(std::move(authority)),
      tls_(std::move(tls)),
      authorization_(token.empty() ? "" : "Bearer " + token),
      executor_("cli") {}

ApiClient::~ApiClient() = default;

template <class T>
T ApiClient::run(net::Task<T> task) {
  std::optional<T> out;
  executor_.spawn(store(std::move(task), out));
  while (!out) executor_.run_until(executor_.now() + kTurn);
  return std::move(*out);
}

tl::unexpected<Error> ApiClient::broken(std::string_view why) const {
  return fail(Errc::kUnavailable, "the API at {}://{}: {}", tls_ ? "https" : "http", authority_,
              why);
}

net::Task<Result<net::Stream>> ApiClient::connect(TimePoint deadline) {
  auto connecting = net::connect(executor_, address_, deadline);
  auto stream = co_await connecting;
  if (!stream) {
    if (stream.error() == net::IoError::kRefused) {
      co_return broken("nobody listens there. Is `ebb up` running?");
    }
    co_return broken(net::to_string(stream.error()));
  }
  if (tls_) {
    auto securing = net::connect_tls(*stream, *tls_, http::host_of(authority_), deadline);
    const auto secured = co_await securing;
    if (!secured && secured.error().code == Errc::kPermission) {
      const std::string& why = secured.error().message;
      if (why.ends_with("expired") || why.ends_with("not yet valid")) {
        co_return broken(why +
                         ". Look at the clocks of both machines; a new certificate is made "
                         "where `ebb up` starts");
      }
      co_return broken(why +
                       ". Use the kubeconfig that belongs to it, or give the certificate of its "
                       "authority, tls/ca.crt of its data folder, with --certificate-authority");
    }
    if (!secured) co_return broken(secured.error().message);
  }
  co_return std::move(*stream);
}

net::Task<Result<ApiClient::Begun>> ApiClient::begin(const Request& request, TimePoint deadline) {
  auto connecting = connect(deadline);
  auto stream = co_await connecting;
  if (!stream) co_return fail(stream.error());
  http::ClientConnection connection(std::move(*stream));
  http::Fields fields;
  fields.add("Host", authority_);
  fields.add("Accept", "application/json");
  fields.add("User-Agent", "ebb");
  if (!authorization_.empty()) fields.add("Authorization", authorization_);
  http::BodyLength length;
  if (!request.content_type.empty()) {
    fields.add("Content-Type", request.content_type);
    length = {http::BodyLength::Kind::kSized, request.body.size()};
  }
  auto sent = co_await connection.send_head(request.method, request.path, fields, length,
                                            request.body.substr(0, kPiece), deadline);
  for (size_t at = kPiece; sent && at < request.body.size(); at += kPiece) {
    sent = co_await connection.send_body(request.body.substr(at, kPiece), deadline);
  }
  // Even if not all could be sent: the API may have refused it early and said why.
  auto head = co_await connection.read_head(deadline);
  if (!head) co_return broken(http::to_string(sent ? head.error() : sent.error()));
  const int status = (*head)->status;
  co_return Begun{std::move(connection), status};
}

net::Task<Result<Response>> ApiClient::exchange(const Request& request, TimePoint deadline) {
  auto begun = co_await begin(request, deadline);
  if (!begun) co_return fail(begun.error());
  Response response{.status = begun->status, .body = {}};
  for (;;) {
    auto piece = co_await begun->connection.read_body(deadline);
    if (!piece) co_return broken(http::to_string(piece.error()));
    if (piece->empty()) co_return response;
    if (response.body.size() + piece->size() > kMaxResponse) {
      co_return broken("the answer is too large");
    }
    response.body.append(*piece);
  }
}

net::Task<Result<void>> ApiClient::read_lines(const Request& request,
                                              const std::function<bool(std::string_view)>& on_line,
                                              TimePoint deadline) {
  auto begun = co_await begin(request, deadline);
  if (!begun) co_return fail(begun.error());
  std::string buffer;
  for (;;) {
    auto piece = co_await begun->connection.read_body(deadline);
    if (!piece && piece.error() == http::HttpError::kTimeout) {
      co_return fail(Errc::kTimeout, "the deadline passed");
    }
    if (!piece) co_return broken(http::to_string(piece.error()));
    if (piece->empty()) break;
    buffer.append(*piece);
    if (begun->status != 200) continue;
    size_t start = 0;
    for (size_t end = 0; (end = buffer.find('\n', start)) != std::string::npos; start = end + 1) {
      if (!on_line(std::string_view(buffer).substr(start, end - start))) co_return Result<void>{};
    }
    buffer.erase(0, start);
    if (buffer.size() > kMaxWatchLine) co_return broken("a watch event is too large");
  }
  if (begun->status != 200) co_return fail(error_of(begun->status, buffer));
  co_return Result<void>{};
}

Result<Response> ApiClient::call(const Request& request, TimePoint deadline) {
  return run(exchange(request, deadline));
}

Result<api::Json> ApiClient::call_json(const Request& request, TimePoint deadline) {
  const auto response = call(request, deadline);
  if (!response) return fail(response.error());
  if (response->status < 200 || response->status > 299) {
    return fail(error_of(response->status, response->body));
  }
  auto json = api::parse_json(response->body);
  if (!json) return broken("the answer is not JSON: " + json.error().message);
  return json;
}

Result<api::Json> ApiClient::get(std::string path, TimePoint deadline) {
  return call_json({.method = "GET", .path = std::move(path), .content_type = {}, .body = {}},
                   deadline);
}

Result<api::Json> ApiClient::send(std::string_view method, std::string path,
                                  std::string_view content_type, const api::Json& body,
                                  TimePoint deadline) {
  const std::string text = api::to_text(body);
  return call_json({method, std::move(path), content_type, text}, deadline);
}

Result<void> ApiClient::watch(const std::string& path,
                              const std::function<bool(std::string_view)>& on_line,
                              TimePoint deadline) {
  const Request request{.method = "GET", .path = path, .content_type = {}, .body = {}};
  return run(read_lines(request, on_line, deadline));
}

net::Task<Result<void>> ApiClient::read_pieces(
    const Request& request, const std::function<bool(std::string_view)>& on_piece,
    TimePoint deadline) {
  auto begun = co_await begin(request, deadline);
  if (!begun) co_return fail(begun.error());
  const bool good = begun->status >= 200 && begun->status <= 299;
  std::string refusal;
  for (;;) {
    auto piece = co_await begun->connection.read_body(deadline);
    if (!piece) co_return broken(http::to_string(piece.error()));
    if (piece->empty()) break;
    if (good && !on_piece(*piece)) co_return Result<void>{};
    if (!good && refusal.size() < kMaxWatchLine) refusal.append(*piece);
  }
  if (!good) co_return fail(error_of(begun->status, refusal));
  co_return Result<void>{};
}

Result<void> ApiClient::download(const std::string& path,
                                 const std::function<bool(std::string_view)>& on_piece,
                                 TimePoint deadline) {
  const Request request{.method = "GET", .path = path, .content_type = {}, .body = {}};
  return run(read_pieces(request, on_piece, deadline));
}

}  // namespace ebb::cli
