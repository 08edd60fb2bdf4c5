#include "control/revision_host.h"

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "api/autoscaling.h"
#include "api/policy_annotations.h"
#include "api/quantity.h"
#include "base/log.h"
#include "base/quote.h"
#include "control/routing_labels.h"

namespace ebb::control {
namespace {

// How long loading the code may take, unless serving.knative.dev/progress-deadline
// says otherwise. Knative's 600 s are made for pulling images.
constexpr Duration kStartDeadline = std::chrono::seconds(30);

Result<void> read_resources(const std::map<std::string, std::string>& amounts,
                            uint64_t& memory_bytes, uint32_t& cpu_millis) {
  if (const auto memory = amounts.find("memory"); memory != amounts.end()) {
    const auto bytes = api::parse_bytes(memory->second);
    if (!bytes) return fail(bytes.error());
    memory_bytes = static_cast<uint64_t>(*bytes);
  }
  if (const auto cpu = amounts.find("cpu"); cpu != amounts.end()) {
    const auto millis = api::parse_millicores(cpu->second);
    if (!millis) return fail(millis.error());
    cpu_millis = static_cast<uint32_t>(*millis);
  }
  return {};
}

Result<void> set_resources(const api::Container& container, scheduling::PodTemplate& pod) {
  const auto& resources = container.resources;
  auto set = read_resources(resources.limits, pod.memory_bytes, pod.cpu_millis);
  if (!set) return set;
  return read_resources(resources.requests, pod.memory_request, pod.cpu_request_millis);
}

// The path of readinessProbe.httpGet, if the container has one.
std::string probe_path(const api::Container& container) {
  const auto rest = nlohmann::json::parse(container.extra, nullptr, /*allow_exceptions=*/false);
  if (!rest.is_object() || !rest.contains("readinessProbe")) return {};
  const auto& probe = rest["readinessProbe"];
  if (!probe.is_object() || !probe.contains("httpGet") || !probe["httpGet"].is_object()) return {};
  const auto path = probe["httpGet"].find("path");
  if (path == probe["httpGet"].end() || !path->is_string()) return "/";
  const std::string text = *path;
  return text.starts_with('/') ? text : "/" + text;
}

serving::Balancing balancing_of(const api::Revision& revision) {
  const auto wish = revision.meta.annotation(api::kLoadBalancingAnnotation);
  return wish == "pack"     ? serving::Balancing::kPack
         : wish == "spread" ? serving::Balancing::kSpread
                            : serving::Balancing::kByLimit;
}

Annotations scaling_annotations(const Annotations& all) {
  Annotations out;
  for (const auto& [key, value] : all) {
    if (api::is_scaling_annotation(key)) out.emplace(key, value);
  }
  return out;
}

}  // namespace

Result<ScalePlan> plan_for(const api::Revision& revision, const Annotations& defaults,
                           std::vector<OutsideNeed>* needs, scheduling::Preload preload) {
  if (revision.spec.containers.size() != 1) {
    return fail(Errc::kInvalid, "a revision has exactly one container");
  }
  const api::Container& container = revision.spec.containers.front();
  if (!container.image.starts_with(api::kRuntimeImagePrefix)) {
    return fail(Errc::kInvalid, "the image {} is not {}NAME", in_quotes(container.image),
                api::kRuntimeImagePrefix);
  }
  const std::string_view code = revision.meta.annotation(api::kCodeAnnotation);
  constexpr std::string_view kAlgorithm = "sha256:";
  if (!code.starts_with(kAlgorithm)) {
    return fail(Errc::kInvalid, "the annotation {} is missing: it names the code",
                api::kCodeAnnotation);
  }
  const auto label = [&](std::string_view key) {
    const auto found = revision.meta.labels.find(std::string(key));
    return found == revision.meta.labels.end() ? std::string() : found->second;
  };

  scheduling::PodTemplate pod;
  pod.revision = revision.meta.uid;
  pod.ns = revision.meta.ns;
  pod.name = revision.meta.name;
  pod.service = label(api::kServiceLabel);
  pod.service_uid = label(kServiceUidLabel);
  pod.configuration = label(api::kConfigurationLabel);
  pod.runtime = container.image.substr(api::kRuntimeImagePrefix.size());
  pod.code = code.substr(kAlgorithm.size());
  pod.command = container.command;
  pod.args = container.args;
  if (!container.ports.empty()) {
    pod.port = static_cast<uint32_t>(container.ports.front().container_port);
    pod.h2c = container.ports.front().name == "h2c";
  }
  pod.probe_path = probe_path(container);
  pod.freeze = revision.meta.annotation(api::kFreezeAnnotation) == "true";
  pod.preload = preload;
  if (const auto wish = revision.meta.annotation(api::kPreloadAnnotation); !wish.empty()) {
    pod.preload = wish == "true"   ? scheduling::Preload::kAlways
                  : wish == "auto" ? scheduling::Preload::kAutomatic
                                   : scheduling::Preload::kNever;
  }
  pod.egress = revision.meta.annotation(api::kNetworkAnnotation) != "none";
  for (const auto& variable : container.env) pod.env[variable.name] = variable.value;
  pod.env["K_SERVICE"] = pod.service;
  pod.env["K_CONFIGURATION"] = pod.configuration;
  pod.env["K_REVISION"] = pod.name;
  const int concurrency = static_cast<int>(revision.spec.container_concurrency.value_or(0));
  pod.concurrency = static_cast<uint32_t>(concurrency);
  pod.start_deadline = kStartDeadline;
  std::vector<api::FieldError> errors;
  if (revision.meta.annotations.contains(std::string(api::kProgressDeadline))) {
    pod.start_deadline =
        api::parse_progress_deadline(revision.meta.annotations, "metadata", errors);
  }
  if (auto set = set_resources(container, pod); !set) return fail(set.error());

  ScalePlan plan;
  plan_scaling({scaling_annotations(revision.meta.annotations), defaults}, pod, plan, errors,
               nullptr, needs);
  if (!errors.empty()) {
    return fail(Errc::kInvalid, "{}: {}", errors.front().path, errors.front().message);
  }
  plan.pod = std::make_shared<const scheduling::PodTemplate>(std::move(pod));
  plan.generation = std::atoll(label(api::kConfigurationGenerationLabel).c_str());
  return plan;
}

RevisionHost::RevisionHost(serving::Traffic& traffic, scheduling::PodSource& pods,
                           AutoScaler& autoscaler, const Clock& clock, Annotations defaults,
                           PolicyFolder* policies, OutsideMetrics* outside,
                           scheduling::Preload preload)
    : traffic_(traffic),
      pods_(pods),
      autoscaler_(autoscaler),
      clock_(clock),
      defaults_(std::move(defaults)),
      policies_(policies),
      outside_(outside),
      preload_(preload) {}

Result<void> RevisionHost::add(const api::Revision& revision) {
  const std::string& uid = revision.meta.uid;
  if (hosted_.contains(uid)) return {};
  std::vector<OutsideNeed> needs;
  auto plan = plan_for(revision, defaults_, &needs, preload_);
  if (!plan) return fail(plan.error());
  plan->outside = sources(needs);

  const auto seconds = [](const std::optional<int64_t>& value, int64_t otherwise) {
    return std::chrono::seconds(value.value_or(otherwise));
  };
  serving::Backend backend;
  backend.name = revision.meta.name;
  backend.timeout = seconds(revision.spec.timeout_seconds, 300);
  backend.response_start = seconds(revision.spec.response_start_timeout_seconds, 300);
  backend.idle = seconds(revision.spec.idle_timeout_seconds, 0);
  backend.throttler = std::make_shared<serving::Throttler>(
      serving::ThrottlerOptions{.revision = uid,
                                .concurrency = static_cast<int>(plan->pod->concurrency),
                                .h2c = plan->pod->h2c,
                                .balancing = balancing_of(revision),
                                .pod_target = plan->pod_target,
                                .budget = traffic_.budget()},
      pods_, clock_, [this, uid](const std::string& /*pod*/, const std::string& error) {
        autoscaler_.start_ended(uid, error);
      });
  backend.metrics = traffic_.add(
      backend.throttler,
      {.ns = plan->pod->ns, .service = plan->pod->service, .revision = plan->pod->name});
  pods_.subscribe(plan->pod, backend.throttler);
  auto own = scaling_annotations(revision.meta.annotations);
  plan->policy = shared_.get({own, defaults_}, *plan->pod, plan->policy, policies_);
  auto pod = plan->pod;
  autoscaler_.add(std::move(*plan));
  hosted_.emplace(
      uid,
      Hosted{
          .backend = std::move(backend), .own = std::move(own), .pod = std::move(pod), .hpa = {}});
  return {};
}

void RevisionHost::set_defaults(Annotations defaults) {
  const Annotations before = std::exchange(defaults_, std::move(defaults));
  if (before == defaults_) return;
  for (const auto& [uid, hosted] : hosted_) {
    if (ScaleAnnotations(hosted.own, defaults_) != ScaleAnnotations(hosted.own, before)) {
      replan(uid, hosted);
    }
  }
}

void RevisionHost::set_annotations(const std::string& uid, const Annotations& annotations) {
  const auto found = hosted_.find(uid);
  if (found == hosted_.end()) return;
  auto own = scaling_annotations(annotations);
  if (own == found->second.own) return;
  found->second.own = std::move(own);
  replan(uid, found->second);
}

void RevisionHost::set_hpa(const std::string& uid, std::shared_ptr<const HpaWish> wish) {
  const auto found = hosted_.find(uid);
  if (found == hosted_.end() || found->second.hpa == wish) return;
  found->second.hpa = std::move(wish);
  replan(uid, found->second);
}

void RevisionHost::replan(const std::string& uid, const Hosted& hosted) {
  const ScaleAnnotations annotations(hosted.own, defaults_);
  ScalePlan plan;
  std::vector<api::FieldError> errors;
  std::vector<OutsideNeed> needs;
  plan_scaling(annotations, *hosted.pod, plan, errors, hosted.hpa.get(), &needs);
  if (!errors.empty()) {
    log::warn("control", "revision {} is scaled as before: {}: {}", hosted.backend.name,
              errors.front().path, errors.front().message);
    return;
  }
  if (!hosted.hpa) plan.policy = shared_.get(annotations, *hosted.pod, plan.policy, policies_);
  plan.outside = sources(needs);
  hosted.backend.throttler->set_pod_target(plan.pod_target);
  autoscaler_.replan(uid, std::move(plan));
}

std::vector<OutsideSource> RevisionHost::sources(const std::vector<OutsideNeed>& needs) const {
  std::vector<OutsideSource> out;
  if (outside_ == nullptr) return out;
  for (const auto& need : needs) out.push_back(outside_->source(need.name, need.declaration));
  return out;
}

void RevisionHost::for_each(
    const std::function<void(const scheduling::PodTemplate& revision)>& look) const {
  for (const auto& [uid, hosted] : hosted_) look(*hosted.pod);
}

const scheduling::PodTemplate* RevisionHost::find(const std::string& uid) const {
  const auto found = hosted_.find(uid);
  return found == hosted_.end() ? nullptr : found->second.pod.get();
}

void RevisionHost::announce(const api::Revision& revision) {
  if (revision.spec.containers.size() != 1) return;
  const std::string& image = revision.spec.containers.front().image;
  if (!image.starts_with(api::kRuntimeImagePrefix)) return;
  pods_.announce(revision.meta.uid, image.substr(api::kRuntimeImagePrefix.size()));
}

void RevisionHost::remove(const std::string& uid) {
  const auto found = hosted_.find(uid);
  if (found == hosted_.end()) {
    pods_.unsubscribe(uid);  // perhaps it was announced
    return;
  }
  autoscaler_.remove(uid);
  found->second.backend.throttler->close();
  pods_.unsubscribe(uid);
  traffic_.remove(uid);
  hosted_.erase(found);
}

std::optional<serving::Backend> RevisionHost::backend(const std::string& uid) const {
  const auto found = hosted_.find(uid);
  if (found == hosted_.end()) return std::nullopt;
  return found->second.backend;
}

}  // namespace ebb::control
