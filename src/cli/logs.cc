// `ebb logs`.
#include <fmt/core.h>

#include "api/types.h"
#include "cli/commands.h"
#include "cli/resource_kinds.h"

namespace ebb::cli {

namespace {

constexpr Duration kWhole = std::chrono::minutes(5);  // for what there is
constexpr Duration kFollow = std::chrono::hours(24 * 365);

std::string path_of_log(const LogsOptions& options, const std::string& ns) {
  std::string path = options.name.empty() ? path_of(api::Pod::kind(), ns, options.pod) + "/log"
                                          : "/apis/ebb.dev/v1/namespaces/" + ns + "/services/" +
                                                options.name + "/log";
  std::string query;
  const auto add = [&query](const std::string& parameter) {
    query += (query.empty() ? "?" : "&") + parameter;
  };
  if (options.follow) add("follow=true");
  if (options.since) {
    // Whole seconds, rounded up: no line that was asked for is missing.
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(*options.since).count();
    add(fmt::format("sinceSeconds={}", seconds));
  }
  // Of one pod the API counts only that pod's lines.
  if (options.tail) add(fmt::format("tailLines={}", *options.tail));
  if (options.timestamps) add("timestamps=true");
  return path + query;
}

}  // namespace

Result<void> logs(const LogsOptions& options, const std::string& ns, ApiClient& client,
                  Console& console) {
  // A pod's own log needs no service; both together: the pod's.
  LogsOptions wanted = options;
  if (!wanted.pod.empty()) wanted.name.clear();
  auto done = client.watch(
      path_of_log(wanted, ns),
      [&console](std::string_view line) {
        console.out << line << "\n" << std::flush;
        return static_cast<bool>(console.out);
      },
      client.now() + (options.follow ? kFollow : kWhole));
  if (done || !console.out) return {};
  return done;
}

}  // namespace ebb::cli
