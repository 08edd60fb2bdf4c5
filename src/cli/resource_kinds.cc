#include "cli/resource_kinds.h"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>

#include "api/kinds.h"

namespace ebb::cli {

namespace {

bool same(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::tolower(x) == std::tolower(y);
  });
}

bool is_named(const api::Kind& kind, std::string_view name) {
  if (same(name, kind.plural) || same(name, kind.singular) || same(name, qualified(kind))) {
    return true;
  }
  return std::any_of(kind.short_names.begin(), kind.short_names.end(),
                     [name](std::string_view other) { return same(name, other); });
}

}  // namespace

const api::Kind& event_kind() {
  static const api::Kind kKind{"", "v1", "Event", "events", "event", {"ev"}};
  return kKind;
}

const api::Kind& autoscaler_kind() {
  static const api::Kind kKind{"autoscaling.internal.knative.dev",
                               "v1alpha1",
                               "PodAutoscaler",
                               "podautoscalers",
                               "podautoscaler",
                               {"kpa", "pa"}};
  return kKind;
}

const api::Kind* find_kind(std::string_view name) {
  if (const api::Kind* kind = api::find_kind(name)) return kind;
  for (const api::Kind* kind : {&event_kind(), &autoscaler_kind()}) {
    if (is_named(*kind, name)) return kind;
  }
  return nullptr;
}

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
