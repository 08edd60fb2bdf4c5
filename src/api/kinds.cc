#include "api/kinds.h"

#include <array>

#include "api/event.h"
#include "api/hpa.h"
#include "api/pod_autoscaler.h"
#include "api/types.h"
#include "api/usage.h"

namespace ebb::api {
namespace {

constexpr std::string_view kServing = "serving.knative.dev";

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

bool is_named(const Kind& kind, std::string_view name) {
  if (same(name, kind.plural) || same(name, kind.singular) || same(name, kind.kind)) return true;
  for (auto short_name : kind.short_names) {
    if (same(name, short_name)) return true;
  }
  return false;
}

}  // namespace

const Kind& Service::kind() {
  static const Kind kKind{kServing, "v1", "Service", "services", "service", {"ksvc", "kservice"}};
  return kKind;
}

const Kind& Configuration::kind() {
  static const Kind kKind{
      kServing, "v1", "Configuration", "configurations", "configuration", {"cfg", "config"}};
  return kKind;
}

const Kind& Revision::kind() {
  static const Kind kKind{kServing, "v1", "Revision", "revisions", "revision", {"rev"}};
  return kKind;
}

const Kind& Route::kind() {
  static const Kind kKind{kServing, "v1", "Route", "routes", "route", {"rt"}};
  return kKind;
}

const Kind& Pod::kind() {
  static const Kind kKind{"", "v1", "Pod", "pods", "pod", {"po"}};
  return kKind;
}

const Kind& Node::kind() {
  static const Kind kKind{"", "v1", "Node", "nodes", "node", {"no"}, false};
  return kKind;
}

std::span<const Kind* const> all_kinds() {
  static const std::array kKinds{
      &Service::kind(), &Configuration::kind(), &Revision::kind(), &Route::kind(), &Pod::kind(),
      &Node::kind(), &HorizontalPodAutoscaler::kind(), &Event::kind(), &PodAutoscaler::kind(),
      // Last: "pods" alone are the core group's.
      &PodMetrics::kind(), &NodeMetrics::kind()};
  return kKinds;
}

const Kind* find_kind(std::string_view name) {
  for (const auto* kind : all_kinds()) {
    if (is_named(*kind, name)) return kind;
    auto dot = name.find('.');
    if (dot != std::string_view::npos && same(name.substr(dot + 1), kind->group) &&
        is_named(*kind, name.substr(0, dot))) {
      return kind;
    }
  }
  return nullptr;
}

const Kind* find_kind(std::string_view group, std::string_view version, std::string_view plural) {
  for (const auto* kind : all_kinds()) {
    if (kind->group == group && kind->version == version && kind->plural == plural) return kind;
  }
  return nullptr;
}

const Kind* find_kind_of(std::string_view api_version, std::string_view kind) {
  for (const auto* candidate : all_kinds()) {
    if (candidate->kind == kind && candidate->api_version() == api_version) return candidate;
  }
  return nullptr;
}

}  // namespace ebb::api
