// `ebb deploy`.
#include <nlohmann/json.hpp>
#include <thread>

#include "api/autoscaling.h"
#include "api/json.h"
#include "api/types.h"
#include "cli/commands.h"
#include "cli/package.h"
#include "cli/table.h"
#include "http/uri.h"

namespace ebb::cli {

namespace {

using api::Json;

constexpr Duration kUploadTimeout = std::chrono::minutes(5);
constexpr Duration kRetryPause = std::chrono::milliseconds(200);
constexpr int kMaxConflicts = 10;  // others may write status at the same time

Result<void> upload(const Package& package, ApiClient& client, Progress& progress) {
  const std::string path = "/apis/ebb.dev/v1/blobs/" + package.digest();
  const auto there = client.call({.method = "HEAD", .path = path, .content_type = {}, .body = {}},
                                 client.now() + kCallTimeout);
  if (!there) return fail(there.error());
  if (there->status == 200) return {};
  progress.step(
      fmt::format("Uploading {} files, {} KiB", package.files, (package.tar.size() + 1023) / 1024));
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

void set_env(Json& container, const std::vector<KeyValue>& env) {
  if (env.empty()) return;
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
}

// What the options say, as a new service or as a merge patch of `current`.
Json wanted(const DeployOptions& options, const std::string& ns, const Package& package,
            const Json* current) {
  Json annotations = {{std::string(api::kCodeAnnotation), package.digest()}};
  const std::string prefix(api::kAutoscalingPrefix);
  if (options.min) annotations[prefix + "min-scale"] = std::to_string(*options.min);
  if (options.max) annotations[prefix + "max-scale"] = std::to_string(*options.max);
  for (const auto& [key, value] : options.annotations) annotations[key] = value;

  Json container = current == nullptr ? Json::object() : container_of(*current);
  container["image"] = std::string(api::kRuntimeImagePrefix) + options.runtime;
  set_env(container, options.env);
  Json spec = {{"containers", Json::array({std::move(container)})}};
  if (options.concurrency) spec["containerConcurrency"] = *options.concurrency;
  if (options.timeout) {
    spec["timeoutSeconds"] =
        std::chrono::duration_cast<std::chrono::seconds>(*options.timeout).count();
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

struct Verdict {
  enum class Kind { kReady, kFailed, kPending } kind = Kind::kPending;
  std::string message;
};

Verdict verdict_of(const Json& service) {
  const auto number = [&service](const char* at, const char* name) {
    const std::string text = text_at(service, {at, name});
    return text.empty() ? int64_t{0} : std::strtoll(text.c_str(), nullptr, 10);
  };
  const Json ready = condition_of(service, "Ready");
  const std::string status = text_at(ready, {"status"});
  const std::string reason = text_at(ready, {"reason"});
  std::string message = text_at(ready, {"message"});
  if (message.empty()) message = reason;
  // A status of an older generation says nothing about what was just declared.
  const bool observed = number("status", "observedGeneration") >= number("metadata", "generation");
  if (observed && status == "True") return {Verdict::Kind::kReady, {}};
  if (observed && status == "False") return {Verdict::Kind::kFailed, std::move(message)};
  return {Verdict::Kind::kPending, observed ? std::move(message) : std::string()};
}

// Follows the service until it is ready or has failed.
class Waiter {
 public:
  Waiter(const DeployOptions& options, const std::string& ns, ApiClient& client, Progress& progress)
      : options_(options), ns_(ns), client_(client), progress_(progress) {}

  Result<Json> wait(Json service) {
    const TimePoint deadline = client_.now() + options_.wait_timeout;
    service_ = std::move(service);
    for (;;) {
      const Verdict verdict = show();
      if (verdict.kind == Verdict::Kind::kReady) return service_;
      if (verdict.kind == Verdict::Kind::kFailed) {
        return fail(Errc::kInternal, "service \"{}\" failed: {}", options_.name, verdict.message);
      }
      if (client_.now() >= deadline) {
        return fail(Errc::kTimeout, "service \"{}\" was not ready within {} s{}{}", options_.name,
                    std::chrono::duration_cast<std::chrono::seconds>(options_.wait_timeout).count(),
                    verdict.message.empty() ? "" : ": ", verdict.message);
      }
      const TimePoint began = client_.now();
      const auto followed = follow(deadline);
      if (deleted_) return fail(Errc::kNotFound, "service \"{}\" was deleted", options_.name);
      if (show().kind != Verdict::Kind::kPending || client_.now() >= deadline) continue;
      // The watch ended early: look, and try again, but not in a tight loop.
      if (!followed && followed.error().code == Errc::kPermission) return fail(followed.error());
      if (client_.now() - began < kRetryPause) std::this_thread::sleep_for(kRetryPause);
      auto fresh = client_.get(path_of(api::Service::kind(), ns_, options_.name),
                               std::min(deadline, client_.now() + kCallTimeout));
      if (fresh) service_ = std::move(*fresh);
      if (!fresh && fresh.error().code != Errc::kUnavailable) return fail(fresh.error());
    }
  }

 private:
  Verdict show() {
    Verdict verdict = verdict_of(service_);
    progress_.step("Waiting for service " + options_.name +
                   (verdict.message.empty() ? "" : ": " + verdict.message));
    return verdict;
  }

  Result<void> follow(TimePoint deadline) {
    const std::string path =
        path_of(api::Service::kind(), ns_, "") + "?watch=true&fieldSelector=metadata.name%3D" +
        options_.name + "&resourceVersion=" + text_at(service_, {"metadata", "resourceVersion"});
    return client_.watch(path, [this](std::string_view line) { return take(line); }, deadline);
  }

  // False ends the watch.
  bool take(std::string_view line) {
    auto event = api::parse_json(line);
    if (!event || !event->is_object() || !event->contains("object")) return true;
    const std::string type = text_at(*event, {"type"});
    if (type == "ERROR") return false;
    if (text_at(*event, {"object", "metadata", "name"}) != options_.name) return true;
    if (type == "DELETED") {
      deleted_ = true;
      return false;
    }
    if (type != "ADDED" && type != "MODIFIED") return true;
    service_ = std::move((*event)["object"]);
    return show().kind == Verdict::Kind::kPending;
  }

  const DeployOptions& options_;
  const std::string& ns_;
  ApiClient& client_;
  Progress& progress_;
  Json service_;
  bool deleted_ = false;
};

// How to call the service from here: the gateway's address is that of the API if it
// listens on all addresses.
std::string curl_line(const std::string& url, const std::string& gateway,
                      const net::Address& api_server) {
  constexpr std::string_view kScheme = "://";
  const size_t start = url.find(kScheme);
  std::string host = start == std::string::npos ? url : url.substr(start + kScheme.size());
  host = http::host_of(host.substr(0, host.find('/')));  // the port is no part of the name
  std::string to = gateway;
  auto address = net::Address::parse(gateway);
  if (address && (address->host == "0.0.0.0" || address->host == "::")) {
    address->host = api_server.host;
    to = address->to_string();
  }
  return fmt::format("curl -H 'Host: {}' http://{}/", host, to);
}

}  // namespace

Result<void> deploy(const DeployOptions& options, const std::string& ns, ApiClient& client,
                    Console& console) {
  const TimePoint began = client.now();
  Progress progress(console);
  progress.step("Packing " + options.code);
  const auto package = pack(options.code, options.runtime);
  if (!package) return fail(package.error());
  if (auto done = upload(*package, client, progress); !done) return done;
  auto service = create_or_change(options, ns, *package, client, progress);
  if (!service) return fail(service.error());
  if (!options.wait) {
    progress.clear();
    console.out << "service \"" << options.name << "\" deployed, not waited for\n";
    return {};
  }
  service = Waiter(options, ns, client, progress).wait(std::move(*service));
  if (!service) return fail(service.error());
  const auto took = std::chrono::duration<double>(client.now() - began).count();
  progress.clear();

  const std::string url = text_at(*service, {"status", "url"});
  console.out << fmt::format("service \"{}\" is ready after {:.2f} s\n{}\n", options.name, took,
                             url);
  // Only a hint: the deployment is done without it.
  const auto info = client.get("/apis/ebb.dev/v1/info", client.now() + kCallTimeout);
  const std::string gateway = info ? text_at(*info, {"gateway"}) : std::string();
  if (!gateway.empty()) console.out << curl_line(url, gateway, client.address()) << "\n";
  return {};
}

}  // namespace ebb::cli
