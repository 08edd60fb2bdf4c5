// The resources as C++ values: Service, Configuration, Revision and Route of
// serving.knative.dev/v1 in Knative's shape, and Pod and Node of the core group,
// which show what runs.
//
// from_json takes any JSON and answers kInvalid with the path of each field whose
// type is wrong; it neither sets defaults (defaults.h) nor checks meaning
// (validate.h). Fields without a member are kept in `extra` and written back by
// to_json, which leaves out what is empty. from_json(to_json(x)) == x.
//
// All are plain values: copied, compared, used on any thread.
//
//   auto service = api::Service::from_json(json);
//   api::apply_defaults(*service);
//   auto errors = api::validate(*service);
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"

namespace ebb::api {

// Labels and annotations that tie objects together.
inline constexpr std::string_view kServiceLabel = "serving.knative.dev/service";
inline constexpr std::string_view kConfigurationLabel = "serving.knative.dev/configuration";
inline constexpr std::string_view kConfigurationGenerationLabel =
    "serving.knative.dev/configurationGeneration";
inline constexpr std::string_view kRevisionLabel = "serving.knative.dev/revision";
inline constexpr std::string_view kRolloutDuration = "serving.knative.dev/rollout-duration";
inline constexpr std::string_view kVisibilityLabel = "networking.knative.dev/visibility";
inline constexpr std::string_view kProgressDeadline = "serving.knative.dev/progress-deadline";
// On a revision template: the code package, "sha256:" and 64 hex digits.
inline constexpr std::string_view kCodeAnnotation = "ebb.dev/code";
// On a revision template: "egress" (the default) or "none".
inline constexpr std::string_view kNetworkAnnotation = "ebb.dev/network";
// On a revision template: "true" lets pods without requests be frozen.
inline constexpr std::string_view kFreezeAnnotation = "ebb.dev/freeze";
// On a revision template: "true" keeps its code loaded once on a node, for pods to be forked
// from; "auto" where loading is slow and often done; "false" (the default) never does.
inline constexpr std::string_view kPreloadAnnotation = "ebb.dev/preload";
// On a revision template: which of its pods gets a request. "pack": the first that is not full;
// "spread": the least busy. Without: "pack" where containerConcurrency says what full is.
inline constexpr std::string_view kLoadBalancingAnnotation = "ebb.dev/load-balancing";
// On pods ("Cold", "Warm", "Draining") and nodes ("Idle", "Occupied", "Draining").
inline constexpr std::string_view kStateLabel = "ebb.dev/state";
// What an image must start with: "ebb.dev/runtimes/python".
inline constexpr std::string_view kRuntimeImagePrefix = "ebb.dev/runtimes/";

struct EnvVar {
  std::string name;
  std::string value;
  std::string extra;  // here and below: see ObjectMeta::extra
  friend bool operator==(const EnvVar&, const EnvVar&) = default;
};

struct ContainerPort {
  std::string name;  // "h2c" or "http1"; empty: http1
  int64_t container_port = 0;
  std::string extra;
  friend bool operator==(const ContainerPort&, const ContainerPort&) = default;
};

struct Resources {
  std::map<std::string, std::string> limits;  // "cpu", "memory" -> quantity (quantity.h)
  std::map<std::string, std::string> requests;
  std::string extra;
  friend bool operator==(const Resources&, const Resources&) = default;
};

struct Container {
  std::string name;
  std::string image;
  std::vector<std::string> command;
  std::vector<std::string> args;
  std::vector<EnvVar> env;
  std::vector<ContainerPort> ports;
  Resources resources;
  std::string extra;
  friend bool operator==(const Container&, const Container&) = default;
};

// What one instance of a revision is and how it is used.
struct RevisionSpec {
  std::vector<Container> containers;             // validated: exactly one
  std::optional<int64_t> container_concurrency;  // 0: unlimited
  std::optional<int64_t> timeout_seconds;        // the whole request
  std::optional<int64_t> response_start_timeout_seconds;
  std::optional<int64_t> idle_timeout_seconds;  // 0: none
  std::string extra;
  friend bool operator==(const RevisionSpec&, const RevisionSpec&) = default;
};

struct RevisionTemplate {
  ObjectMeta meta;  // name (optional), labels, annotations
  RevisionSpec spec;
  std::string extra;
  friend bool operator==(const RevisionTemplate&, const RevisionTemplate&) = default;
};

// One line of spec.traffic or status.traffic.
struct TrafficTarget {
  std::string tag;
  std::string revision_name;
  std::string configuration_name;  // routes only
  std::optional<bool> latest_revision;
  std::optional<int64_t> percent;
  std::string url;  // status only
  std::string extra;
  friend bool operator==(const TrafficTarget&, const TrafficTarget&) = default;
};

struct Service {
  struct Spec {
    RevisionTemplate revision_template;  // "template"
    std::vector<TrafficTarget> traffic;
    std::string extra;
    friend bool operator==(const Spec&, const Spec&) = default;
  };
  struct Status {
    std::vector<Condition> conditions;
    int64_t observed_generation = 0;
    std::string url;
    std::string address_url;  // "address.url"
    std::string latest_created_revision;
    std::string latest_ready_revision;
    std::vector<TrafficTarget> traffic;
    std::string extra;
    friend bool operator==(const Status&, const Status&) = default;
  };
  ObjectMeta meta;
  Spec spec;
  Status status;
  std::string extra;

  static const Kind& kind();
  static Result<Service> from_json(const Json& json);
  [[nodiscard]] Json to_json() const;
  friend bool operator==(const Service&, const Service&) = default;
};

struct Configuration {
  struct Spec {
    RevisionTemplate revision_template;
    std::string extra;
    friend bool operator==(const Spec&, const Spec&) = default;
  };
  struct Status {
    std::vector<Condition> conditions;
    int64_t observed_generation = 0;
    std::string latest_created_revision;
    std::string latest_ready_revision;
    std::string extra;
    friend bool operator==(const Status&, const Status&) = default;
  };
  ObjectMeta meta;
  Spec spec;
  Status status;
  std::string extra;

  static const Kind& kind();
  static Result<Configuration> from_json(const Json& json);
  [[nodiscard]] Json to_json() const;
  friend bool operator==(const Configuration&, const Configuration&) = default;
};

struct Revision {
  struct Status {
    std::vector<Condition> conditions;
    int64_t observed_generation = 0;
    int64_t actual_replicas = 0;
    int64_t desired_replicas = 0;
    std::string log_url;
    std::string extra;
    friend bool operator==(const Status&, const Status&) = default;
  };
  ObjectMeta meta;
  RevisionSpec spec;  // immutable
  Status status;
  std::string extra;

  static const Kind& kind();
  static Result<Revision> from_json(const Json& json);
  [[nodiscard]] Json to_json() const;
  friend bool operator==(const Revision&, const Revision&) = default;
};

struct Route {
  struct Spec {
    std::vector<TrafficTarget> traffic;
    std::string extra;
    friend bool operator==(const Spec&, const Spec&) = default;
  };
  struct Status {
    std::vector<Condition> conditions;
    int64_t observed_generation = 0;
    std::string url;
    std::string address_url;
    std::vector<TrafficTarget> traffic;
    std::string extra;
    friend bool operator==(const Status&, const Status&) = default;
  };
  ObjectMeta meta;
  Spec spec;
  Status status;
  std::string extra;

  static const Kind& kind();
  static Result<Route> from_json(const Json& json);
  [[nodiscard]] Json to_json() const;
  friend bool operator==(const Route&, const Route&) = default;
};

// One function instance, as `kubectl get pods` expects it. Live, never stored.
// Its state is the label kStateLabel, its revision the label kRevisionLabel.
struct Pod {
  struct Spec {
    std::string node_name;
    std::vector<Container> containers;
    std::string extra;
    friend bool operator==(const Spec&, const Spec&) = default;
  };
  struct Status {
    std::string phase;   // "Pending", "Running", "Succeeded", "Failed"
    std::string reason;  // one word, shown as STATUS if set: "Draining"
    std::string message;
    std::string start_time;  // RFC 3339
    bool ready = false;      // of all its containers
    int64_t restarts = 0;
    std::vector<Condition> conditions;
    std::string extra;
    friend bool operator==(const Status&, const Status&) = default;
  };
  ObjectMeta meta;
  Spec spec;
  Status status;
  std::string extra;

  static const Kind& kind();
  static Result<Pod> from_json(const Json& json);
  [[nodiscard]] Json to_json() const;
  friend bool operator==(const Pod&, const Pod&) = default;
};

// A machine that holds pods, as `kubectl get nodes` expects it. Its state is the
// label kStateLabel.
struct Node {
  struct Spec {
    bool unschedulable = false;  // draining
    std::string extra;
    friend bool operator==(const Spec&, const Spec&) = default;
  };
  struct Status {
    std::map<std::string, std::string> capacity;     // "cpu", "memory", "pods" -> quantity
    std::map<std::string, std::string> allocatable;  // what is left for pods in all
    std::vector<Condition> conditions;               // "Ready"
    std::string internal_ip;
    std::string version;  // of the Local Controller
    std::string extra;
    friend bool operator==(const Status&, const Status&) = default;
  };
  ObjectMeta meta;
  Spec spec;
  Status status;
  std::string extra;

  static const Kind& kind();
  static Result<Node> from_json(const Json& json);
  [[nodiscard]] Json to_json() const;
  friend bool operator==(const Node&, const Node&) = default;
};

}  // namespace ebb::api
