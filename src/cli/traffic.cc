// `ebb traffic` and `ebb rollback`.
#include <nlohmann/json.hpp>

#include "api/types.h"
#include "cli/await.h"
#include "cli/commands.h"
#include "cli/resource_kinds.h"
#include "cli/table.h"
#include "cli/traffic_plan.h"

namespace ebb::cli {

namespace {

using api::Json;

constexpr int kMaxConflicts = 10;

struct Waiting {
  bool wait = true;
  Duration timeout{};
};

Result<std::vector<Json>> revisions_of(const std::string& service, const std::string& ns,
                                       ApiClient& client) {
  const std::string selector = fmt::format("{}={}", api::kServiceLabel, service);
  const std::string path =
      path_of(api::Revision::kind(), ns, "") + "?labelSelector=" + escaped(selector);
  auto answer = client.get(path, client.now() + kCallTimeout);
  if (!answer) return fail(answer.error());
  std::vector<Json> out;
  const auto items = answer->find("items");
  if (items == answer->end() || !items->is_array()) return out;
  for (Json& item : *items) out.push_back(std::move(item));
  return out;
}

void show(const Json& service, Console& console) {
  Table table{{"REVISION", "TRAFFIC", "TAG", "URL"}, {}};
  static const Json::json_pointer kTraffic("/status/traffic");
  if (service.contains(kTraffic) && service.at(kTraffic).is_array()) {
    for (const Json& target : service.at(kTraffic)) {
      std::string revision = text_at(target, {"revisionName"});
      if (text_at(target, {"latestRevision"}) == "true") revision += " (latest)";
      std::string percent = text_at(target, {"percent"});
      if (percent.empty()) percent = "0";
      percent += "%";
      table.rows.push_back({std::move(revision), std::move(percent), text_at(target, {"tag"}),
                            text_at(target, {"url"})});
    }
  }
  console.out << render(table);
}

// Changes spec.traffic to what `plan` makes of the service and its revisions, and waits
// until the route says that it has it.
template <class Plan>
Result<void> change(const std::string& name, const std::string& ns, const Waiting& waiting,
                    const Plan& plan, ApiClient& client, Console& console) {
  const TimePoint began = client.now();
  Progress progress(console);
  progress.step("Changing the traffic of service " + name);
  const std::string path = path_of(api::Service::kind(), ns, name);
  Result<Json> changed;
  for (int attempt = 0; attempt < kMaxConflicts; ++attempt) {
    const auto service = client.get(path, client.now() + kCallTimeout);
    if (!service) return fail(service.error());
    const auto revisions = revisions_of(name, ns, client);
    if (!revisions) return fail(revisions.error());
    auto traffic = plan(*service, *revisions);
    if (!traffic) return fail(traffic.error());
    const Json patch{
        {"metadata", {{"resourceVersion", text_at(*service, {"metadata", "resourceVersion"})}}},
        {"spec", {{"traffic", std::move(*traffic)}}}};
    changed = client.send("PATCH", path, "application/merge-patch+json", patch,
                          client.now() + kCallTimeout);
    if (changed || changed.error().code != Errc::kConflict) break;
  }
  if (!changed) return fail(changed.error());
  if (waiting.wait) {
    progress.step("Waiting for the route");
    Awaited awaited{.kind = api::Service::kind(),
                    .ns = ns,
                    .name = name,
                    .object = std::move(*changed),
                    .judge = [&progress](const Json& object) {
                      Verdict verdict = traffic_verdict(object);
                      progress.detail(verdict.message);
                      return verdict;
                    }};
    changed = await(std::move(awaited), client, client.now() + waiting.timeout);
    if (!changed) return fail(changed.error());
  }
  progress.clear();
  if (!waiting.wait) {
    console.out << "service \"" << name << "\" changed, not waited for\n";
    return {};
  }
  console.out << "service \"" << name << "\" has its new traffic after "
              << format_took(client.now() - began) << "\n";
  show(*changed, console);
  return {};
}

}  // namespace

Result<void> set_traffic(const TrafficOptions& options, const std::string& ns, ApiClient& client,
                         Console& console) {
  return change(
      options.name, ns, {options.wait, options.wait_timeout},
      [&options](const Json& service, const std::vector<Json>& revisions) {
        return planned_traffic(options, service, revisions);
      },
      client, console);
}

Result<void> roll_back(const RollbackOptions& options, const std::string& ns, ApiClient& client,
                       Console& console) {
  return change(
      options.name, ns, {options.wait, options.wait_timeout},
      [&options](const Json& service, const std::vector<Json>& revisions) {
        return planned_rollback(options, service, revisions);
      },
      client, console);
}

}  // namespace ebb::cli
