#include "node/runtime.h"

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "node/messages.h"

namespace ebb::node {
namespace {
constexpr size_t kMaxManifest = 64 * 1024;  // bytes
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
  Runtime runtime;
  runtime.folder = folder;
  for (const auto& [key, value] : json.items()) {
    const bool list = key == "command" || key == "mounts";
    bool well_typed = list ? value.is_array() : value.is_string();
    if (list && well_typed) {
      for (const auto& item : value) well_typed = well_typed && item.is_string();
    }
    if (!well_typed) {
      return fail(Errc::kInvalid, "{}: \"{}\" must be {}", where, key,
                  list ? "a list of strings" : "a string");
    }
    if (key == "name") {
      runtime.name = value;
    } else if (key == "kind") {
      if (value != "zygote") {
        return fail(Errc::kInvalid, "{}: \"kind\" must be \"zygote\"", where);
      }
    } else if (key == "command") {
      runtime.command = value;
    } else if (key == "entry") {
      runtime.entry = value;
    } else if (key == "mounts") {
      runtime.mounts = value;
    } else {
      return fail(Errc::kInvalid, "{}: unknown field \"{}\"", where, key);
    }
  }
  if (!is_safe_name(runtime.name)) {
    return fail(Errc::kInvalid, "{}: \"name\" must be lower-case letters, digits and dashes",
                where);
  }
  if (runtime.command.empty()) return fail(Errc::kInvalid, "{}: \"command\" is missing", where);
  if (runtime.entry.empty() || runtime.entry.find('/') != std::string::npos) {
    return fail(Errc::kInvalid, "{}: \"entry\" must be a file name", where);
  }
  return runtime;
}

}  // namespace ebb::node
