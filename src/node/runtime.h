// A runtime is a folder with a manifest: how its pods come to be, and what of the
// host they see. docs/runtimes.md describes the file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ebb::node {

struct Runtime {
  enum class Kind { kZygote };  // one prepared process forks all pods

  std::string name;
  Kind kind = Kind::kZygote;
  std::vector<std::string> command;  // of the zygote; /ebb/runtime is the folder
  std::string entry;                 // the file that a code package must have
  std::vector<std::string> mounts;   // see sandbox::RootSpec
  std::string folder;                // on the host

  // Reads FOLDER/manifest.json. kInvalid with the field that is wrong.
  [[nodiscard]] static Result<Runtime> load(const std::string& folder);
  // Pure: from the manifest's text.
  [[nodiscard]] static Result<Runtime> parse(std::string_view text, const std::string& folder);
};

}  // namespace ebb::node
