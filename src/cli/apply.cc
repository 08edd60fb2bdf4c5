// `ebb apply`.
#include <iostream>
#include <nlohmann/json.hpp>

#include "api/json.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/manifests.h"
#include "cli/resource_kinds.h"
#include "cli/table.h"
#include "cli/three_way_merge.h"

namespace ebb::cli {

namespace {

using api::Json;

constexpr int kMaxConflicts = 10;
constexpr const char* kManager = "fieldManager=kubectl-client-side-apply&fieldValidation=Strict";

// "created", "configured" or "unchanged".
Result<std::string> apply_one(const Json& object, const api::Kind& kind, const std::string& ns,
                              const std::string& name, ApiClient& client) {
  const std::string path = path_of(kind, ns, name);
  const Json manifest = with_last_applied(object);
  for (int attempt = 0;; ++attempt) {
    const TimePoint deadline = client.now() + kCallTimeout;
    const auto current = client.get(path, deadline);
    if (!current && current.error().code != Errc::kNotFound) return fail(current.error());
    Result<Json> done;
    if (!current) {
      Json fresh = manifest;  // it may have been exported: then it has another's version
      fresh["metadata"].erase("resourceVersion");
      done = client.send("POST", path_of(kind, ns, "") + "?" + kManager, "application/json", fresh,
                         deadline);
      if (done) return "created";
    } else {
      auto patch = three_way_merge_patch(manifest, *current);
      if (!patch) return fail(patch.error());
      if (patch->empty()) return "unchanged";
      (*patch)["metadata"]["resourceVersion"] = text_at(*current, {"metadata", "resourceVersion"});
      done = client.send("PATCH", path + "?" + kManager, "application/merge-patch+json", *patch,
                         deadline);
      if (done) {
        const bool same = text_at(*done, {"metadata", "resourceVersion"}) ==
                          text_at(*current, {"metadata", "resourceVersion"});
        return same ? "unchanged" : "configured";
      }
    }
    // Somebody else was faster: look again.
    const Errc code = done.error().code;
    if ((code != Errc::kConflict && code != Errc::kAlreadyExists) || attempt == kMaxConflicts) {
      return fail(done.error());
    }
  }
}

}  // namespace

Result<void> apply(const ApplyOptions& options, const std::string& ns, ApiClient& client,
                   Console& console) {
  const Manifests manifests = read_manifest_files(options.files, std::cin);
  size_t failed = manifests.errors.size();
  for (const std::string& error : manifests.errors) console.err << "Error: " << error << "\n";
  for (const Manifest& manifest : manifests.objects) {
    auto object = api::parse_json(manifest.text);
    Result<std::string> done = fail(Errc::kInternal, "unreadable");
    const std::string target = manifest.ns.empty() ? ns : manifest.ns;
    auto named = check_name(manifest.name);
    if (named) named = check_name(target);
    if (named && !options.only_ns.empty() && target != options.only_ns) {
      named = fail(Errc::kInvalid, "it is of the namespace {}, not of {}: leave one of them out",
                   target, options.only_ns);
    }
    if (!named) {
      done = fail(named.error());
    } else if (object) {
      (*object)["metadata"]["namespace"] = target;
      done = apply_one(*object, *manifest.kind, target, manifest.name, client);
    }
    if (!done) {
      ++failed;
      console.err << "Error: " << manifest.place << ": " << qualified(*manifest.kind) << "/"
                  << one_line(manifest.name) << ": " << done.error().message << "\n";
      if (done.error().code == Errc::kUnavailable) break;  // nobody is there: nor for the rest
      continue;
    }
    console.out << qualified(*manifest.kind) << "/" << manifest.name << " " << *done << "\n";
  }
  const size_t all = manifests.objects.size() + manifests.errors.size();
  if (failed > 0) return fail(Errc::kInvalid, "{} of {} objects were not applied", failed, all);
  if (all == 0) return fail(Errc::kInvalid, "the files declare no objects");
  return {};
}

}  // namespace ebb::cli
