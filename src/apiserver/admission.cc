#include "apiserver/admission.h"

#include <algorithm>

#include "api/autoscaling.h"
#include "api/defaults.h"
#include "api/hpa.h"
#include "api/json.h"
#include "api/pod_autoscaler.h"
#include "api/policy_annotations.h"
#include "api/types.h"
#include "api/validate.h"
#include "control/hpa_spec.h"
#include "control/policy_plan.h"

namespace ebb::apiserver {
namespace {

using api::Json;

template <class T>
Result<T> read(const Json& object, Response& refusal) {
  auto typed = T::from_json(object);
  if (!typed) {
    refusal = failure(
        400, fmt::format("{} in version \"{}\" cannot be handled as a {}: {}", T::kind().kind,
                         T::kind().version, T::kind().kind, typed.error().message));
  }
  return typed;
}

// Of the one container; empty for what has none.
std::string image_of(const api::RevisionSpec& spec) {
  return spec.containers.empty() ? std::string() : spec.containers.front().image;
}
std::string image_of(const api::Service& service) {
  return image_of(service.spec.revision_template.spec);
}
std::string image_of(const api::Configuration& configuration) {
  return image_of(configuration.spec.revision_template.spec);
}
std::string image_of(const api::Revision& revision) { return image_of(revision.spec); }
std::string image_of(const api::Route& /*route*/) { return {}; }
std::string image_of(const api::HorizontalPodAutoscaler& /*hpa*/) { return {}; }

// In the words of what api/ does not know.
void check_scaling(const api::Service& service, std::vector<api::FieldError>& errors) {
  control::check_scaling(service.spec.revision_template.meta.annotations,
                         "spec.template.metadata.annotations", errors);
}
void check_scaling(const api::Configuration& configuration, std::vector<api::FieldError>& errors) {
  control::check_scaling(configuration.spec.revision_template.meta.annotations,
                         "spec.template.metadata.annotations", errors);
}
void check_scaling(const api::Revision& revision, std::vector<api::FieldError>& errors) {
  control::check_scaling(revision.meta.annotations, "metadata.annotations", errors);
}
void check_scaling(const api::Route& /*route*/, std::vector<api::FieldError>& /*errors*/) {}
void check_scaling(const api::HorizontalPodAutoscaler& hpa, std::vector<api::FieldError>& errors) {
  control::check_hpa(hpa, errors);
}

void check_runtime(const api::Kind& kind, const std::string& image, const std::string& before,
                   const RuntimeNames& runtimes, std::vector<api::FieldError>& errors) {
  // What is no runtime at all has been refused.
  if (runtimes.empty() || image == before || !image.starts_with(api::kRuntimeImagePrefix)) return;
  const std::string name = image.substr(api::kRuntimeImagePrefix.size());
  if (std::find(runtimes.begin(), runtimes.end(), name) != runtimes.end()) return;
  std::string known;
  for (const auto& one : runtimes) {
    known += fmt::format("{}\"{}{}\"", known.empty() ? "" : ", ", api::kRuntimeImagePrefix, one);
  }
  const bool revision = &kind == &api::Revision::kind();
  errors.push_back(
      {.path = fmt::format("spec.{}containers[0].image", revision ? "" : "template.spec."),
       .message = fmt::format("Unsupported value: \"{}\": supported values: {}", image, known)});
}

template <class T>
Admitted admit(const Json& object, const Json* before, const RuntimeNames& runtimes) {
  Response refusal;
  auto typed = read<T>(object, refusal);
  if (!typed) return refusal;
  api::apply_defaults(*typed);
  auto errors = api::validate(*typed);
  std::string image_before;
  if (before) {
    auto old = read<T>(*before, refusal);
    if (!old) return refusal;
    auto more = api::validate_update(*old, *typed);
    errors.insert(errors.end(), more.begin(), more.end());
    image_before = image_of(*old);
  }
  check_scaling(*typed, errors);
  check_runtime(T::kind(), image_of(*typed), image_before, runtimes, errors);
  if (!errors.empty()) return invalid(T::kind(), typed->meta.name, errors);
  Json json = typed->to_json();
  // A patch may be small and what it makes of an object large.
  if (api::to_text(json).size() > kMaxStoredObject) {
    return failure(413, fmt::format("an object has at most {} bytes", kMaxStoredObject));
  }
  return json;
}

// What scales a revision: see LiveClient::update.
Admitted admit_autoscaler(const Json& before, const Json& object) {
  std::vector<api::FieldError> errors;
  const auto changes = api::scaling_changes(before, object, errors);
  const auto annotations = api::with_changes(before, changes);
  const std::string path = "metadata.annotations";
  static_cast<void>(api::parse_autoscaling(annotations, path, errors));
  static_cast<void>(api::parse_policy(annotations, path, errors));
  control::check_scaling(annotations, path, errors);
  const std::string name = before["metadata"].value("name", "");
  if (!errors.empty()) return invalid(api::PodAutoscaler::kind(), name, errors);
  return object;
}

Admitted dispatch(const api::Kind& kind, const Json& object, const Json* before,
                  const RuntimeNames& runtimes) {
  if (&kind == &api::Service::kind()) return admit<api::Service>(object, before, runtimes);
  if (&kind == &api::Configuration::kind()) {
    return admit<api::Configuration>(object, before, runtimes);
  }
  if (&kind == &api::Revision::kind()) return admit<api::Revision>(object, before, runtimes);
  if (&kind == &api::Route::kind()) return admit<api::Route>(object, before, runtimes);
  if (&kind == &api::HorizontalPodAutoscaler::kind()) {
    return admit<api::HorizontalPodAutoscaler>(object, before, runtimes);
  }
  if (&kind == &api::PodAutoscaler::kind()) {
    if (before != nullptr) return admit_autoscaler(*before, object);
    return failure(405,
                   "a podautoscaler comes with its revision, and has its name: change the one "
                   "that there is");
  }
  return failure(405, fmt::format("{} cannot be written", kind.plural));
}

template <class T>
Admitted readable(const Json& object) {
  Response refusal;
  auto typed = read<T>(object, refusal);
  if (!typed) return refusal;
  return object;
}

}  // namespace

Admitted admit_create(const api::Kind& kind, const Json& object, const RuntimeNames& runtimes) {
  Json fresh = object;
  fresh.erase("status");
  return dispatch(kind, fresh, nullptr, runtimes);
}

Admitted admit_update(const api::Kind& kind, const Json& before, const Json& object,
                      const RuntimeNames& runtimes) {
  return dispatch(kind, object, &before, runtimes);
}

Admitted admit_status(const api::Kind& kind, const Json& object) {
  if (&kind == &api::Service::kind()) return readable<api::Service>(object);
  if (&kind == &api::Configuration::kind()) return readable<api::Configuration>(object);
  if (&kind == &api::Revision::kind()) return readable<api::Revision>(object);
  if (&kind == &api::Route::kind()) return readable<api::Route>(object);
  if (&kind == &api::HorizontalPodAutoscaler::kind()) {
    return readable<api::HorizontalPodAutoscaler>(object);
  }
  return failure(405, fmt::format("{} cannot be written", kind.plural));
}

}  // namespace ebb::apiserver
