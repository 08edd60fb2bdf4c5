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
  if (!step.is_object() || step.value("op", "") != "copy") return 0;
  const Json::json_pointer from(step.value("from", ""));
  return object.contains(from) ? weigh(object.at(from), 0) : 0;
}

}  // namespace

Result<void> apply_json_patch(Json& object, const Json& steps) {
  if (!steps.is_array() || steps.size() > kMaxPatchSteps) {
    return fail(Errc::kInvalid, "a JSON patch must be a list of at most {} steps", kMaxPatchSteps);
  }
  size_t copied = 0;
  Json one = Json::array({nullptr});
  try {
    for (const auto& step : steps) {
      copied += copied_by(object, step);
      if (copied > kMaxPatchCopied) {
        return fail(Errc::kInvalid, "the patch copies more than {} MiB, or nests too deep",
                    kMaxPatchCopied >> 20);
      }
      one[0] = step;
      object.patch_inplace(one);
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
