#include "cli/three_way_merge.h"

#include <nlohmann/json.hpp>

#include "api/json.h"
#include "cli/table.h"

namespace ebb::cli {

namespace {

using api::Json;

// The fields that `last` has and `manifest` has not, as nulls of a merge patch.
Json deletions(const Json& last, const Json& manifest) {
  Json patch = Json::object();
  for (const auto& [key, value] : last.items()) {
    const auto kept = manifest.find(key);
    if (kept == manifest.end()) {
      patch[key] = nullptr;
    } else if (value.is_object() && kept->is_object()) {
      Json below = deletions(value, *kept);
      if (!below.empty()) patch[key] = std::move(below);
    }
  }
  return patch;
}

// What `manifest` sets that `current` does not have so.
Json additions(const Json& current, const Json& manifest) {
  Json patch = Json::object();
  for (const auto& [key, value] : manifest.items()) {
    const auto there = current.find(key);
    if (there != current.end() && value.is_object() && there->is_object()) {
      Json below = additions(*there, value);
      if (!below.empty()) patch[key] = std::move(below);
    } else if (there == current.end() ? !value.is_null() : *there != value) {
      patch[key] = value;
    }
  }
  return patch;
}

// Deletions of what is not there any more change nothing.
void drop_void_deletions(Json& patch, const Json& current) {
  for (auto entry = patch.begin(); entry != patch.end();) {
    const auto there = current.find(entry.key());
    const bool is_there = there != current.end();
    bool nothing = entry->is_null() && !is_there;
    if (entry->is_object() && (!is_there || there->is_object())) {
      drop_void_deletions(*entry, is_there ? *there : Json::object());
      nothing = entry->empty();
    }
    entry = nothing ? patch.erase(entry) : std::next(entry);
  }
}

void add_all(Json& patch, const Json& more) {
  for (const auto& [key, value] : more.items()) {
    if (value.is_object() && patch.contains(key) && patch[key].is_object()) {
      add_all(patch[key], value);
    } else {
      patch[key] = value;
    }
  }
}

}  // namespace

Json with_last_applied(Json manifest) {
  manifest.erase("status");
  Json& metadata = manifest["metadata"];
  if (metadata.contains("annotations") && metadata["annotations"].is_object()) {
    metadata["annotations"].erase(kLastApplied);
  } else {
    metadata["annotations"] = Json::object();
  }
  // As kubectl writes it: an empty map of annotations, and a line feed at the end.
  std::string text = api::to_text(manifest) + "\n";
  metadata["annotations"][kLastApplied] = std::move(text);
  return manifest;
}

Result<Json> three_way_merge_patch(const Json& manifest, const Json& current) {
  Json last = Json::object();
  const std::string text = text_at(current, {"metadata", "annotations", kLastApplied});
  if (!text.empty()) {
    auto read = api::parse_json(text);
    if (!read || !read->is_object()) {
      return fail(Errc::kInvalid,
                  "the annotation {} of the object is not usable JSON: remove it and try again",
                  kLastApplied);
    }
    last = std::move(*read);
  }
  Json patch = deletions(last, manifest);
  // Names are never patched, even if the last manifest had them elsewhere.
  for (const char* key : {"apiVersion", "kind", "metadata"}) {
    if (patch.contains(key) && patch[key].is_null()) patch.erase(key);
  }
  if (patch.contains("metadata")) {
    for (const char* key : {"name", "namespace"}) patch["metadata"].erase(key);
  }
  drop_void_deletions(patch, current);
  add_all(patch, additions(current, manifest));
  return patch;
}

}  // namespace ebb::cli
