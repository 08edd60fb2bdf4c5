#include "api/defaults.h"

namespace ebb::api {
namespace {

void apply_traffic_defaults(std::vector<TrafficTarget>& traffic) {
  for (auto& target : traffic) {
    if (!target.latest_revision && target.revision_name.empty()) target.latest_revision = true;
  }
}

void apply_namespace(ObjectMeta& meta) {
  if (meta.ns.empty()) meta.ns = kDefaultNamespace;
}

}  // namespace

void apply_defaults(RevisionSpec& spec) {
  if (!spec.container_concurrency) spec.container_concurrency = 0;
  if (spec.timeout_seconds.value_or(0) == 0) spec.timeout_seconds = kDefaultTimeoutSeconds;
  if (!spec.response_start_timeout_seconds) {
    spec.response_start_timeout_seconds =
        std::min(kDefaultResponseStartTimeoutSeconds, *spec.timeout_seconds);
  }
}

void apply_defaults(Service& service) {
  apply_namespace(service.meta);
  apply_defaults(service.spec.revision_template.spec);
  if (service.spec.traffic.empty()) {
    auto& all = service.spec.traffic.emplace_back();
    all.latest_revision = true;
    all.percent = 100;
  }
  apply_traffic_defaults(service.spec.traffic);
}

void apply_defaults(Configuration& configuration) {
  apply_namespace(configuration.meta);
  apply_defaults(configuration.spec.revision_template.spec);
}

void apply_defaults(Revision& revision) {
  apply_namespace(revision.meta);
  apply_defaults(revision.spec);
}

void apply_defaults(Route& route) {
  apply_namespace(route.meta);
  apply_traffic_defaults(route.spec.traffic);
}

}  // namespace ebb::api
