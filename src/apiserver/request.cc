#include "apiserver/request.h"

#include <vector>

#include "api/kinds.h"
#include "api/types.h"
#include "http/uri.h"

namespace ebb::apiserver {
namespace {

using Endpoint = ApiRequest::Endpoint;
using Segments = std::vector<std::string>;

constexpr size_t kMaxSegments = 16;

// Decodes after splitting, so that an escaped slash stays inside its segment.
std::optional<Segments> split_path(std::string_view path) {
  if (!path.starts_with('/')) return std::nullopt;
  path.remove_prefix(1);
  if (path.ends_with('/')) path.remove_suffix(1);
  Segments segments;
  while (!path.empty()) {
    auto slash = path.find('/');
    auto segment = http::percent_decode(path.substr(0, slash));
    if (!segment || segment->empty() || segments.size() == kMaxSegments) return std::nullopt;
    segments.push_back(std::move(*segment));
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  return segments;
}

bool group_exists(std::string_view group) {
  for (const auto* kind : api::all_kinds()) {
    if (kind->group == group) return true;
  }
  return false;
}

bool version_exists(std::string_view group, std::string_view version) {
  for (const auto* kind : api::all_kinds()) {
    if (kind->group == group && kind->version == version) return true;
  }
  return false;
}

// The part after the version: "PLURAL[/NAME[/status]]", with "namespaces/NS/" before
// it for kinds that have namespaces.
bool parse_object(const Segments& rest, ApiRequest& request) {
  size_t at = 0;
  if (request.group.empty() && rest[0] == "namespaces" && rest.size() <= 2) {
    request.endpoint = rest.size() == 1 ? Endpoint::kNamespaces : Endpoint::kNamespace;
    if (rest.size() == 2) request.name = rest[1];
    return true;
  }
  if (rest.size() >= 3 && rest[0] == "namespaces") {
    request.ns = rest[1];
    at = 2;
  }
  request.kind = api::find_kind(request.group, request.version, rest[at]);
  if (!request.kind) return false;
  bool one = rest.size() > at + 1;
  // All of a kind may be asked for without a namespace; one object not.
  if (!request.kind->namespaced && !request.ns.empty()) return false;
  if (request.kind->namespaced && one && request.ns.empty()) return false;
  request.endpoint = Endpoint::kObjects;
  if (!one) return true;
  request.name = rest[at + 1];
  request.endpoint = Endpoint::kObject;
  if (rest.size() == at + 2) return true;
  if (rest.size() != at + 3) return false;
  const bool log = rest[at + 2] == "log" && request.kind == &api::Pod::kind();
  request.endpoint = log ? Endpoint::kPodLog : Endpoint::kStatus;
  return log || rest[at + 2] == "status";
}

bool parse_ebb(const Segments& rest, ApiRequest& request) {
  if (rest.size() == 1 && rest[0] == "info") {
    request.endpoint = Endpoint::kInfo;
    return true;
  }
  if (rest.size() == 1 && rest[0] == "backup") {
    request.endpoint = Endpoint::kBackup;
    return true;
  }
  if (rest.size() == 2 && rest[0] == "blobs") {
    request.endpoint = Endpoint::kBlob;
    request.name = rest[1];
    return true;
  }
  if (rest.size() == 5 && rest[0] == "namespaces" && rest[2] == "services" && rest[4] == "log") {
    request.endpoint = Endpoint::kServiceLog;
    request.ns = rest[1];
    request.name = rest[3];
    return true;
  }
  return false;
}

bool parse_group(const Segments& path, ApiRequest& request) {
  if (path.size() == 1) {
    request.endpoint = Endpoint::kGroups;
    return true;
  }
  request.group = path[1];
  if (path.size() == 2) {
    request.endpoint = Endpoint::kGroup;
    return !request.group.empty() && group_exists(request.group);
  }
  request.version = path[2];
  Segments rest(path.begin() + 3, path.end());
  if (request.group == "ebb.dev" && request.version == "v1") return parse_ebb(rest, request);
  if (request.group.empty() || !version_exists(request.group, request.version)) return false;
  request.endpoint = Endpoint::kResources;
  return rest.empty() || parse_object(rest, request);
}

bool parse_core(const Segments& path, ApiRequest& request) {
  if (path.size() == 1) {
    request.endpoint = Endpoint::kCoreVersions;
    return true;
  }
  request.version = path[1];
  if (!version_exists("", request.version)) return false;
  request.endpoint = Endpoint::kResources;
  Segments rest(path.begin() + 2, path.end());
  return rest.empty() || parse_object(rest, request);
}

bool parse_path(const Segments& path, ApiRequest& request) {
  if (path.empty()) return false;
  if (path[0] == "api") return parse_core(path, request);
  if (path[0] == "apis") return parse_group(path, request);
  if (path.size() == 1 && path[0] == "metrics") {
    request.endpoint = Endpoint::kMetrics;
    return true;
  }
  if (path.size() == 1) {
    request.endpoint = path[0] == "healthz"  ? Endpoint::kHealthz
                       : path[0] == "livez"  ? Endpoint::kHealthz
                       : path[0] == "readyz" ? Endpoint::kReadyz
                                             : Endpoint::kVersion;
    return path[0] == "healthz" || path[0] == "livez" || path[0] == "readyz" ||
           path[0] == "version";
  }
  if (path[0] != "openapi") return false;
  request.endpoint = path[1] == "v2" ? Endpoint::kOpenApiV2 : Endpoint::kOpenApiV3;
  if (path[1] == "v2") return path.size() == 2;
  for (size_t i = 2; i < path.size(); ++i) {
    request.name += (request.name.empty() ? "" : "/") + path[i];
  }
  return path[1] == "v3";
}

}  // namespace

std::string_view ApiRequest::parameter(const std::string& key) const {
  auto found = query.find(key);
  return found == query.end() ? std::string_view() : std::string_view(found->second);
}

bool ApiRequest::flag(const std::string& key) const {
  auto found = query.find(key);
  if (found == query.end()) return false;
  return found->second.empty() || found->second == "true" || found->second == "1";
}

Result<ApiRequest> parse_request(std::string_view target) {
  auto parts = http::split_target(target);
  auto path = parts ? split_path(parts->path) : std::nullopt;
  auto pairs = parts ? http::parse_query(parts->query) : std::nullopt;
  if (!path || !pairs) return fail(Errc::kInvalid, "the request target cannot be read");
  ApiRequest request;
  for (auto& [key, value] : *pairs) request.query[key] = std::move(value);
  if (!parse_path(*path, request)) {
    return fail(Errc::kNotFound, "the server could not find the requested resource");
  }
  return request;
}

}  // namespace ebb::apiserver
