#include "node/runtime.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/quote.h"
#include "node/messages.h"

namespace ebb::node {
namespace {

constexpr size_t kMaxManifest = 64 * 1024;  // bytes
constexpr int64_t kMaxPool = 10'000;

enum class Type { kText, kList, kNumber, kSwitch };

struct Field {
  std::string_view name;
  Type type;
};

constexpr Field kFields[] = {{"name", Type::kText},       {"kind", Type::kText},
                             {"command", Type::kList},    {"programs", Type::kList},
                             {"entry", Type::kText},      {"entries", Type::kList},
                             {"mounts", Type::kList},     {"pool", Type::kNumber},
                             {"compiles", Type::kSwitch}, {"forks", Type::kSwitch}};

bool is_list_of_text(const nlohmann::json& value) {
  return value.is_array() &&
         std::all_of(value.begin(), value.end(), [](const auto& item) { return item.is_string(); });
}

Result<void> check_type(std::string_view name, const nlohmann::json& value) {
  const auto* field = std::find_if(std::begin(kFields), std::end(kFields),
                                   [&](const Field& f) { return f.name == name; });
  if (field == std::end(kFields)) return fail(Errc::kInvalid, "unknown field \"{}\"", name);
  if (field->type == Type::kText && !value.is_string()) {
    return fail(Errc::kInvalid, "\"{}\" must be a string", name);
  }
  if (field->type == Type::kList && !is_list_of_text(value)) {
    return fail(Errc::kInvalid, "\"{}\" must be a list of strings", name);
  }
  if (field->type == Type::kSwitch && !value.is_boolean()) {
    return fail(Errc::kInvalid, "\"{}\" must be true or false", name);
  }
  const bool count = value.is_number_integer() && value >= 0 && value <= kMaxPool;
  if (field->type == Type::kNumber && !count) {
    return fail(Errc::kInvalid, "\"{}\" must be a number from 0 to {}", name, kMaxPool);
  }
  return {};
}

Result<void> check(const Runtime& runtime, const std::string& kind) {
  if (kind != "zygote" && kind != "process") {
    return fail(Errc::kInvalid, "\"kind\" must be \"zygote\" or \"process\"");
  }
  if (!is_safe_name(runtime.name)) {
    return fail(Errc::kInvalid, "\"name\" must be lower-case letters, digits and dashes");
  }
  if (runtime.programs.empty() &&
      (runtime.command.empty() || !runtime.command.front().starts_with('/'))) {
    return fail(Errc::kInvalid,
                "\"command\" must begin with an absolute path, unless \"programs\" names one");
  }
  for (const auto& program : runtime.programs) {
    if (!program.starts_with('/')) {
      return fail(Errc::kInvalid, "\"programs\": {} is not an absolute path", in_quotes(program));
    }
  }
  if (runtime.entry.find('/') != std::string::npos) {
    return fail(Errc::kInvalid, "\"entry\" must be a file name");
  }
  for (const auto& entry : runtime.entries) {
    if (entry.empty() || entry.find('/') != std::string::npos) {
      return fail(Errc::kInvalid, "\"entries\": {} is not a file name", in_quotes(entry));
    }
  }
  if (!runtime.entry.empty() && !runtime.entries.empty()) {
    return fail(Errc::kInvalid, "\"entry\" and \"entries\" exclude each other");
  }
  return {};
}

bool shows(const std::vector<std::string>& mounts, const std::string& path) {
  return std::any_of(mounts.begin(), mounts.end(), [&](const std::string& mount) {
    const std::string shown = mount.starts_with('?') ? mount.substr(1) : mount;
    return path == shown || path.starts_with(shown + "/");
  });
}

}  // namespace

Result<Runtime> Runtime::load(const std::string& folder) {
  const auto text = read_file(folder + "/manifest.json", kMaxManifest);
  if (!text) return fail(text.error());
  return parse(*text, folder);
}

Result<Runtime> Runtime::parse(std::string_view text, const std::string& folder) {
  const std::string where = folder + "/manifest.json";
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return fail(Errc::kInvalid, "{}: not a JSON object", where);
  for (const auto& [key, value] : json.items()) {
    if (auto typed = check_type(key, value); !typed) {
      return fail(Errc::kInvalid, "{}: {}", where, typed.error().message);
    }
  }
  const std::vector<std::string> none;
  Runtime runtime;
  runtime.folder = folder;
  runtime.name = json.value("name", "");
  const std::string kind = json.value("kind", "zygote");
  runtime.kind = kind == "process" ? Kind::kProcess : Kind::kZygote;
  runtime.command = json.value("command", none);
  runtime.programs = json.value("programs", none);
  runtime.entry = json.value("entry", "");
  runtime.entries = json.value("entries", none);
  runtime.mounts = json.value("mounts", none);
  runtime.pool = json.value("pool", runtime.pool);
  runtime.compiles = json.value("compiles", false);
  runtime.forks = json.value("forks", false);
  if (auto good = check(runtime, kind); !good) {
    return fail(Errc::kInvalid, "{}: {}", where, good.error().message);
  }
  return runtime;
}

Result<Runtime> Runtime::resolved() const {
  if (programs.empty()) return *this;
  Runtime out = *this;
  std::string tried;
  for (const auto& program : programs) {
    std::error_code error;
    // A link is followed here: its target must be seen in the pod, not only its name.
    const std::string found = std::filesystem::canonical(program, error);
    tried += (tried.empty() ? "" : ", ") + program;
    if (error) continue;
    out.command.insert(out.command.begin(), found);
    if (!shows(out.mounts, found)) out.mounts.push_back(found);
    return out;
  }
  return fail(Errc::kNotFound,
              "the runtime {} needs one of {}: install it, or name where it is in {}/manifest.json",
              name, tried, folder);
}

std::vector<ListedRuntime> list_runtimes(const std::string& folder) {
  std::vector<ListedRuntime> out;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    const std::string path = entry.path().string();
    const std::string name = entry.path().filename().string();
    if (!is_safe_name(name) || !std::filesystem::exists(path + "/manifest.json", ignored)) continue;
    ListedRuntime& one = out.emplace_back();
    one.name = name;
    const auto runtime = Runtime::load(path);
    if (!runtime) {
      one.problem = runtime.error().message;
      continue;
    }
    one.starts = runtime->starts();
    if (const auto found = runtime->resolved(); !found) one.problem = found.error().message;
  }
  std::sort(out.begin(), out.end(),
            [](const ListedRuntime& a, const ListedRuntime& b) { return a.name < b.name; });
  return out;
}

}  // namespace ebb::node
