#include "cli/connection.h"

#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "base/file.h"
#include "cli/kubeconfig.h"

namespace ebb::cli {

namespace {

constexpr size_t kMaxCertificates = 1 << 20;

// $KUBECONFIG may list several files; the first that exists counts.
std::string from_environment() {
  const char* value = std::getenv("KUBECONFIG");
  if (value == nullptr) return {};
  std::string first;
  std::string_view rest(value);
  while (!rest.empty()) {
    const size_t colon = rest.find(':');
    const std::string path(rest.substr(0, colon));
    rest = colon == std::string_view::npos ? std::string_view() : rest.substr(colon + 1);
    if (path.empty()) continue;
    std::error_code ignored;
    if (std::filesystem::exists(path, ignored)) return path;
    if (first.empty()) first = path;
  }
  return first;
}

std::string kubeconfig_of(const ConnectionOptions& options) {
  if (!options.kubeconfig.empty()) return options.kubeconfig;
  if (!options.data.empty()) return kubeconfig_path(options.data);
  std::string path = from_environment();
  return path.empty() ? kubeconfig_path(kDefaultDataDir) : path;
}

}  // namespace

Result<Connection> find_connection(const ConnectionOptions& options) {
  Connection connection{
      .server = options.server, .ca = {}, .token = options.token, .ns = options.ns};
  if (!options.certificate_authority.empty()) {
    auto ca = read_file(options.certificate_authority, kMaxCertificates);
    if (!ca) return fail(ca.error().code, "--certificate-authority: {}", ca.error().message);
    if (ca->empty()) {
      return fail(Errc::kInvalid, "--certificate-authority: {} is empty",
                  options.certificate_authority);
    }
    connection.ca = std::move(*ca);
  }
  // Everything given: a broken file elsewhere does not matter.
  const bool needs_file =
      options.server.empty() || options.token.empty() || !options.kubeconfig.empty();
  if (needs_file) {
    const std::string path = kubeconfig_of(options);
    const auto config = read_kubeconfig(path);
    if (config) {
      if (connection.server.empty()) connection.server = config->server;
      if (connection.token.empty()) connection.token = config->token;
      if (connection.ca.empty()) connection.ca = config->ca;
      if (connection.ns.empty()) connection.ns = config->ns;
    } else if (options.server.empty() || !options.kubeconfig.empty()) {
      if (config.error().code != Errc::kNotFound) return fail(config.error());
      return fail(Errc::kNotFound,
                  "no API server is known: {} does not exist. Is `ebb up` running? Its data "
                  "folder is given with --data, another file with --kubeconfig",
                  path);
    }
  }
  if (connection.ns.empty()) connection.ns = "default";
  return connection;
}

}  // namespace ebb::cli
