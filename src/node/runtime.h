// A runtime is a folder with a manifest: how its pods come to be, and what of the
// host they see. docs/runtimes.md describes the file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ebb::node {

struct Runtime {
  enum class Kind {
    kZygote,   // one prepared process forks all pods
    kProcess,  // each pod is a program of its own, started ahead by ebb-spawn
  };

  std::string name;
  Kind kind = Kind::kZygote;
  // Of the zygote, or of a pod (kProcess); /ebb/runtime is the folder. With `programs`
  // it has the arguments only.
  std::vector<std::string> command;
  std::vector<std::string> programs;  // the first that exists on the host is run
  std::string entry;                  // the file that a code package must have; may be empty
  std::vector<std::string> entries;   // files of which one is needed, unless a command is given
  std::vector<std::string> mounts;    // see sandbox::RootSpec
  bool compiles = false;              // its pods hand in and take CompiledCode
  bool forks = false;                 // its pods can fork others once their code is loaded
  uint32_t pool = 8;                  // cold pods to hold, unless a setting says otherwise
  std::string folder;                 // on the host

  // Reads FOLDER/manifest.json. kInvalid with the field that is wrong.
  [[nodiscard]] static Result<Runtime> load(const std::string& folder);
  // Pure: from the manifest's text.
  [[nodiscard]] static Result<Runtime> parse(std::string_view text, const std::string& folder);

  // Files of which a code package needs one; empty: any will do.
  [[nodiscard]] std::vector<std::string> starts() const {
    return entry.empty() ? entries : std::vector<std::string>{entry};
  }

  // The program to run and what must be shown for it, found on this host: `command`
  // complete, `mounts` with the program. kNotFound if it has none of its programs.
  [[nodiscard]] Result<Runtime> resolved() const;
  // ebb-spawn, beside the runtimes' folders.
  [[nodiscard]] std::string spawner() const { return folder + "/../ebb-spawn"; }
};

// What is in a runtimes' folder.
struct ListedRuntime {
  std::string name;                 // of its folder
  std::vector<std::string> starts;  // see Runtime::starts()
  std::string problem;              // why it can have no pods here; empty: it can
};

// Sorted by name; nothing where the folder cannot be read. Blocking, a few small files.
[[nodiscard]] std::vector<ListedRuntime> list_runtimes(const std::string& folder);

}  // namespace ebb::node
