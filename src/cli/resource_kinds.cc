#include "cli/resource_kinds.h"

#include <fmt/core.h>

#include <cctype>

namespace ebb::cli {

std::string path_of(const api::Kind& kind, const std::string& ns, const std::string& name) {
  std::string path = kind.group.empty() ? "/api" : "/apis/" + std::string(kind.group);
  path.append("/").append(kind.version);
  if (kind.namespaced && !ns.empty()) path += "/namespaces/" + ns;
  path.append("/").append(kind.plural);
  if (!name.empty()) path += "/" + name;
  return path;
}

std::string qualified(const api::Kind& kind) {
  std::string out(kind.singular);
  if (!kind.group.empty()) out.append(".").append(kind.group);
  return out;
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const unsigned char c : text) {
    if (std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_' || c == '~') {
      out += static_cast<char>(c);
    } else {
      out += fmt::format("%{:02X}", c);
    }
  }
  return out;
}

}  // namespace ebb::cli
