#include "apiserver/api_server.h"

#include <exception>
#include <nlohmann/json.hpp>
#include <optional>

#include "apiserver/discovery.h"
#include "apiserver/send.h"
#include "apiserver/table.h"
#include "base/log.h"

namespace ebb::apiserver {
namespace {

using api::Json;
using Endpoint = ApiRequest::Endpoint;

bool is_health(Endpoint endpoint) {
  return endpoint == Endpoint::kHealthz || endpoint == Endpoint::kReadyz;
}

// An object or a list of them as a Table. A Status stays as it is.
void present_as_table(const api::Kind& kind, Response& response, WallTime now) {
  if (response.code >= 300 || response.body.value("kind", "") == "Status") return;
  auto items = response.body.find("items");
  std::vector<Json> objects;
  if (items != response.body.end()) {
    objects.assign(items->begin(), items->end());
  } else {
    objects.push_back(response.body);
  }
  std::string version = response.body["metadata"].value("resourceVersion", "");
  response.body = to_table(kind, objects, version, now);
}

int64_t milliseconds_since_1970(const Clock& clock) {
  return clock.wall().time_since_epoch() / std::chrono::milliseconds(1);
}

class [[nodiscard]] Counted final {
 public:
  explicit Counted(int& count) : count_(count) { ++count_; }
  ~Counted() { --count_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

 private:
  int& count_;
};

}  // namespace

ApiServer::ApiServer(net::Executor& executor, ApiServerParts parts, ApiServerOptions options)
    : parts_(parts),
      options_(std::move(options)),
      access_(options_.token, options_.listen, options_.hosts),
      live_(executor, parts.live, milliseconds_since_1970(parts.clock)),
      stored_objects_(parts.client),
      live_objects_(live_),
      watches_(parts.clock),
      blobs_(parts.blobs),
      backup_(executor, parts.blobs, options_.state, options_.version) {}

resources::ResourceClient& ApiServer::client_of(const api::Kind& kind) {
  return is_live(kind) ? static_cast<resources::ResourceClient&>(live_) : parts_.client;
}

net::Task<void> ApiServer::serve(http::Exchange& exchange) {
  const http::RequestHead& head = exchange.request();
  auto request = parse_request(head.target);
  std::optional<Response> answer;
  bool health = request && is_health(request->endpoint);
  if (!health && !access_.is_our_host(head.authority)) {
    answer = failure(403, fmt::format("the host \"{}\" is not one of this API", head.authority));
  } else if (!health && !access_.has_token(head.fields)) {
    answer = failure(401, "Unauthorized");
  } else if (!request) {
    answer = failure(http_code_of(request.error().code), request.error().message);
  } else if (request->endpoint == Endpoint::kBlob) {
    co_await blobs_.serve(exchange, request->name);
    co_return;
  } else if (request->endpoint == Endpoint::kBackup) {
    co_await backup_.serve(exchange);
    co_return;
  } else if (request->kind) {
    co_await serve_objects(exchange, *request);
    co_return;
  } else if (head.method != "GET" && head.method != "HEAD") {
    answer = failure(405, fmt::format("{} is not possible here", head.method));
  } else if (health) {
    bool good = request->endpoint == Endpoint::kHealthz || !options_.ready || options_.ready();
    (void)co_await exchange.respond(good ? 200 : 503, "text/plain", good ? "ok" : "not ready");
    co_return;
  } else if (request->endpoint == Endpoint::kOpenApi) {
    (void)co_await exchange.respond(200, kOpenApiV2Type, kOpenApiV2);
    co_return;
  } else {
    answer = describe(*request);
  }
  co_await send(exchange, *answer);
}

Response ApiServer::describe(const ApiRequest& request) const {
  switch (request.endpoint) {
    case Endpoint::kVersion:
      return {200, version_info(options_.version), 0};
    case Endpoint::kCoreVersions:
      return {200, core_versions(), 0};
    case Endpoint::kGroups:
      return {200, group_list(), 0};
    case Endpoint::kGroup:
      return {200, group_info(request.group), 0};
    case Endpoint::kResources:
      return {200, resource_list(request.group, request.version), 0};
    case Endpoint::kInfo: {
      Response response;
      response.body["version"] = options_.version;
      response.body["gateway"] = options_.gateway;
      return response;
    }
    default:
      return failure(404, "the server could not find the requested resource");
  }
}

net::Task<void> ApiServer::serve_objects(http::Exchange& exchange, const ApiRequest& request) {
  const http::RequestHead& head = exchange.request();
  const bool table = wants_table(head.fields.get("Accept").value_or(""));
  if (head.method == "GET" && request.endpoint == Endpoint::kObjects && request.flag("watch")) {
    co_await watches_.serve(exchange, request, client_of(*request.kind), table);
    co_return;
  }
  Response response;
  if (calls_ >= kMaxCalls) {
    response = failure(429, fmt::format("more than {} calls at the same time", kMaxCalls));
    co_await send(exchange, response);
    co_return;
  }
  Counted counted(calls_);
  auto body = co_await exchange.read_all(kMaxObjectBytes);
  if (!body && body.error() != http::HttpError::kBodyTooLarge) co_return;  // the server answers
  if (body) {
    ObjectEndpoint& objects = is_live(*request.kind) ? live_objects_ : stored_objects_;
    Call call{request, head.method, head.fields.get("Content-Type").value_or(""), *body};
    try {
      response = co_await objects.handle(call);
    } catch (const std::exception& error) {
      // Input that no check foresaw ends one call, not the server.
      log::error("apiserver", "{} {}: {}", head.method, head.target, error.what());
      response = failure(500, "an internal error occurred; the server's log says more");
    }
  } else {
    response = failure(413, fmt::format("an object has at most {} bytes", kMaxObjectBytes));
  }
  if (table) present_as_table(*request.kind, response, parts_.clock.wall());
  co_await send(exchange, response);
}

}  // namespace ebb::apiserver
