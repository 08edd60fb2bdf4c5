#include "cli/kubeconfig.h"

#include <yaml-cpp/yaml.h>

#include "base/file.h"

namespace ebb::cli {

namespace {

constexpr size_t kMaxFile = 1 << 20;
constexpr const char* kName = "ebb";

// The value at `key`; empty if there is none.
std::string text_at(const YAML::Node& node, const char* key) {
  if (!node.IsMap() || !node[key] || !node[key].IsScalar()) return {};
  return node[key].as<std::string>();
}

// Finds {name: NAME, KIND: {...}} in the list called `list` and returns its KIND.
Result<YAML::Node> named(const YAML::Node& root, const char* list, const char* kind,
                         const std::string& name) {
  if (root[list] && root[list].IsSequence()) {
    for (const auto& entry : root[list]) {
      if (text_at(entry, "name") == name && entry[kind] && entry[kind].IsMap()) return entry[kind];
    }
  }
  return fail(Errc::kInvalid, "it has no {} named \"{}\"", kind, name);
}

Result<Kubeconfig> from_yaml(const YAML::Node& root) {
  if (!root.IsMap()) return fail(Errc::kInvalid, "it is not a kubeconfig");
  const std::string current = text_at(root, "current-context");
  if (current.empty()) return fail(Errc::kInvalid, "it has no current-context");
  const auto context = named(root, "contexts", "context", current);
  if (!context) return fail(context.error());
  const auto cluster = named(root, "clusters", "cluster", text_at(*context, "cluster"));
  if (!cluster) return fail(cluster.error());
  Kubeconfig config;
  config.server = text_at(*cluster, "server");
  if (config.server.empty()) return fail(Errc::kInvalid, "its cluster has no server");
  if (auto ns = text_at(*context, "namespace"); !ns.empty()) config.ns = std::move(ns);
  if (const std::string user_name = text_at(*context, "user"); !user_name.empty()) {
    const auto user = named(root, "users", "user", user_name);
    if (!user) return fail(user.error());
    config.token = text_at(*user, "token");
  }
  return config;
}

}  // namespace

std::string kubeconfig_path(const std::string& data_dir) { return data_dir + "/kubeconfig"; }

Result<void> write_kubeconfig(const std::string& path, const Kubeconfig& config) {
  YAML::Node root;
  root["apiVersion"] = "v1";
  root["kind"] = "Config";
  root["current-context"] = kName;
  YAML::Node cluster;
  cluster["name"] = kName;
  cluster["cluster"]["server"] = config.server;
  root["clusters"].push_back(cluster);
  YAML::Node user;
  user["name"] = kName;
  user["user"]["token"] = config.token;
  root["users"].push_back(user);
  YAML::Node context;
  context["name"] = kName;
  context["context"]["cluster"] = kName;
  context["context"]["user"] = kName;
  context["context"]["namespace"] = config.ns;
  root["contexts"].push_back(context);
  YAML::Emitter out;
  // Quoted, so that a token of digits stays a string for every reader.
  out.SetStringFormat(YAML::DoubleQuoted);
  out << root;
  return write_file_atomic(path, std::string(out.c_str()) + "\n", 0600);
}

Result<Kubeconfig> read_kubeconfig(const std::string& path) {
  const auto text = read_file(path, kMaxFile);
  if (!text) return fail(text.error());
  try {
    auto config = from_yaml(YAML::Load(*text));
    if (!config) return fail(Errc::kInvalid, "{} is not usable: {}", path, config.error().message);
    return config;
  } catch (const YAML::Exception& error) {
    return fail(Errc::kInvalid, "{} is not usable: {}", path, error.what());
  }
}

}  // namespace ebb::cli
