// What a function needs besides its own code: packages that requirements.txt or
// package.json beside it name, installed by pip or npm into a copy of the folder, so
// that the user's own folder stays as it is. Blocking.
//
// Python packages go to .ebb/python in the copy (the runtime has /code/.ebb/python on
// its path), those of node to node_modules.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "base/result.h"
#include "cli/console.h"
#include "cli/options.h"

namespace ebb::cli {

inline constexpr const char* kPythonPackages = ".ebb/python";

// A folder under the system's one for temporary files; gone with this object.
class StagingFolder final {
 public:
  [[nodiscard]] static Result<StagingFolder> make();
  StagingFolder(StagingFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  StagingFolder& operator=(StagingFolder&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
  }
  ~StagingFolder();
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  explicit StagingFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// The copy with everything installed; nullopt if nothing is to be installed. For
// runtimes named python... only requirements.txt counts, for node... only package.json,
// for others both. When a tool fails, the end of its output goes to `console.err`.
[[nodiscard]] Result<std::optional<StagingFolder>> install_dependencies(
    const DeployOptions& options, Progress& progress, Console& console);

}  // namespace ebb::cli
