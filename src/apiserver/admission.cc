#include "apiserver/admission.h"

#include "api/defaults.h"
#include "api/json.h"
#include "api/types.h"
#include "api/validate.h"

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

template <class T>
Admitted admit(const Json& object, const Json* before) {
  Response refusal;
  auto typed = read<T>(object, refusal);
  if (!typed) return refusal;
  api::apply_defaults(*typed);
  auto errors = api::validate(*typed);
  if (before) {
    auto old = read<T>(*before, refusal);
    if (!old) return refusal;
    auto more = api::validate_update(*old, *typed);
    errors.insert(errors.end(), more.begin(), more.end());
  }
  if (!errors.empty()) return invalid(T::kind(), typed->meta.name, errors);
  Json json = typed->to_json();
  // A patch may be small and what it makes of an object large.
  if (api::to_text(json).size() > kMaxStoredObject) {
    return failure(413, fmt::format("an object has at most {} bytes", kMaxStoredObject));
  }
  return json;
}

Admitted dispatch(const api::Kind& kind, const Json& object, const Json* before) {
  if (&kind == &api::Service::kind()) return admit<api::Service>(object, before);
  if (&kind == &api::Configuration::kind()) return admit<api::Configuration>(object, before);
  if (&kind == &api::Revision::kind()) return admit<api::Revision>(object, before);
  if (&kind == &api::Route::kind()) return admit<api::Route>(object, before);
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

Admitted admit_create(const api::Kind& kind, const Json& object) {
  Json fresh = object;
  fresh.erase("status");
  return dispatch(kind, fresh, nullptr);
}

Admitted admit_update(const api::Kind& kind, const Json& before, const Json& object) {
  return dispatch(kind, object, &before);
}

Admitted admit_status(const api::Kind& kind, const Json& object) {
  if (&kind == &api::Service::kind()) return readable<api::Service>(object);
  if (&kind == &api::Configuration::kind()) return readable<api::Configuration>(object);
  if (&kind == &api::Revision::kind()) return readable<api::Revision>(object);
  if (&kind == &api::Route::kind()) return readable<api::Route>(object);
  return failure(405, fmt::format("{} cannot be written", kind.plural));
}

}  // namespace ebb::apiserver
