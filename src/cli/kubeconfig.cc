#include "cli/kubeconfig.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "api/yaml.h"
#include "base/base64.h"
#include "base/file.h"

namespace ebb::cli {

namespace {

using api::Json;

constexpr size_t kMaxFile = 1 << 20;
constexpr const char* kName = "ebb";

// The text at `key`; empty if there is none.
std::string text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// Finds {name: NAME, KIND: {...}} in the list called `list` and returns its KIND.
Result<Json> named(const Json& root, const char* list, const char* kind, const std::string& name) {
  const auto entries = root.find(list);
  if (entries != root.end() && entries->is_array()) {
    for (const Json& entry : *entries) {
      if (!entry.is_object() || text_of(entry, "name") != name) continue;
      const auto found = entry.find(kind);
      if (found != entry.end() && found->is_object()) return *found;
    }
  }
  return fail(Errc::kInvalid, "it has no {} named \"{}\"", kind, name);
}

// The text itself, or that of a file that is named relative to the kubeconfig.
Result<std::string> authority_of(const Json& cluster, const std::filesystem::path& folder) {
  if (const auto data = text_of(cluster, "certificate-authority-data"); !data.empty()) {
    auto pem = from_base64(data);
    if (!pem) return fail(Errc::kInvalid, "its certificate-authority-data is no base64");
    return std::move(*pem);
  }
  if (const auto file = text_of(cluster, "certificate-authority"); !file.empty()) {
    return read_file(folder / file, kMaxFile);
  }
  return std::string();
}

Result<Kubeconfig> from_json(const Json& root, const std::filesystem::path& folder) {
  if (!root.is_object()) return fail(Errc::kInvalid, "it is not a kubeconfig");
  const std::string current = text_of(root, "current-context");
  if (current.empty()) return fail(Errc::kInvalid, "it has no current-context");
  const auto context = named(root, "contexts", "context", current);
  if (!context) return fail(context.error());
  const auto cluster = named(root, "clusters", "cluster", text_of(*context, "cluster"));
  if (!cluster) return fail(cluster.error());
  Kubeconfig config;
  config.server = text_of(*cluster, "server");
  if (config.server.empty()) return fail(Errc::kInvalid, "its cluster has no server");
  auto ca = authority_of(*cluster, folder);
  if (!ca) return fail(ca.error());
  config.ca = std::move(*ca);
  if (auto ns = text_of(*context, "namespace"); !ns.empty()) config.ns = std::move(ns);
  if (const std::string user_name = text_of(*context, "user"); !user_name.empty()) {
    const auto user = named(root, "users", "user", user_name);
    if (!user) return fail(user.error());
    config.token = text_of(*user, "token");
  }
  return config;
}

}  // namespace

std::string kubeconfig_path(const std::string& data_dir) { return data_dir + "/kubeconfig"; }

Result<void> write_kubeconfig(const std::string& path, const Kubeconfig& config) {
  Json cluster = {{"server", config.server}};
  if (!config.ca.empty()) cluster["certificate-authority-data"] = to_base64(config.ca);
  const Json root = {
      {"apiVersion", "v1"},
      {"kind", "Config"},
      {"current-context", kName},
      {"clusters", Json::array({{{"name", kName}, {"cluster", cluster}}})},
      {"users", Json::array({{{"name", kName}, {"user", {{"token", config.token}}}}})},
      {"contexts",
       Json::array(
           {{{"name", kName},
             {"context", {{"cluster", kName}, {"user", kName}, {"namespace", config.ns}}}}})}};
  const std::string text = api::to_yaml(root);
  // On a full disk the one that is there will do.
  if (const auto before = read_file(path, kMaxFile); before && *before == text) return {};
  return write_file_atomic(path, text, 0600);
}

Result<Kubeconfig> read_kubeconfig(const std::string& path) {
  const auto text = read_file(path, kMaxFile);
  if (!text) return fail(text.error());
  const auto documents = api::parse_yaml(*text);
  if (!documents) {
    return fail(Errc::kInvalid, "{} is not usable: {}", path, documents.error().message);
  }
  const auto folder = std::filesystem::path(path).parent_path();
  auto config = from_json(documents->empty() ? Json() : documents->front(), folder);
  if (!config) return fail(Errc::kInvalid, "{} is not usable: {}", path, config.error().message);
  return config;
}

}  // namespace ebb::cli
