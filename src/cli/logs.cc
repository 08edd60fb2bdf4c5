// `ebb logs`.
#include <fmt/core.h>

#include <deque>

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

// False ends the reading: nobody takes the lines.
bool show(std::string_view line, Console& console) {
  console.out << line << "\n";
  return flush_output(console).has_value();
}

Result<void> show_log(const LogsOptions& options, const std::string& ns, ApiClient& client,
                      Console& console) {
  return client.watch(
      path_of_log(options, ns), [&console](std::string_view line) { return show(line, console); },
      client.now() + (options.follow ? kFollow : kWhole));
}

// Of a pod that has ended: its lines in the log of its service, which begin with its name.
// Returns how many there were.
Result<size_t> show_ended(const LogsOptions& options, const std::string& ns, ApiClient& client,
                          Console& console) {
  LogsOptions of_service = options;
  of_service.follow = false;  // it says nothing more
  of_service.tail.reset();    // the API would count the lines of all pods
  const std::string start = options.pod + " ";
  size_t found = 0;
  std::deque<std::string> last;
  auto done = client.watch(
      path_of_log(of_service, ns),
      [&](std::string_view line) {
        if (!line.starts_with(start)) return true;
        ++found;
        line.remove_prefix(start.size());
        if (!options.tail) return show(line, console);
        last.emplace_back(line);
        if (last.size() > static_cast<size_t>(*options.tail)) last.pop_front();
        return true;
      },
      client.now() + kWhole);
  for (const std::string& line : last) {
    if (!show(line, console)) break;
  }
  if (!done && console.out) return fail(done.error());
  return found;
}

}  // namespace

Result<void> logs(const LogsOptions& options, const std::string& ns, ApiClient& client,
                  Console& console) {
  // A pod's own log needs no service; both together: the pod's.
  LogsOptions wanted = options;
  if (!wanted.pod.empty()) wanted.name.clear();
  auto done = show_log(wanted, ns, client, console);
  if (done || !console.out) return {};
  const bool gone = !wanted.pod.empty() && done.error().code == Errc::kNotFound;
  if (gone && options.name.empty()) {
    return fail(Errc::kNotFound, "{}. If it has ended: ebb logs SERVICE --pod {}",
                done.error().message, options.pod);
  }
  if (!gone) return done;
  const auto found = show_ended(options, ns, client, console);
  if (!found) return fail(found.error());
  if (*found > 0) return {};
  return fail(Errc::kNotFound, "{}, and the log of service \"{}\" has no such line of it",
              done.error().message, options.name);
}

}  // namespace ebb::cli
