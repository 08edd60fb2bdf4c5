#include "apiserver/json_patch.h"

#include <nlohmann/json.hpp>

#include "api/json.h"

namespace ebb::apiserver {
namespace {

using api::Json;

constexpr size_t kNodeWeight = 32;  // bytes of a value apart from its text

// About how many bytes `value` takes; more than any limit if it nests too deep.
size_t weigh(const Json& value, int depth) {
  if (depth > api::kMaxJsonDepth) return SIZE_MAX / 2;
  size_t weight = kNodeWeight;
  if (value.is_string()) return weight + value.get_ref<const std::string&>().size();
  if (!value.is_structured()) return weight;
  for (const auto& [key, item] : value.items()) {
    weight += weigh(item, depth + 1) + (value.is_object() ? key.size() : 0);
    if (weight > kMaxPatchCopied && depth > 0) break;
  }
  return weight;
}

bool is_deep(const Json& value, int depth) {
  if (!value.is_structured()) return false;
  if (depth == api::kMaxJsonDepth) return true;
  for (const auto& item : value) {
    if (is_deep(item, depth + 1)) return true;
  }
  return false;
}

// What a "copy" step adds; other steps add only what the patch itself has.
size_t copied_by(const Json& object, const Json& step) {
  if (step.value("op", "") != "copy") return 0;
  const Json::json_pointer from(step.value("from", ""));
  return object.contains(from) ? weigh(object.at(from), 0) : 0;
}

// The library takes for granted that what a path leads through can have members.
bool leads_somewhere(const Json& object, const Json& step) {
  const Json::json_pointer path(step.value("path", ""));
  if (step.value("op", "") == "remove") return object.contains(path);
  if (path.empty()) return true;
  const auto parent = path.parent_pointer();
  return object.contains(parent) && object.at(parent).is_structured();
}

// One step that is no "move".
Result<void> apply_step(Json& object, const Json& step) {
  if (!leads_somewhere(object, step)) {
    return fail(Errc::kInvalid, "there is no place \"{}\"", step.value("path", ""));
  }
  object.patch_inplace(Json::array({step}));
  return {};
}

// A step may throw what the library throws.
Result<void> apply_any(Json& object, const Json& step) {
  if (!step.is_object()) return fail(Errc::kInvalid, "a step must be an object");
  if (step.value("op", "") != "move") return apply_step(object, step);
  const std::string from = step.value("from", "");
  Json value = object.at(Json::json_pointer(from));
  auto done = apply_step(object, {{"op", "remove"}, {"path", from}});
  if (!done) return done;
  return apply_step(object,
                    {{"op", "add"}, {"path", step.value("path", "")}, {"value", std::move(value)}});
}

}  // namespace

Result<void> apply_json_patch(Json& object, const Json& steps) {
  if (!steps.is_array() || steps.size() > kMaxPatchSteps) {
    return fail(Errc::kInvalid, "a JSON patch must be a list of at most {} steps", kMaxPatchSteps);
  }
  size_t copied = 0;
  try {
    for (const auto& step : steps) {
      copied += step.is_object() ? copied_by(object, step) : 0;
      if (copied > kMaxPatchCopied) {
        return fail(Errc::kInvalid, "the patch copies more than {} MiB, or nests too deep",
                    kMaxPatchCopied >> 20);
      }
      auto done = apply_any(object, step);
      if (!done) return done;
    }
  } catch (const Json::exception& error) {
    return fail(Errc::kInvalid, "{}", error.what());
  }
  if (is_deep(object, 0)) {
    return fail(Errc::kInvalid, "the patch nests deeper than {} levels", api::kMaxJsonDepth);
  }
  return {};
}

}  // namespace ebb::apiserver
