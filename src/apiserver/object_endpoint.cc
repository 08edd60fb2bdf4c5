#include "apiserver/object_endpoint.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "api/hpa.h"
#include "api/json.h"
#include "api/schema.h"
#include "api/yaml.h"
#include "apiserver/admission.h"
#include "apiserver/apply.h"
#include "apiserver/json_patch.h"
#include "apiserver/selector.h"
#include "base/random.h"
#include "http/message.h"

namespace ebb::apiserver {
namespace {

using api::Json;
using Endpoint = ApiRequest::Endpoint;

// A patch that names no version is applied again when somebody was faster.
constexpr int kMaxPatchRaces = 10;
constexpr size_t kMaxManagerName = 128;  // bytes

bool is_dry_run(const ApiRequest& request) { return request.parameter("dryRun") == "All"; }

std::string_view media_type(std::string_view content_type) {
  auto type = content_type.substr(0, content_type.find(';'));
  while (type.ends_with(' ')) type.remove_suffix(1);
  return type;
}

std::string string_in(const Json& object, const char* key) {
  auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool is_json(std::string_view type) {
  return type.empty() || http::iequals(type, "application/json");
}

bool is_yaml(std::string_view type) {
  return http::iequals(type, "application/yaml") || http::iequals(type, "application/x-yaml") ||
         http::iequals(type, "text/yaml");
}

// The one document of a text.
Result<Json> read_yaml(std::string_view text) {
  auto documents = api::parse_yaml(text);
  if (!documents)
    return fail(Errc::kInvalid, "the body is not YAML: {}", documents.error().message);
  if (documents->size() != 1) {
    return fail(Errc::kInvalid, "the body has {} documents instead of one", documents->size());
  }
  return std::move(documents->front());
}

Result<Json> read_json(std::string_view text) {
  auto parsed = api::parse_json(text);
  if (!parsed) return fail(Errc::kInvalid, "the body is not JSON: {}", parsed.error().message);
  return parsed;
}

std::optional<Response> check_shape(Json& object) {
  if (!object.is_object()) return failure(400, "the body must be a JSON object");
  if (!object.contains("metadata")) object["metadata"] = Json::object();
  if (!object["metadata"].is_object()) return failure(400, "metadata must be an object");
  return std::nullopt;
}

// Reads a whole object. The answer, if it cannot be.
std::optional<Response> read_object(const Call& call, Json& object) {
  const auto type = media_type(call.content_type);
  if (!is_json(type) && !is_yaml(type)) {
    return failure(415, fmt::format("the body of the request was of type \"{}\": supported are "
                                    "application/json and application/yaml",
                                    type));
  }
  auto parsed = is_json(type) ? read_json(call.body) : read_yaml(call.body);
  if (!parsed) return failure(400, parsed.error().message);
  object = std::move(*parsed);
  return check_shape(object);
}

// Does with unknown fields what fieldValidation asks for.
std::optional<Response> check_fields(const ApiRequest& request, Json& object,
                                     std::vector<std::string>& warnings) {
  const auto how = request.parameter("fieldValidation");
  if (how.empty()) return std::nullopt;
  if (how != "Strict" && how != "Warn" && how != "Ignore") {
    return failure(422, fmt::format("fieldValidation: Unsupported value: \"{}\": supported values: "
                                    "\"Ignore\", \"Warn\", \"Strict\"",
                                    how));
  }
  const auto unknown = api::remove_unknown_fields(*request.kind, object);
  if (unknown.empty() || how == "Ignore") return std::nullopt;
  if (how == "Warn") {
    for (const auto& path : unknown) warnings.push_back(fmt::format("unknown field \"{}\"", path));
    return std::nullopt;
  }
  std::string all;
  for (const auto& path : unknown) {
    all += fmt::format("{}unknown field \"{}\"", all.empty() ? "" : ", ", path);
  }
  return failure(400,
                 fmt::format("{} in version \"{}\" cannot be handled as a {}: strict decoding "
                             "error: {}",
                             request.kind->kind, request.kind->version, request.kind->kind, all));
}

Error modified() {
  return {Errc::kConflict,
          "the object has been modified; please apply your changes to the latest version and try "
          "again"};
}

// The path says which object it is; the body may repeat it, not contradict.
std::optional<Response> set_identity(const ApiRequest& request, Json& object) {
  Json& meta = object["metadata"];
  std::string ns = string_in(meta, "namespace");
  if (!ns.empty() && ns != request.ns) {
    return failure(400, fmt::format("the namespace of the provided object does not match the "
                                    "namespace sent on the request: \"{}\" and \"{}\"",
                                    ns, request.ns));
  }
  if (!request.ns.empty()) meta["namespace"] = request.ns;
  if (!object.contains("apiVersion")) object["apiVersion"] = request.kind->api_version();
  if (!object.contains("kind")) object["kind"] = request.kind->kind;
  if (request.name.empty()) return std::nullopt;
  std::string name = string_in(meta, "name");
  if (!name.empty() && name != request.name) {
    return failure(400, fmt::format("the name of the object (\"{}\") does not match the name on "
                                    "the URL (\"{}\")",
                                    name, request.name));
  }
  meta["name"] = request.name;
  return std::nullopt;
}

// generateName: "job-" becomes "job-x7f2a" and so on.
void generate_name(Json& meta) {
  std::string prefix = string_in(meta, "generateName");
  constexpr size_t kRandomBytes = 3;
  if (string_in(meta, "name").empty() && !prefix.empty()) {
    meta["name"] = prefix + random_hex(kRandomBytes);
  }
}

// Clients know Kubernetes' own kinds and patch them strategically. Those of this API have
// only lists that are replaced as a whole, apart from metadata.ownerReferences and
// metadata.finalizers: without directives that is a merge patch.
bool takes_strategic(const api::Kind& kind) {
  return &kind == &api::HorizontalPodAutoscaler::kind();
}

bool has_directives(const Json& patch) {
  if (!patch.is_object()) return false;
  for (const auto& [key, value] : patch.items()) {
    if (key.starts_with('$') || has_directives(value)) return true;
  }
  return false;
}

std::string strategic_hint(std::string_view type) {
  if (!http::iequals(type, "application/strategic-merge-patch+json")) return {};
  return " (kubectl patch: use --type=merge or --type=json)";
}

Response not_allowed(const Call& call) {
  return failure(405, fmt::format("{} is not possible here", call.method));
}

Response apply_refusal(const api::Kind& kind, const std::string& name,
                       const std::vector<std::string>& conflicts) {
  std::string all;
  Json causes = Json::array();
  for (const auto& conflict : conflicts) {
    all += (all.empty() ? "" : ", ") + conflict;
    const auto field = conflict.rfind(": ");
    causes.push_back({{"reason", "FieldManagerConflict"},
                      {"message", conflict.substr(0, field)},
                      {"field", conflict.substr(field + 2)}});
  }
  const Error error{Errc::kConflict,
                    fmt::format("Apply failed with {} conflict{}: {}", conflicts.size(),
                                conflicts.size() == 1 ? "" : "s", all)};
  Response response = failure(error, kind, name);
  response.body["details"]["causes"] = std::move(causes);
  return response;
}

// What a dry run answers for an object that would replace `before`.
Json as_if_stored(const Json& before, const Json& after, bool status_only) {
  Json result = status_only ? before : after;
  const Json& status_from = status_only ? after : before;
  result.erase("status");
  if (status_from.contains("status")) result["status"] = status_from["status"];
  for (const char* field : {"uid", "creationTimestamp", "generation", "resourceVersion"}) {
    if (before["metadata"].contains(field)) {
      result["metadata"][field] = before["metadata"][field];
    }
  }
  return result;
}

}  // namespace

net::Task<Response> ObjectEndpoint::handle(Call call) {
  std::string_view dry_run = call.request.parameter("dryRun");
  if (!dry_run.empty() && dry_run != "All") co_return failure(400, "dryRun must be \"All\"");
  bool all = call.request.endpoint == Endpoint::kObjects;
  bool whole = call.request.endpoint == Endpoint::kObject;
  if (all && call.method == "GET") co_return co_await list(call);
  if (all && call.method == "POST") co_return co_await create(call);
  if (!all && call.method == "GET") co_return co_await get(call);
  if (!all && call.method == "PUT") co_return co_await update(call);
  if (!all && call.method == "PATCH") co_return co_await patch(call);
  if (whole && call.method == "DELETE") co_return co_await remove(call);
  co_return not_allowed(call);
}

net::Task<Response> ObjectEndpoint::get(Call call) {
  const ApiRequest& request = call.request;
  resources::ObjectKey key{request.ns, request.name};
  auto found = co_await client_.get(*request.kind, std::move(key));
  if (!found) co_return failure(found.error(), *request.kind, request.name);
  co_return Response{200, std::move(*found), 0};
}

net::Task<Response> ObjectEndpoint::list(Call call) {
  const ApiRequest& request = call.request;
  auto selector =
      Selector::parse(request.parameter("labelSelector"), request.parameter("fieldSelector"));
  if (!selector) co_return failure(400, selector.error().message);
  // All is given at once, which `limit` allows; so no list was ever cut.
  if (!request.parameter("continue").empty()) {
    co_return failure(410, "the continue parameter is not one of this server: list again");
  }
  std::string ns = request.ns;
  auto found = co_await client_.list(*request.kind, std::move(ns));
  if (!found) co_return failure(found.error(), *request.kind, "");
  Json list;
  list["kind"] = std::string(request.kind->kind) + "List";
  list["apiVersion"] = request.kind->api_version();
  list["metadata"]["resourceVersion"] = found->resource_version;
  list["items"] = Json::array();
  for (auto& object : found->items) {
    if (selector->matches(object)) list["items"].push_back(std::move(object));
  }
  co_return Response{200, std::move(list), 0};
}

net::Task<Response> ObjectEndpoint::create(Call call) {
  const ApiRequest& request = call.request;
  if (request.kind->namespaced && request.ns.empty()) co_return not_allowed(call);
  Json object;
  if (auto refusal = read_object(call, object)) co_return std::move(*refusal);
  std::vector<std::string> warnings;
  if (auto refusal = check_fields(request, object, warnings)) co_return std::move(*refusal);
  if (auto refusal = set_identity(request, object)) co_return std::move(*refusal);
  Json& meta = object["metadata"];
  if (!string_in(meta, "resourceVersion").empty()) {
    co_return failure(400, "resourceVersion should not be set on objects to be created");
  }
  generate_name(meta);
  for (const char* field :
       {"uid", "creationTimestamp", "generation", "selfLink", "managedFields"}) {
    meta.erase(field);
  }
  auto admitted = admit_create(*request.kind, object, runtimes());
  if (auto* refusal = std::get_if<Response>(&admitted)) co_return std::move(*refusal);
  object = std::get<Json>(std::move(admitted));
  std::string name = string_in(object["metadata"], "name");
  if (is_dry_run(request)) {
    resources::ObjectKey key{request.ns, name};
    auto there = co_await client_.get(*request.kind, std::move(key));
    if (!there && there.error().code == Errc::kNotFound) {
      co_return Response{201, std::move(object), 0, std::move(warnings)};
    }
    if (!there) co_return failure(there.error(), *request.kind, name);
    Error exists{Errc::kAlreadyExists,
                 fmt::format("{} \"{}\" already exists", request.kind->plural, name)};
    co_return failure(exists, *request.kind, name);
  }
  auto created = co_await client_.create(*request.kind, std::move(object));
  if (!created) co_return failure(created.error(), *request.kind, name);
  co_return Response{201, std::move(*created), 0, std::move(warnings)};
}

net::Task<Response> ObjectEndpoint::store(Call call, const Json& before, Json after, Errc* error) {
  const ApiRequest& request = call.request;
  bool status_only = request.endpoint == Endpoint::kStatus;
  std::vector<std::string> warnings;
  if (auto refusal = check_fields(request, after, warnings)) co_return std::move(*refusal);
  auto admitted = status_only ? admit_status(*request.kind, after)
                              : admit_update(*request.kind, before, after, runtimes());
  if (auto* refusal = std::get_if<Response>(&admitted)) co_return std::move(*refusal);
  after = std::get<Json>(std::move(admitted));
  if (!status_only) keep_managed(before, after);
  if (is_dry_run(request)) {
    std::string version = string_in(after["metadata"], "resourceVersion");
    if (version.empty() || version == string_in(before["metadata"], "resourceVersion")) {
      co_return Response{200, as_if_stored(before, after, status_only), 0, std::move(warnings)};
    }
    *error = Errc::kConflict;
    co_return failure(modified(), *request.kind, request.name);
  }
  // Two calls, and no ?:, which g++ 12 cannot have around co_await.
  Result<Json> stored;
  if (status_only) {
    stored = co_await client_.update_status(*request.kind, std::move(after));
  } else {
    stored = co_await client_.update(*request.kind, std::move(after));
  }
  if (stored) co_return Response{200, std::move(*stored), 0, std::move(warnings)};
  *error = stored.error().code;
  co_return failure(stored.error(), *request.kind, request.name);
}

net::Task<Response> ObjectEndpoint::update(Call call) {
  const ApiRequest& request = call.request;
  Json object;
  if (auto refusal = read_object(call, object)) co_return std::move(*refusal);
  if (auto refusal = set_identity(request, object)) co_return std::move(*refusal);
  resources::ObjectKey key{request.ns, request.name};
  auto before = co_await client_.get(*request.kind, std::move(key));
  if (!before) co_return failure(before.error(), *request.kind, request.name);
  Errc ignored{};
  co_return co_await store(call, *before, std::move(object), &ignored);
}

net::Task<Response> ObjectEndpoint::patch(Call call) {
  const ApiRequest& request = call.request;
  auto type = media_type(call.content_type);
  if (http::iequals(type, "application/apply-patch+yaml")) co_return co_await apply(call);
  bool strategic = takes_strategic(*request.kind) &&
                   http::iequals(type, "application/strategic-merge-patch+json");
  bool merge = strategic || http::iequals(type, "application/merge-patch+json");
  bool steps = http::iequals(type, "application/json-patch+json");
  if (!merge && !steps) {
    co_return failure(415, fmt::format("the body of the request was in an unknown format - "
                                       "accepted media types include: application/json-patch+json, "
                                       "application/merge-patch+json, "
                                       "application/apply-patch+yaml; not {}{}",
                                       type, strategic_hint(type)));
  }
  auto change = api::parse_json(call.body);
  if (!change) co_return failure(400, "the patch is not JSON: " + change.error().message);
  if (merge && !change->is_object()) co_return failure(400, "a merge patch must be an object");
  if (strategic && has_directives(*change)) {
    co_return failure(422,
                      "the patch cannot be applied: directives of strategic merge patches "
                      "(\"$patch\" and others) are not supported");
  }
  for (int race = 1;; ++race) {
    resources::ObjectKey key{request.ns, request.name};
    auto before = co_await client_.get(*request.kind, std::move(key));
    if (!before) co_return failure(before.error(), *request.kind, request.name);
    Json after = *before;
    if (merge) {
      after.merge_patch(*change);
    } else if (auto applied = apply_json_patch(after, *change); !applied) {
      co_return failure(422, "the patch cannot be applied: " + applied.error().message);
    }
    bool whole = after.is_object() && after.contains("metadata") && after["metadata"].is_object();
    if (!whole) co_return failure(422, "the patch does not leave an object with metadata");
    bool pinned = after["metadata"].value("resourceVersion", "") !=
                  before->at("metadata").value("resourceVersion", "");
    if (auto refusal = set_identity(request, after)) co_return std::move(*refusal);
    Errc error{};
    auto response = co_await store(call, *before, std::move(after), &error);
    bool again = error == Errc::kConflict && !pinned && race < kMaxPatchRaces;
    if (!again) co_return response;
  }
}

net::Task<Response> ObjectEndpoint::apply_new(Call call, Json config, std::string manager,
                                              Errc* error) {
  const ApiRequest& request = call.request;
  auto admitted = admit_create(*request.kind, config, runtimes());
  if (auto* refusal = std::get_if<Response>(&admitted)) co_return std::move(*refusal);
  Json object = std::get<Json>(std::move(admitted));
  set_managed(Json(), object, config, manager, api::to_rfc3339(clock_.wall()));
  if (is_dry_run(request)) co_return Response{201, std::move(object), 0};
  auto created = co_await client_.create(*request.kind, std::move(object));
  if (created) co_return Response{201, std::move(*created), 0};
  *error = created.error().code;
  co_return failure(created.error(), *request.kind, request.name);
}

net::Task<Response> ObjectEndpoint::apply(Call call) {
  const ApiRequest& request = call.request;
  if (request.endpoint != Endpoint::kObject) co_return not_allowed(call);
  const std::string manager(request.parameter("fieldManager"));
  if (manager.empty() || manager.size() > kMaxManagerName) {
    co_return failure(422, fmt::format("fieldManager: Required value: is required for apply patch, "
                                       "with at most {} bytes",
                                       kMaxManagerName));
  }
  auto config = read_yaml(call.body);
  if (!config) co_return failure(400, config.error().message);
  if (auto refusal = check_shape(*config)) co_return std::move(*refusal);
  if (string_in(*config, "apiVersion").empty() || string_in(*config, "kind").empty()) {
    co_return failure(400, "an applied object must have apiVersion and kind");
  }
  std::vector<std::string> warnings;
  if (auto refusal = check_fields(request, *config, warnings)) co_return std::move(*refusal);
  if (auto refusal = set_identity(request, *config)) co_return std::move(*refusal);
  if ((*config)["metadata"].contains("managedFields")) {
    co_return failure(400, "metadata.managedFields must be nil");
  }
  for (int race = 1;; ++race) {
    resources::ObjectKey key{request.ns, request.name};
    auto before = co_await client_.get(*request.kind, std::move(key));
    if (!before && before.error().code != Errc::kNotFound) {
      co_return failure(before.error(), *request.kind, request.name);
    }
    Errc error{};
    Response response;
    if (before) {
      auto applying = apply_over(call, *before, *config, manager, &error);
      response = co_await applying;
    } else {
      auto applying = apply_new(call, *config, manager, &error);
      response = co_await applying;
    }
    response.warnings = warnings;
    const bool raced = error == Errc::kConflict || error == Errc::kAlreadyExists;
    const bool pinned = (*config)["metadata"].contains("resourceVersion");
    if (!raced || pinned || race == kMaxPatchRaces) co_return response;
  }
}

net::Task<Response> ObjectEndpoint::apply_over(Call call, const Json& before, const Json& config,
                                               std::string manager, Errc* error) {
  const ApiRequest& request = call.request;
  auto admitted =
      admit_update(*request.kind, before, merge_applied(before, config, manager), runtimes());
  if (auto* refusal = std::get_if<Response>(&admitted)) co_return std::move(*refusal);
  Json after = std::get<Json>(std::move(admitted));
  const auto conflicts = apply_conflicts(before, after, config, manager);
  if (!conflicts.empty() && !request.flag("force")) {
    co_return apply_refusal(*request.kind, request.name, conflicts);
  }
  set_managed(before, after, config, manager, api::to_rfc3339(clock_.wall()));
  if (after["metadata"]["managedFields"].size() > kMaxManagers) {
    co_return failure(
        422, fmt::format("metadata.managedFields: Too many: more than {} managers", kMaxManagers));
  }
  if (is_dry_run(request)) co_return Response{200, as_if_stored(before, after, false), 0};
  auto stored = co_await client_.update(*request.kind, std::move(after));
  if (stored) co_return Response{200, std::move(*stored), 0};
  *error = stored.error().code;
  co_return failure(stored.error(), *request.kind, request.name);
}

net::Task<Response> ObjectEndpoint::remove(Call call) {
  const ApiRequest& request = call.request;
  Json options = Json::object();
  if (!call.body.empty()) {
    auto parsed =
        is_yaml(media_type(call.content_type)) ? read_yaml(call.body) : read_json(call.body);
    if (!parsed) co_return failure(400, parsed.error().message);
    if (parsed->is_object()) options = std::move(*parsed);
  }
  resources::ObjectKey key{request.ns, request.name};
  auto found = co_await client_.get(*request.kind, key);
  if (!found) co_return failure(found.error(), *request.kind, request.name);
  std::string uid = string_in(found->at("metadata"), "uid");
  std::string version;
  if (options.contains("preconditions") && options["preconditions"].is_object()) {
    std::string wanted_uid = string_in(options["preconditions"], "uid");
    version = string_in(options["preconditions"], "resourceVersion");
    if (!wanted_uid.empty() && wanted_uid != uid) {
      Error conflict{Errc::kConflict,
                     fmt::format("the UID in the precondition ({}) is not that of the object ({})",
                                 wanted_uid, uid)};
      co_return failure(conflict, *request.kind, request.name);
    }
  }
  auto dry = options.find("dryRun");
  bool dry_run = is_dry_run(request) || (dry != options.end() && *dry == Json::array({"All"}));
  if (!dry_run) {
    auto removed = co_await client_.remove(*request.kind, std::move(key), std::move(version));
    if (!removed) co_return failure(removed.error(), *request.kind, request.name);
  }
  co_return deleted(*request.kind, request.name, uid);
}

}  // namespace ebb::apiserver
