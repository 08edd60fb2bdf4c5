#include "apiserver/api_server.h"

#include <exception>
#include <nlohmann/json.hpp>
#include <optional>

#include "api/kinds.h"
#include "apiserver/discovery.h"
#include "apiserver/openapi.h"
#include "apiserver/send.h"
#include "apiserver/table.h"
#include "base/counted.h"
#include "base/log.h"
#include "serving/exposition.h"

namespace ebb::apiserver {
namespace {

using api::Json;
using Endpoint = ApiRequest::Endpoint;

bool is_health(Endpoint endpoint) {
  return endpoint == Endpoint::kHealthz || endpoint == Endpoint::kReadyz;
}

bool is_log(Endpoint endpoint) {
  return endpoint == Endpoint::kPodLog || endpoint == Endpoint::kServiceLog;
}

// An object or a list of them as a Table. A Status stays as it is.
void present_as_table(const api::Kind& kind, Response& response, const ApiRequest& request,
                      WallTime now) {
  if (response.code >= 300 || response.body.value("kind", "") == "Status") return;
  auto items = response.body.find("items");
  std::vector<Json> objects;
  if (items != response.body.end()) {
    objects.assign(items->begin(), items->end());
  } else {
    objects.push_back(response.body);
  }
  std::string version = response.body["metadata"].value("resourceVersion", "");
  response.body = to_table(kind, objects, version, now, row_object_of(request));
}

// Not a resource of its own: there is one where anything is in it.
const api::Kind& namespace_kind() {
  static const api::Kind kKind{"", "v1", "Namespace", "namespaces", "namespace", {"ns"}, false};
  return kKind;
}

Json namespace_object(const std::string& name, const std::string& created) {
  Json object;
  object["kind"] = "Namespace";
  object["apiVersion"] = "v1";
  object["metadata"]["name"] = name;
  object["metadata"]["creationTimestamp"] = created;
  object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
  object["spec"] = Json::object();
  object["status"]["phase"] = "Active";
  return object;
}

int64_t milliseconds_since_1970(const Clock& clock) {
  return clock.wall().time_since_epoch() / std::chrono::milliseconds(1);
}

}  // namespace

ApiServer::ApiServer(net::Executor& executor, ApiServerParts parts, ApiServerOptions options)
    : parts_(parts),
      options_(std::move(options)),
      access_(options_.token, options_.listen, options_.hosts),
      started_(api::to_rfc3339(parts.clock.wall())),
      live_(executor, parts.live, parts.client, milliseconds_since_1970(parts.clock)),
      stored_objects_(parts.client, parts.clock, [this] { return runtime_names(); }),
      live_objects_(live_, parts.clock),
      watches_(parts.clock),
      blobs_(parts.blobs),
      logs_(executor, options_.logs, parts.client, live_, parts.clock),
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
  } else if (is_log(request->endpoint) && head.method == "GET") {
    co_await logs_.serve(exchange, *request);
    co_return;
  } else if (request->kind && !is_log(request->endpoint)) {
    co_await serve_objects(exchange, *request);
    co_return;
  } else if (head.method != "GET" && head.method != "HEAD") {
    answer = failure(405, fmt::format("{} is not possible here", head.method));
  } else if (health) {
    bool good = request->endpoint == Endpoint::kHealthz || !options_.ready || options_.ready();
    (void)co_await exchange.respond(good ? 200 : 503, "text/plain", good ? "ok" : "not ready");
    co_return;
  } else if (request->endpoint == Endpoint::kMetrics && options_.metrics) {
    const std::string text = options_.metrics();
    (void)co_await exchange.respond(200, serving::Exposition::kContentType, text);
    co_return;
  } else if (request->endpoint == Endpoint::kOpenApiV2) {
    const std::string document = openapi_v2();
    (void)co_await exchange.respond(200, kOpenApiV2Type, document);
    co_return;
  } else if (request->endpoint == Endpoint::kNamespaces ||
             request->endpoint == Endpoint::kNamespace) {
    auto listing = namespaces(request->name);
    answer = co_await listing;
    if (wants_table(head.fields.get("Accept").value_or(""))) {
      present_as_table(namespace_kind(), *answer, *request, parts_.clock.wall());
    }
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
    case Endpoint::kOpenApiV3: {
      if (request.name.empty()) return {200, openapi_v3_index(), 0};
      auto document = openapi_v3(request.name);
      if (document) return {200, std::move(*document), 0};
      return failure(404, "the server could not find the requested resource");
    }
    case Endpoint::kInfo:
      return info();
    default:
      return failure(404, "the server could not find the requested resource");
  }
}

Response ApiServer::info() const {
  Response response;
  response.body["version"] = options_.version;
  response.body["gateway"] = options_.gateway;
  if (!options_.https.empty()) response.body["https"] = options_.https;
  Json& runtimes = response.body["runtimes"] = Json::array();
  if (!options_.runtimes) return response;
  for (const auto& runtime : options_.runtimes()) {
    Json& one = runtimes.emplace_back(Json{{"name", runtime.name}, {"starts", runtime.starts}});
    if (!runtime.problem.empty()) one["problem"] = runtime.problem;
  }
  return response;
}

RuntimeNames ApiServer::runtime_names() const {
  RuntimeNames names;
  if (!options_.runtimes) return names;
  for (auto& runtime : options_.runtimes()) names.push_back(std::move(runtime.name));
  return names;
}

net::Task<Response> ApiServer::namespaces(std::string only) {
  // With the time of its oldest object; "default" is as old as this process.
  std::map<std::string, std::string> found{{"default", started_}};
  std::string version;
  for (const auto* kind : api::all_kinds()) {
    if (is_live(*kind)) continue;
    auto listing = parts_.client.list(*kind, "");
    auto list = co_await listing;
    if (!list) co_return failure(list.error(), namespace_kind(), only);
    version = list->resource_version;
    for (const auto& object : list->items) {
      const Json& meta = object["metadata"];
      const std::string created = meta.value("creationTimestamp", "");
      auto [at, fresh] = found.emplace(meta.value("namespace", ""), created);
      if (!fresh && created < at->second) at->second = created;
    }
  }
  if (!only.empty()) {
    auto at = found.find(only);
    if (at != found.end()) co_return Response{200, namespace_object(at->first, at->second), 0};
    const Error none{Errc::kNotFound, fmt::format("namespaces \"{}\" not found", only)};
    co_return failure(none, namespace_kind(), only);
  }
  Json list;
  list["kind"] = "NamespaceList";
  list["apiVersion"] = "v1";
  list["metadata"]["resourceVersion"] = version;
  list["items"] = Json::array();
  for (const auto& [name, created] : found)
    list["items"].push_back(namespace_object(name, created));
  co_return Response{200, std::move(list), 0};
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
  if (table) present_as_table(*request.kind, response, request, parts_.clock.wall());
  co_await send(exchange, response);
}

}  // namespace ebb::apiserver
