#include "api/pod_autoscaler.h"

#include <cmath>

#include "api/json_fields.h"

namespace ebb::api {
namespace {

// Averages are shown with three decimals.
double rounded(double value) {
  constexpr double kDecimals = 1000;
  return std::round(value * kDecimals) / kDecimals;
}

}  // namespace

const Kind& PodAutoscaler::kind() {
  static const Kind kKind{"autoscaling.internal.knative.dev",
                          "v1alpha1",
                          "PodAutoscaler",
                          "podautoscalers",
                          "podautoscaler",
                          {"kpa", "pa"}};
  return kKind;
}

Json PodAutoscaler::to_json() const {
  Json json = Json::object();
  json["apiVersion"] = kind().api_version();
  json["kind"] = kind().kind;
  json["metadata"] = write_meta(meta);
  Json& target = json["spec"]["scaleTargetRef"];
  target["apiVersion"] = "serving.knative.dev/v1";
  target["kind"] = "Revision";
  target["name"] = meta.name;
  Json& to = json["status"];
  to["desiredScale"] = status.desired_scale;
  to["actualScale"] = status.actual_scale;
  to["starting"] = status.starting;
  to["inFlight"] = status.in_flight;
  to["waiting"] = status.waiting;
  to["concurrency"] = rounded(status.concurrency);
  to["requestsPerSecond"] = rounded(status.requests_per_second);
  to["panic"] = status.panic;
  to["reason"] = status.reason;
  to["startSeconds"] = rounded(status.start_seconds);
  write(to, "error", status.error);
  write(to, "decidedAt", status.decided_at);
  return json;
}

}  // namespace ebb::api
