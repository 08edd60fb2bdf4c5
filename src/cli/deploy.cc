// `ebb deploy`.
#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "api/autoscaling.h"
#include "api/json.h"
#include "api/pod_autoscaler.h"
#include "api/types.h"
#include "cli/await.h"
#include "cli/commands.h"
#include "cli/dependencies.h"
#include "cli/package.h"
#include "cli/resource_kinds.h"
#include "cli/runtimes.h"
#include "cli/table.h"
#include "cli/trial_calls.h"

namespace ebb::cli {

namespace {

using api::Json;

constexpr Duration kUploadTimeout = std::chrono::minutes(5);
// On a revision template: what its pods reach, "none" or "egress".
constexpr const char* kNetworkAnnotation = "ebb.dev/network";
constexpr int kMaxConflicts = 10;  // others may write status at the same time

Result<void> upload(const Package& package, ApiClient& client, Progress& progress) {
  const std::string path = "/apis/ebb.dev/v1/blobs/" + package.digest();
  const auto there = client.call({.method = "HEAD", .path = path, .content_type = {}, .body = {}},
                                 client.now() + kCallTimeout);
  if (!there) return fail(there.error());
  if (there->status == 200) return {};
  progress.step(fmt::format("Uploading {} file{}, {} KiB", package.files,
                            package.files == 1 ? "" : "s", (package.tar.size() + 1023) / 1024));
  const auto stored = client.call(
      {.method = "PUT", .path = path, .content_type = "application/x-tar", .body = package.tar},
      client.now() + kUploadTimeout);
  if (!stored) return fail(stored.error());
  if (stored->status >= 200 && stored->status < 300) return {};
  const auto status = api::parse_json(stored->body);
  const std::string why = status ? text_at(*status, {"message"}) : std::string();
  return fail(Errc::kInternal, "the code could not be uploaded: {}",
              why.empty() ? fmt::format("the API answered {}", stored->status) : why);
}

// The container of a service there is, or an empty one.
Json container_of(const Json& service) {
  static const Json::json_pointer kPath("/spec/template/spec/containers/0");
  return service.contains(kPath) && service.at(kPath).is_object() ? service.at(kPath)
                                                                  : Json::object();
}

void set_env(Json& container, const std::vector<KeyValue>& env,
             const std::vector<std::string>& unset) {
  if (env.empty() && (unset.empty() || !container.contains("env"))) return;
  Json& list = container["env"];
  if (!list.is_array()) list = Json::array();
  for (const auto& [key, value] : env) {
    Json* entry = nullptr;
    for (Json& known : list) {
      if (text_at(known, {"name"}) == key) entry = &known;
    }
    if (entry == nullptr) entry = &list.emplace_back(Json::object());
    *entry = {{"name", key}, {"value", value}};
  }
  Json left = Json::array();
  for (Json& entry : list) {
    const std::string name = text_at(entry, {"name"});
    if (std::find(unset.begin(), unset.end(), name) == unset.end())
      left.push_back(std::move(entry));
  }
  list = std::move(left);
}

int64_t seconds_of(const Json& service, const char* field) {
  const std::string text = text_at(service, {"spec", "template", "spec", field});
  return std::strtoll(text.c_str(), nullptr, 10);
}

// What the options say, as a new service or as a merge patch of `current`.
Json wanted(const DeployOptions& options, const std::string& ns, const Package& package,
            const Json* current) {
  Json annotations = {{std::string(api::kCodeAnnotation), package.digest()}};
  const std::string prefix(api::kAutoscalingPrefix);
  if (options.min) annotations[prefix + "min-scale"] = std::to_string(*options.min);
  if (options.max) annotations[prefix + "max-scale"] = std::to_string(*options.max);
  if (!options.network.empty()) annotations[kNetworkAnnotation] = options.network;
  for (const auto& [key, value] : options.annotations) annotations[key] = value;

  Json container = current == nullptr ? Json::object() : container_of(*current);
  container["image"] = std::string(api::kRuntimeImagePrefix) + options.runtime;
  set_env(container, options.env, options.unset_env);
  if (options.port) {
    Json port = {{"containerPort", *options.port}};
    if (!options.port_name.empty()) port["name"] = options.port_name;
    container["ports"] = Json::array({std::move(port)});
  }
  if (!options.memory.empty()) container["resources"]["limits"]["memory"] = options.memory;
  if (!options.cpu.empty()) container["resources"]["limits"]["cpu"] = options.cpu;
  Json spec = {{"containers", Json::array({std::move(container)})}};
  if (options.concurrency) spec["containerConcurrency"] = *options.concurrency;
  if (options.timeout) {
    const int64_t seconds = *options.timeout / std::chrono::seconds(1);
    spec["timeoutSeconds"] = seconds;
    // Each of these must not be longer; what is taken away gets its default again.
    for (const char* other : {"responseStartTimeoutSeconds", "idleTimeoutSeconds"}) {
      if (current != nullptr && seconds_of(*current, other) > seconds) spec[other] = nullptr;
    }
  }
  Json revision = {{"metadata", {{"annotations", std::move(annotations)}}},
                   {"spec", std::move(spec)}};
  Json metadata = {{"name", options.name}, {"namespace", ns}};
  if (current != nullptr) {
    // Refused if somebody else was faster; the next revision gets a name of its own.
    metadata["resourceVersion"] = text_at(*current, {"metadata", "resourceVersion"});
    revision["metadata"]["name"] = nullptr;
  }
  return {{"apiVersion", api::Service::kind().api_version()},
          {"kind", api::Service::kind().kind},
          {"metadata", std::move(metadata)},
          {"spec", {{"template", std::move(revision)}}}};
}

Result<Json> create_or_change(const DeployOptions& options, const std::string& ns,
                              const Package& package, ApiClient& client, Progress& progress) {
  const std::string path = path_of(api::Service::kind(), ns, options.name);
  Result<Json> done;
  for (int attempt = 0; attempt < kMaxConflicts; ++attempt) {
    const TimePoint deadline = client.now() + kCallTimeout;
    const auto current = client.get(path, deadline);
    if (!current && current.error().code != Errc::kNotFound) return fail(current.error());
    if (!current) {
      progress.step("Creating service " + options.name);
      done = client.send("POST", path_of(api::Service::kind(), ns, ""), "application/json",
                         wanted(options, ns, package, nullptr), deadline);
    } else {
      progress.step("Changing service " + options.name);
      done = client.send("PATCH", path, "application/merge-patch+json",
                         wanted(options, ns, package, &*current), deadline);
    }
    // Somebody created, changed or removed it in between: look again.
    if (done ||
        (done.error().code != Errc::kConflict && done.error().code != Errc::kAlreadyExists &&
         !(current && done.error().code == Errc::kNotFound))) {
      return done;
    }
  }
  return done;
}

Result<Json> wait_until_ready(const DeployOptions& options, const std::string& ns, Json service,
                              ApiClient& client, Progress& progress) {
  progress.step("Waiting for service " + options.name);
  Awaited awaited{.kind = api::Service::kind(),
                  .ns = ns,
                  .name = options.name,
                  .object = std::move(service),
                  .judge = [&progress](const Json& object) {
                    Verdict verdict = readiness_of(object);
                    progress.detail(verdict.message);
                    return verdict;
                  }};
  return await(std::move(awaited), client, client.now() + options.wait_timeout);
}

// Before anything is installed, sent or made.
Result<void> check(const DeployOptions& options, const std::string& ns, ApiClient& client) {
  const auto known = known_runtimes(client);
  if (!known) return fail(known.error());
  auto fits = check_runtime(*known, options.runtime, options.code, /*has_command=*/false);
  if (fits) return fits;
  const auto current =
      client.get(path_of(api::Service::kind(), ns, options.name), client.now() + kCallTimeout);
  const bool has_command = current && container_of(*current).contains("command");
  return check_runtime(*known, options.runtime, options.code, has_command);
}

// It serves, but is not scaled as it should be.
void warn_of_policy(const Json& service, const std::string& ns, ApiClient& client,
                    Console& console) {
  const std::string revision = text_at(service, {"status", "latestReadyRevisionName"});
  const auto scaler =
      client.get(path_of(api::PodAutoscaler::kind(), ns, revision), client.now() + kCallTimeout);
  const std::string error = scaler ? text_at(*scaler, {"status", "error"}) : std::string();
  if (error.empty()) return;
  console.err << fmt::format("warning: its scaling policy failed: {}\n", error);
}

Result<void> deploy_in_steps(const DeployOptions& options, const std::string& ns, ApiClient& client,
                             Console& console, TimePoint began) {
  Progress progress(console);
  if (auto fits = check(options, ns, client); !fits) return fits;
  const auto staging = install_dependencies(options, progress, console);
  if (!staging) return fail(staging.error());
  progress.step("Packing " + options.code);
  const auto package = pack(*staging ? (*staging)->path() : options.code, options.runtime);
  if (!package) return fail(package.error());
  if (auto done = upload(*package, client, progress); !done) return done;
  auto service = create_or_change(options, ns, *package, client, progress);
  if (!service) return fail(service.error());
  if (!options.wait) {
    progress.clear();
    console.out << "service \"" << options.name << "\" deployed, not waited for\n";
    return {};
  }
  service = wait_until_ready(options, ns, std::move(*service), client, progress);
  if (!service) return fail(service.error());
  progress.clear();
  console.out << fmt::format("service \"{}\" is ready after {}\n{}\n", options.name,
                             format_took(client.now() - began),
                             text_at(*service, {"status", "url"}));
  warn_of_policy(*service, ns, client, console);
  show_use(*service, ns, options.call, client, console);
  return {};
}

}  // namespace

Result<void> deploy(const DeployOptions& options, const std::string& ns, ApiClient& client,
                    Console& console) {
  const TimePoint began = client.now();
  auto done = deploy_in_steps(options, ns, client, console, began);
  if (!done) {
    console.err << fmt::format("service \"{}\": the deployment failed after {}\n", options.name,
                               format_took(client.now() - began));
  }
  return done;
}

}  // namespace ebb::cli
