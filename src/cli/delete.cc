// `ebb delete`.
#include <iostream>
#include <nlohmann/json.hpp>

#include "api/kinds.h"
#include "cli/await.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/manifests.h"
#include "cli/resource_kinds.h"
#include "cli/table.h"

namespace ebb::cli {

namespace {

using api::Json;

struct Target {
  const api::Kind* kind = nullptr;
  std::string ns;
  std::string name;
};

Result<std::vector<Target>> listed(const api::Kind& kind, const std::string& ns,
                                   const std::string& selector, ApiClient& client) {
  std::string path = path_of(kind, ns, "");
  if (!selector.empty()) path += "?labelSelector=" + escaped(selector);
  const auto answer = client.get(path, client.now() + kCallTimeout);
  if (!answer) return fail(answer.error());
  std::vector<Target> out;
  const auto items = answer->find("items");
  if (items == answer->end() || !items->is_array()) return out;
  for (const Json& item : *items) {
    out.push_back(
        {&kind, text_at(item, {"metadata", "namespace"}), text_at(item, {"metadata", "name"})});
  }
  return out;
}

// Waits until the one with this uid is gone. Another one of the same name may be there
// at once: what a Service owns, it makes again.
Result<void> wait_until_gone(const Target& target, std::string uid, TimePoint deadline,
                             ApiClient& client) {
  const auto current = client.get(path_of(*target.kind, target.ns, target.name),
                                  std::min(deadline, client.now() + kCallTimeout));
  if (!current && current.error().code == Errc::kNotFound) return {};
  if (!current) return fail(current.error());
  if (uid.empty()) uid = text_at(*current, {"metadata", "uid"});
  Awaited awaited{.kind = *target.kind,
                  .ns = target.ns,
                  .name = target.name,
                  .object = *current,
                  .judge =
                      [uid](const Json& object) {
                        const bool same = text_at(object, {"metadata", "uid"}) == uid;
                        return Verdict{same ? Verdict::Kind::kPending : Verdict::Kind::kDone,
                                       "it is still there"};
                      },
                  .gone_is_done = true};
  const auto gone = await(std::move(awaited), client, deadline);
  if (!gone) return fail(gone.error());
  return {};
}

Result<void> remove_one(const Target& target, const DeleteOptions& options, ApiClient& client,
                        Console& console) {
  const Json how{
      {"kind", "DeleteOptions"}, {"apiVersion", "v1"}, {"propagationPolicy", "Background"}};
  const auto answer = client.send("DELETE", path_of(*target.kind, target.ns, target.name),
                                  "application/json", how, client.now() + kCallTimeout);
  if (!answer) return fail(answer.error());
  if (options.wait) {
    // The API answers with the object's end, which has its uid, or with the object itself.
    std::string uid = text_at(*answer, {"details", "uid"});
    if (uid.empty()) uid = text_at(*answer, {"metadata", "uid"});
    const auto gone = wait_until_gone(target, uid, client.now() + options.wait_timeout, client);
    if (!gone) return gone;
  }
  console.out << qualified(*target.kind) << " \"" << target.name << "\" deleted\n";
  return {};
}

}  // namespace

Result<void> remove(const DeleteOptions& options, const std::string& ns, ApiClient& client,
                    Console& console) {
  std::vector<Target> targets;
  size_t failed = 0;
  if (!options.files.empty()) {
    const Manifests manifests = read_manifest_files(options.files, std::cin);
    for (const std::string& error : manifests.errors) console.err << "Error: " << error << "\n";
    failed = manifests.errors.size();
    for (const Manifest& one : manifests.objects) {
      targets.push_back({one.kind, one.ns.empty() ? ns : one.ns, one.name});
    }
  } else if (options.names.empty()) {
    auto found = listed(*api::find_kind(options.kind), ns, options.selector, client);
    if (!found) return fail(found.error());
    targets = std::move(*found);
    if (targets.empty()) console.err << "No resources found\n";
  } else {
    for (const std::string& name : options.names) {
      targets.push_back({api::find_kind(options.kind), ns, name});
    }
  }
  Error last;
  const size_t all = targets.size() + failed;
  for (const Target& target : targets) {
    Result<void> done = check_name(target.name);
    if (done) done = check_name(target.ns);
    if (done) done = remove_one(target, options, client, console);
    if (done) continue;
    ++failed;
    last = done.error();
    if (all > 1) console.err << "Error: " << last.message << "\n";
    if (last.code == Errc::kUnavailable) break;
  }
  if (failed == 0) return {};
  if (all == 1 && !last.message.empty()) return fail(last);
  return fail(Errc::kInvalid, "{} of {} objects were not deleted", failed, all);
}

}  // namespace ebb::cli
