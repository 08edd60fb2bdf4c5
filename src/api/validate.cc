#include "api/validate.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/autoscaling.h"
#include "api/defaults.h"
#include "api/duration.h"
#include "api/json_fields.h"
#include "api/policy_annotations.h"
#include "api/quantity.h"

namespace ebb::api {
namespace {

using Errors = std::vector<FieldError>;

// Fields of a pod spec and a container that change nothing here: every pod has a
// sandbox of its own, is checked by its queue proxy, and pulls no image.
constexpr std::string_view kHarmlessSpecFields[] = {"enableServiceLinks", "serviceAccountName",
                                                    "automountServiceAccountToken",
                                                    "imagePullSecrets", "securityContext"};
constexpr std::string_view kHarmlessContainerFields[] = {
    "readinessProbe",  "livenessProbe",          "startupProbe",
    "imagePullPolicy", "terminationMessagePath", "terminationMessagePolicy",
    "securityContext"};
constexpr std::string_view kHarmlessPortFields[] = {"protocol"};
// Set by Ebb for every function.
constexpr std::string_view kReservedEnv[] = {"PORT", "K_SERVICE", "K_CONFIGURATION", "K_REVISION"};

template <class Range>
bool contains(const Range& range, std::string_view value) {
  for (auto one : range) {
    if (one == value) return true;
  }
  return false;
}

void invalid(Errors& errors, std::string path, std::string_view value, std::string_view why) {
  errors.push_back({std::move(path), fmt::format("Invalid value: \"{}\": {}", value, why)});
}

void invalid_number(Errors& errors, std::string path, int64_t value, int64_t least, int64_t most) {
  errors.push_back(
      {std::move(path), fmt::format("Invalid value: {}: must be in [{}, {}]", value, least, most)});
}

void refuse_unknown(Errors& errors, const std::string& path, const std::string& extra,
                    std::span<const std::string_view> harmless = {}) {
  if (extra.empty()) return;
  const Json unknown = object_with(extra);
  for (const auto& [name, value] : unknown.items()) {
    if (contains(harmless, name)) continue;
    errors.push_back({path.empty() ? name : fmt::format("{}.{}", path, name),
                      "Forbidden: unknown field, or one that Ebb does not support"});
  }
}

bool is_env_name(std::string_view name) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
  for (char c : name) {
    bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                c == '_' || c == '-' || c == '.';
    if (!good) return false;
  }
  return true;
}

constexpr std::string_view kDns1035Rule =
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
    "alphabetic character, end with an alphanumeric character, and have at most 63 characters "
    "(e.g. 'my-name' or 'abc-123')";

void check_name(Errors& errors, std::string path, std::string_view name) {
  if (name.empty()) {
    errors.push_back({std::move(path), "Required value: name is required"});
  } else if (!is_dns1035_label(name)) {
    invalid(errors, std::move(path), name, kDns1035Rule);
  }
}

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// ([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9], at most 63 characters.
bool is_label_word(std::string_view text) {
  if (text.empty() || text.size() > kMaxNameLength) return false;
  if (!is_alphanumeric(text.front()) || !is_alphanumeric(text.back())) return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return is_alphanumeric(c) || c == '-' || c == '_' || c == '.'; });
}

// Lower-case DNS labels joined by dots.
bool is_dns_subdomain(std::string_view text) {
  constexpr size_t kMaxSubdomain = 253;
  if (text.empty() || text.size() > kMaxSubdomain) return false;
  bool inside = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    const bool next_is_word = i + 1 < text.size() && text[i + 1] != '.';
    if (!word && !(inside && c == '-' && next_is_word) && !(inside && c == '.')) return false;
    inside = c != '.';
  }
  return inside;
}

bool is_qualified_name(std::string_view key) {
  const auto slash = key.find('/');
  if (slash == std::string_view::npos) return is_label_word(key);
  return is_dns_subdomain(key.substr(0, slash)) && is_label_word(key.substr(slash + 1));
}

constexpr std::string_view kKeyRule =
    "a key must be letters, digits, '-', '_' or '.', at most 63 of them, beginning and ending with "
    "a letter or digit, with an optional DNS name and '/' before it (e.g. 'example.com/my-name')";
constexpr std::string_view kLabelRule =
    "a label must be empty, or letters, digits, '-', '_' or '.', at most 63 of them, beginning and "
    "ending with a letter or digit (e.g. 'my_value')";

// Kubernetes' rules for labels and annotations.
void check_marks(Errors& errors, const std::string& path, const ObjectMeta& meta) {
  for (const auto& [key, value] : meta.labels) {
    if (!is_qualified_name(key)) invalid(errors, path + ".labels", key, kKeyRule);
    if (!value.empty() && !is_label_word(value)) {
      invalid(errors, fmt::format("{}.labels[{}]", path, key), value, kLabelRule);
    }
  }
  size_t bytes = 0;
  for (const auto& [key, value] : meta.annotations) {
    bytes += key.size() + value.size();
    if (!is_qualified_name(key)) invalid(errors, path + ".annotations", key, kKeyRule);
  }
  if (bytes > kMaxAnnotationBytes) {
    errors.push_back({path + ".annotations",
                      fmt::format("Too long: must have at most {} bytes", kMaxAnnotationBytes)});
  }
}

// What only Services, Routes and Configurations may say of their routing.
void check_routing_marks(Errors& errors, const ObjectMeta& meta) {
  if (const auto rollout = meta.annotation(kRolloutDuration); !rollout.empty()) {
    const auto value = parse_duration(rollout);
    if (!value || *value < Duration(0) || *value % std::chrono::seconds(1) != Duration(0)) {
      invalid(errors, fmt::format("metadata.annotations[{}]", kRolloutDuration), rollout,
              "must be whole seconds, such as 30s");
    }
  }
  const auto visibility = meta.labels.find(std::string(kVisibilityLabel));
  if (visibility != meta.labels.end() && visibility->second != "cluster-local") {
    invalid(errors, fmt::format("metadata.labels[{}]", kVisibilityLabel), visibility->second,
            "must be \"cluster-local\"");
  }
}

void check_meta(Errors& errors, const ObjectMeta& meta) {
  check_name(errors, "metadata.name", meta.name);
  if (!is_dns1035_label(meta.ns)) invalid(errors, "metadata.namespace", meta.ns, kDns1035Rule);
  check_marks(errors, "metadata", meta);
}

// On a Service, Configuration or Route autoscaling annotations have no effect.
void refuse_autoscaling(Errors& errors, const ObjectMeta& meta) {
  for (const auto& [key, value] : meta.annotations) {
    if (is_scaling_annotation(key)) {
      errors.push_back({"metadata.annotations[" + key + "]",
                        "Forbidden: autoscaling annotations must be put under "
                        "\"spec.template.metadata.annotations\" to work"});
    }
  }
}

void check_quantities(Errors& errors, const std::string& path,
                      const std::map<std::string, std::string>& quantities) {
  for (const auto& [name, text] : quantities) {
    std::string at = fmt::format("{}.{}", path, name);
    if (name != "cpu" && name != "memory") {
      errors.push_back({at, "Forbidden: only cpu and memory can be set"});
      continue;
    }
    auto value = name == "cpu" ? parse_millicores(text) : parse_bytes(text);
    if (!value) {
      invalid(errors, at, text, value.error().message);
    } else if (*value == 0 && path.ends_with("limits")) {
      invalid(errors, at, text, "must be greater than zero");
    }
  }
}

void check_resources(Errors& errors, const std::string& path, const Resources& resources) {
  check_quantities(errors, path + ".limits", resources.limits);
  check_quantities(errors, path + ".requests", resources.requests);
  for (const auto& [name, request] : resources.requests) {
    auto limit = resources.limits.find(name);
    if (limit == resources.limits.end()) continue;
    auto parse = name == "cpu" ? parse_millicores : parse_bytes;
    auto want = parse(request);
    auto most = parse(limit->second);
    if (want && most && *want > *most) {
      invalid(errors, fmt::format("{}.requests.{}", path, name), request,
              fmt::format("must be less than or equal to {} limit of {}", name, limit->second));
    }
  }
  refuse_unknown(errors, path, resources.extra);
}

void check_env(Errors& errors, const std::string& path, const std::vector<EnvVar>& env) {
  if (env.size() > kMaxEnvVars) {
    errors.push_back(
        {path, fmt::format("Too many: {}: must have at most {} items", env.size(), kMaxEnvVars)});
    return;
  }
  for (size_t i = 0; i < env.size(); ++i) {
    std::string at = fmt::format("{}[{}]", path, i);
    const auto& name = env[i].name;
    if (name.empty()) {
      errors.push_back({at + ".name", "Required value: name is required"});
    } else if (!is_env_name(name)) {
      invalid(errors, at + ".name", name,
              "must consist of letters, digits, '_', '-' or '.', and not start with a digit");
    } else if (contains(kReservedEnv, name)) {
      invalid(errors, at + ".name", name, "is a reserved environment variable");
    }
    if (env[i].value.find('\0') != std::string::npos) {
      errors.push_back({at + ".value", "Invalid value: must not contain NUL"});
    }
    refuse_unknown(errors, at, env[i].extra);
  }
}

void check_ports(Errors& errors, const std::string& path, const std::vector<ContainerPort>& ports) {
  if (ports.size() > 1) {
    errors.push_back({path, "Too many: more than one container port is set"});
    return;
  }
  for (const auto& port : ports) {
    std::string at = path + "[0]";
    // 0 means unset, as in Kubernetes' own defaulting for Knative: $PORT says.
    if (port.container_port < 0 || port.container_port > 65535) {
      invalid_number(errors, at + ".containerPort", port.container_port, 0, 65535);
    }
    if (!port.name.empty() && port.name != "h2c" && port.name != "http1") {
      invalid(errors, at + ".name", port.name, "must be empty, \"h2c\" or \"http1\"");
    }
    refuse_unknown(errors, at, port.extra, kHarmlessPortFields);
  }
}

void check_image(Errors& errors, const std::string& path, const std::string& image) {
  if (image.empty()) {
    errors.push_back({path, "Required value: image is required"});
    return;
  }
  bool runtime = image.starts_with(kRuntimeImagePrefix) &&
                 is_dns1035_label(std::string_view(image).substr(kRuntimeImagePrefix.size()));
  if (!runtime) {
    invalid(errors, path, image,
            "must be a runtime of Ebb, such as ebb.dev/runtimes/python; container images need "
            "Kubernetes");
  }
}

void check_container(Errors& errors, const std::string& path, const Container& container) {
  if (!container.name.empty() && !is_dns1035_label(container.name)) {
    invalid(errors, path + ".name", container.name, kDns1035Rule);
  }
  check_image(errors, path + ".image", container.image);
  check_env(errors, path + ".env", container.env);
  check_ports(errors, path + ".ports", container.ports);
  check_resources(errors, path + ".resources", container.resources);
  refuse_unknown(errors, path, container.extra, kHarmlessContainerFields);
}

void check_timeouts(Errors& errors, const std::string& path, const RevisionSpec& spec) {
  int64_t timeout = spec.timeout_seconds.value_or(kDefaultTimeoutSeconds);
  if (timeout < 0 || timeout > kMaxTimeoutSeconds) {
    invalid_number(errors, path + ".timeoutSeconds", timeout, 0, kMaxTimeoutSeconds);
  }
  struct Part {
    const char* name;
    std::optional<int64_t> value;
  };
  for (const auto& part :
       {Part{".responseStartTimeoutSeconds", spec.response_start_timeout_seconds},
        Part{".idleTimeoutSeconds", spec.idle_timeout_seconds}}) {
    if (!part.value) continue;
    if (*part.value < 0 || *part.value > kMaxTimeoutSeconds) {
      invalid_number(errors, path + part.name, *part.value, 0, kMaxTimeoutSeconds);
    }
  }
}

void check_revision_spec(Errors& errors, const std::string& path, const RevisionSpec& spec) {
  std::string containers = path + ".containers";
  if (spec.containers.empty()) {
    errors.push_back({containers, "Required value: one container is required"});
  } else if (spec.containers.size() > 1) {
    errors.push_back({containers, fmt::format("Too many: {}: must have at most 1 item",
                                              spec.containers.size())});
  } else {
    check_container(errors, containers + "[0]", spec.containers[0]);
  }
  int64_t concurrency = spec.container_concurrency.value_or(0);
  if (concurrency < 0 || concurrency > kMaxContainerConcurrency) {
    invalid_number(errors, path + ".containerConcurrency", concurrency, 0,
                   kMaxContainerConcurrency);
  }
  check_timeouts(errors, path, spec);
  refuse_unknown(errors, path, spec.extra, kHarmlessSpecFields);
}

void check_revision_annotations(Errors& errors, const std::string& path, const ObjectMeta& meta) {
  (void)parse_autoscaling(meta.annotations, path, errors);
  (void)parse_policy(meta.annotations, path, errors);
  (void)parse_progress_deadline(meta.annotations, path, errors);
  auto code = meta.annotations.find(std::string(kCodeAnnotation));
  if (code != meta.annotations.end() && !is_code_digest(code->second)) {
    invalid(errors, path + "[" + code->first + "]", code->second,
            "must be \"sha256:\" and 64 lower-case hex digits");
  }
  auto network = meta.annotations.find(std::string(kNetworkAnnotation));
  if (network != meta.annotations.end() && network->second != "egress" &&
      network->second != "none") {
    invalid(errors, path + "[" + network->first + "]", network->second,
            "must be \"egress\" or \"none\"");
  }
  auto freeze = meta.annotations.find(std::string(kFreezeAnnotation));
  if (freeze != meta.annotations.end() && freeze->second != "true" && freeze->second != "false") {
    invalid(errors, path + "[" + freeze->first + "]", freeze->second,
            "must be \"true\" or \"false\"");
  }
  auto preload = meta.annotations.find(std::string(kPreloadAnnotation));
  if (preload != meta.annotations.end() && preload->second != "true" &&
      preload->second != "false" && preload->second != "auto") {
    invalid(errors, path + "[" + preload->first + "]", preload->second,
            "must be \"true\", \"auto\" or \"false\"");
  }
  auto balancing = meta.annotations.find(std::string(kLoadBalancingAnnotation));
  if (balancing != meta.annotations.end() && balancing->second != "pack" &&
      balancing->second != "spread") {
    invalid(errors, path + "[" + balancing->first + "]", balancing->second,
            "must be \"pack\" or \"spread\"");
  }
}

void check_template(Errors& errors, const std::string& owner, const RevisionTemplate& revision) {
  const std::string path = "spec.template";
  const auto& name = revision.meta.name;
  if (!name.empty()) {
    std::string prefix = owner + "-";
    check_name(errors, path + ".metadata.name", name);
    if (!name.starts_with(prefix) || name.size() == prefix.size()) {
      invalid(errors, path + ".metadata.name", name,
              fmt::format("must have prefix \"{}\"", prefix));
    }
  }
  check_marks(errors, path + ".metadata", revision.meta);
  check_revision_annotations(errors, path + ".metadata.annotations", revision.meta);
  check_revision_spec(errors, path + ".spec", revision.spec);
  refuse_unknown(errors, path, revision.extra);
}

// Which revision a target names: a Service's targets name no configuration.
void check_target(Errors& errors, const std::string& at, const TrafficTarget& target,
                  bool of_route) {
  bool latest = target.latest_revision.value_or(target.revision_name.empty());
  if (!target.configuration_name.empty()) {
    if (!of_route) {
      errors.push_back({at + ".configurationName", "Forbidden: must not be set in a Service"});
    } else if (!target.revision_name.empty()) {
      errors.push_back({at,
                        "Invalid value: expected exactly one of revisionName and "
                        "configurationName, got both"});
    }
    check_name(errors, at + ".configurationName", target.configuration_name);
  } else if (of_route && target.revision_name.empty()) {
    errors.push_back({at,
                      "Required value: expected exactly one of revisionName and "
                      "configurationName, got neither"});
  }
  if (!target.revision_name.empty()) {
    check_name(errors, at + ".revisionName", target.revision_name);
    if (latest) {
      errors.push_back({at + ".latestRevision",
                        "Invalid value: true: must not be true when revisionName is set"});
    }
  } else if (!latest) {
    errors.push_back({at + ".latestRevision",
                      "Invalid value: false: may only be false when revisionName is set"});
  }
  if (!target.url.empty()) errors.push_back({at + ".url", "Forbidden: must not be set in spec"});
  refuse_unknown(errors, at, target.extra);
}

void check_traffic(Errors& errors, const std::vector<TrafficTarget>& traffic, bool of_route,
                   const std::string& name) {
  const std::string path = "spec.traffic";
  if (traffic.empty()) {
    errors.push_back({path, "Required value: at least one traffic target is required"});
    return;
  }
  if (traffic.size() > kMaxTrafficTargets) {
    errors.push_back({path, fmt::format("Too many: {}: must have at most {} items", traffic.size(),
                                        kMaxTrafficTargets)});
    return;
  }
  constexpr size_t kMaxHostLabel = 63;
  constexpr int64_t kMostPercent = 1'000'000'000;  // so that no sum of them overflows
  int64_t sum = 0;
  std::set<std::string_view> tags;
  for (size_t i = 0; i < traffic.size(); ++i) {
    const auto& target = traffic[i];
    std::string at = fmt::format("{}[{}]", path, i);
    check_target(errors, at, target, of_route);
    const int64_t percent = target.percent.value_or(0);
    if (percent < 0 || percent > 100) {
      invalid_number(errors, at + ".percent", percent, 0, 100);
    }
    sum += std::clamp(percent, -kMostPercent, kMostPercent);
    if (target.tag.empty()) continue;
    if (!is_dns1035_label(target.tag)) {
      invalid(errors, at + ".tag", target.tag, kDns1035Rule);
    } else if (target.tag.size() + 1 + name.size() > kMaxHostLabel) {
      invalid(errors, at + ".tag", target.tag,
              fmt::format("with the name it makes the host {}-{}, of which no part may be longer "
                          "than {} characters",
                          target.tag, name, kMaxHostLabel));
    }
    if (!tags.insert(target.tag).second) {
      errors.push_back({at + ".tag", fmt::format("Duplicate value: \"{}\"", target.tag)});
    }
  }
  if (sum != 100) {
    errors.push_back(
        {path, fmt::format("Invalid value: {}: traffic percentages must sum to 100", sum)});
  }
}

void check_named_template(Errors& errors, const RevisionTemplate& before,
                          const RevisionTemplate& after) {
  if (after.meta.name.empty() || before.meta.name != after.meta.name || before == after) return;
  invalid(errors, "spec.template.metadata.name", after.meta.name,
          "the template changed and so must its name: revisions are immutable");
}

}  // namespace

bool is_dns1035_label(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameLength) return false;
  auto lower = [](char c) { return c >= 'a' && c <= 'z'; };
  auto digit = [](char c) { return c >= '0' && c <= '9'; };
  if (!lower(name.front()) || name.back() == '-') return false;
  for (char c : name) {
    if (!lower(c) && !digit(c) && c != '-') return false;
  }
  return true;
}

bool is_code_digest(std::string_view text) {
  constexpr std::string_view kPrefix = "sha256:";
  constexpr size_t kHexDigits = 64;
  if (!text.starts_with(kPrefix) || text.size() != kPrefix.size() + kHexDigits) return false;
  return text.find_first_not_of("0123456789abcdef", kPrefix.size()) == std::string_view::npos;
}

std::vector<FieldError> validate(const Service& service) {
  Errors errors;
  check_meta(errors, service.meta);
  refuse_autoscaling(errors, service.meta);
  check_routing_marks(errors, service.meta);
  check_template(errors, service.meta.name, service.spec.revision_template);
  check_traffic(errors, service.spec.traffic, false, service.meta.name);
  refuse_unknown(errors, "spec", service.spec.extra);
  refuse_unknown(errors, "", service.extra);
  return errors;
}

std::vector<FieldError> validate(const Configuration& configuration) {
  Errors errors;
  check_meta(errors, configuration.meta);
  refuse_autoscaling(errors, configuration.meta);
  check_routing_marks(errors, configuration.meta);
  check_template(errors, configuration.meta.name, configuration.spec.revision_template);
  refuse_unknown(errors, "spec", configuration.spec.extra);
  refuse_unknown(errors, "", configuration.extra);
  return errors;
}

std::vector<FieldError> validate(const Revision& revision) {
  Errors errors;
  check_meta(errors, revision.meta);
  check_revision_annotations(errors, "metadata.annotations", revision.meta);
  check_revision_spec(errors, "spec", revision.spec);
  refuse_unknown(errors, "", revision.extra);
  return errors;
}

std::vector<FieldError> validate(const Route& route) {
  Errors errors;
  check_meta(errors, route.meta);
  refuse_autoscaling(errors, route.meta);
  check_routing_marks(errors, route.meta);
  check_traffic(errors, route.spec.traffic, true, route.meta.name);
  refuse_unknown(errors, "spec", route.spec.extra);
  refuse_unknown(errors, "", route.extra);
  return errors;
}

std::vector<FieldError> validate_update(const Service& before, const Service& after) {
  Errors errors;
  check_named_template(errors, before.spec.revision_template, after.spec.revision_template);
  return errors;
}

std::vector<FieldError> validate_update(const Configuration& before, const Configuration& after) {
  Errors errors;
  check_named_template(errors, before.spec.revision_template, after.spec.revision_template);
  return errors;
}

std::vector<FieldError> validate_update(const Revision& before, const Revision& after) {
  if (before.spec == after.spec) return {};
  return {{"spec", "Forbidden: the spec of a revision is immutable"}};
}

std::vector<FieldError> validate_update(const Route& /*before*/, const Route& /*after*/) {
  return {};
}

void check_object_meta(std::vector<FieldError>& errors, const ObjectMeta& meta) {
  check_meta(errors, meta);
}

void refuse_unknown_fields(std::vector<FieldError>& errors, const std::string& path,
                           const std::string& extra) {
  refuse_unknown(errors, path, extra);
}

}  // namespace ebb::api
