// Any change to an object, as the API takes them: "OBJECT\nCHANGE", where the change is a
// merge patch, a JSON patch and an applied configuration, through the checks of fields.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "api/json.h"
#include "api/kinds.h"
#include "api/schema.h"
#include "api/types.h"
#include "api/yaml.h"
#include "apiserver/admission.h"
#include "apiserver/apply.h"
#include "apiserver/json_patch.h"
#include "apiserver/table.h"

namespace {

using ebb::api::Json;
namespace apiserver = ebb::apiserver;

void admit(const Json& before, Json after) {
  if (!after.is_object() || !after.contains("metadata") || !after["metadata"].is_object()) return;
  for (const auto* kind : ebb::api::all_kinds()) {
    Json copy = after;
    (void)ebb::api::remove_unknown_fields(*kind, copy);
    if (!ebb::api::remove_unknown_fields(*kind, copy).empty()) std::abort();
    auto admitted = apiserver::admit_update(*kind, before, after);
    if (auto* object = std::get_if<Json>(&admitted)) {
      apiserver::keep_managed(before, *object);
      (void)apiserver::to_table(*kind, {*object}, "1", {});
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto end = text.find('\n');
  auto before = ebb::api::parse_json(text.substr(0, end));
  if (!before || !before->is_object()) return 0;
  if (!before->contains("metadata") || !(*before)["metadata"].is_object()) {
    (*before)["metadata"] = Json::object();
  }
  const auto rest = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  auto change = ebb::api::parse_json(rest);
  if (!change) {
    auto documents = ebb::api::parse_yaml(rest);
    if (!documents || documents->empty()) return 0;
    change = documents->front();
  }
  Json stepped = *before;
  if (apiserver::apply_json_patch(stepped, *change)) admit(*before, stepped);
  if (!change->is_object()) return 0;
  Json merged = *before;
  merged.merge_patch(*change);
  admit(*before, merged);
  Json applied = apiserver::merge_applied(*before, *change, "m");
  if (!applied.contains("metadata") || !applied["metadata"].is_object()) return 0;
  (void)apiserver::apply_conflicts(*before, applied, *change, "m");
  if (!change->contains("apiVersion") || (*change)["apiVersion"].is_string()) {
    apiserver::set_managed(*before, applied, *change, "m", "now");
  }
  admit(*before, applied);
  return 0;
}
