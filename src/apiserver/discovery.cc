#include "apiserver/discovery.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "api/event.h"
#include "api/hpa.h"
#include "api/kinds.h"
#include "api/pod_autoscaler.h"
#include "api/types.h"
#include "api/usage.h"

namespace ebb::apiserver {
namespace {

using api::Json;
using api::Kind;

// The Kubernetes that clients may take this API for.
constexpr const char* kLikeMajor = "1";
constexpr const char* kLikeMinor = "32";

Json document(const char* kind, const char* api_version) {
  Json json;
  json["kind"] = kind;
  if (api_version) json["apiVersion"] = api_version;
  return json;
}

Json group_of(const Kind& kind) {
  Json version;
  version["groupVersion"] = kind.api_version();
  version["version"] = kind.version;
  Json group;
  group["name"] = kind.group;
  group["versions"] = Json::array({version});
  group["preferredVersion"] = version;
  return group;
}

Json resource_of(const Kind& kind) {
  Json resource;
  resource["name"] = kind.plural;
  resource["singularName"] = kind.singular;
  resource["namespaced"] = kind.namespaced;
  resource["kind"] = kind.kind;
  for (auto name : kind.short_names) resource["shortNames"].push_back(name);
  if (is_live(kind)) {
    resource["verbs"] = {"get", "list", "watch"};
    if (&kind == &api::Pod::kind()) resource["categories"] = {"all"};
    if (&kind == &api::PodAutoscaler::kind()) {
      resource["verbs"] = {"get", "list", "patch", "update", "watch"};
    }
  } else {
    resource["verbs"] = {"create", "delete", "get", "list", "patch", "update", "watch"};
    if (&kind == &api::HorizontalPodAutoscaler::kind()) {
      resource["categories"] = {"all"};
    } else {
      resource["categories"] = {"all", "knative", "serving"};
    }
  }
  return resource;
}

Json status_of(const Kind& kind) {
  Json resource;
  resource["name"] = std::string(kind.plural) + "/status";
  resource["singularName"] = "";
  resource["namespaced"] = kind.namespaced;
  resource["kind"] = kind.kind;
  resource["verbs"] = {"get", "patch", "update"};
  return resource;
}

Json pod_log() {
  Json resource;
  resource["name"] = "pods/log";
  resource["singularName"] = "";
  resource["namespaced"] = true;
  resource["kind"] = "Pod";
  resource["verbs"] = {"get"};
  return resource;
}

Json namespaces() {
  Json resource;
  resource["name"] = "namespaces";
  resource["singularName"] = "namespace";
  resource["namespaced"] = false;
  resource["kind"] = "Namespace";
  resource["shortNames"] = {"ns"};
  resource["verbs"] = {"get", "list"};
  return resource;
}

}  // namespace

bool is_live(const Kind& kind) {
  return &kind == &api::Pod::kind() || &kind == &api::Node::kind() ||
         &kind == &api::Event::kind() || &kind == &api::PodAutoscaler::kind() ||
         &kind == &api::PodMetrics::kind() || &kind == &api::NodeMetrics::kind();
}

Json version_info(std::string_view ebb_version) {
  Json json;
  json["major"] = kLikeMajor;
  json["minor"] = kLikeMinor;
  json["gitVersion"] = fmt::format("v{}.{}.0+ebb-{}", kLikeMajor, kLikeMinor, ebb_version);
  json["platform"] = "linux/amd64";
#if defined(__aarch64__)
  json["platform"] = "linux/arm64";
#endif
  return json;
}

Json core_versions() {
  Json json = document("APIVersions", nullptr);
  json["versions"] = {"v1"};
  json["serverAddressByClientCIDRs"] = Json::array();
  return json;
}

Json group_list() {
  Json json = document("APIGroupList", "v1");
  json["groups"] = Json::array();
  for (const auto* kind : api::all_kinds()) {
    Json group = group_of(*kind);
    auto& groups = json["groups"];
    bool known = std::find(groups.begin(), groups.end(), group) != groups.end();
    if (!kind->group.empty() && !known) groups.push_back(std::move(group));
  }
  return json;
}

Json group_info(std::string_view group) {
  Json json = document("APIGroup", "v1");
  for (const auto* kind : api::all_kinds()) {
    if (kind->group == group) json.update(group_of(*kind));
  }
  return json;
}

Json resource_list(std::string_view group, std::string_view version) {
  Json json = document("APIResourceList", "v1");
  json["groupVersion"] =
      group.empty() ? std::string(version) : fmt::format("{}/{}", group, version);
  json["resources"] = Json::array();
  for (const auto* kind : api::all_kinds()) {
    if (kind->group != group || kind->version != version) continue;
    json["resources"].push_back(resource_of(*kind));
    if (!is_live(*kind)) json["resources"].push_back(status_of(*kind));
    if (kind == &api::Pod::kind()) json["resources"].push_back(pod_log());
  }
  if (group.empty()) json["resources"].push_back(namespaces());
  return json;
}

}  // namespace ebb::apiserver
