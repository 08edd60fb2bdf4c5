#include "cli/runtimes.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/table.h"

namespace ebb::cli {

namespace {

using api::Json;

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

}  // namespace

Result<std::vector<KnownRuntime>> known_runtimes(ApiClient& client) {
  const auto info = client.get("/apis/ebb.dev/v1/info", client.now() + kCallTimeout);
  if (!info) return fail(info.error());
  std::vector<KnownRuntime> out;
  const auto list = info->find("runtimes");
  if (list == info->end() || !list->is_array()) return out;
  for (const Json& one : *list) {
    KnownRuntime& runtime = out.emplace_back();
    runtime.name = text_at(one, {"name"});
    runtime.problem = text_at(one, {"problem"});
    const auto starts = one.find("starts");
    if (starts == one.end() || !starts->is_array()) continue;
    for (const Json& file : *starts) {
      if (file.is_string()) runtime.starts.push_back(file.get<std::string>());
    }
  }
  return out;
}

const std::vector<std::string>& shipped_runtimes() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> out;
    std::string_view rest = EBB_SHIPPED_RUNTIMES;  // the folders of runtimes/, see CMakeLists.txt
    while (!rest.empty()) {
      const size_t end = std::min(rest.find(','), rest.size());
      out.emplace_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return out;
  }();
  return kNames;
}

Result<void> check_shipped_runtime(std::string_view name) {
  const auto& names = shipped_runtimes();
  if (std::find(names.begin(), names.end(), name) != names.end()) return {};
  return fail(Errc::kInvalid, "there is no runtime \"{}\"; there are: {}", name, joined(names));
}

Result<void> check_runtime(const std::vector<KnownRuntime>& known, const std::string& runtime,
                           const std::string& folder, bool has_command) {
  namespace fs = std::filesystem;
  if (known.empty()) return {};
  const auto found = std::find_if(known.begin(), known.end(),
                                  [&](const KnownRuntime& one) { return one.name == runtime; });
  if (found == known.end()) {
    std::vector<std::string> names;
    names.reserve(known.size());
    for (const auto& one : known) names.push_back(one.name);
    return fail(Errc::kInvalid, "there is no runtime {}; there are: {}", runtime, joined(names));
  }
  if (!found->problem.empty()) return fail(Errc::kInvalid, "{}", found->problem);
  std::error_code ignored;
  if (has_command || found->starts.empty()) return {};
  if (!fs::is_directory(folder, ignored) || fs::is_empty(folder, ignored)) return {};
  const bool starts =
      std::any_of(found->starts.begin(), found->starts.end(),
                  [&](const auto& file) { return fs::exists(fs::path(folder) / file, ignored); });
  if (starts) return {};
  return fail(Errc::kInvalid, "\"{}\" has {}{}: the {} runtime starts there", folder,
              found->starts.size() == 1 ? "no " : "none of ", joined(found->starts), runtime);
}

Result<void> runtimes(ApiClient& client, Console& console) {
  const auto known = known_runtimes(client);
  if (!known) return fail(known.error());
  Table shown{{"NAME", "STARTS FROM", "PROBLEM"}, {}};
  for (const auto& one : *known) {
    shown.rows.push_back({one_line(one.name),
                          one.starts.empty() ? "-" : one_line(joined(one.starts)),
                          one_line(one.problem)});
  }
  if (shown.rows.empty()) {
    console.err << "The API does not say which runtimes there are.\n";
  } else {
    console.out << render(shown);
  }
  return {};
}

}  // namespace ebb::cli
