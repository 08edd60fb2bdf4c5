#include "cli/dependencies.h"

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>
#include <vector>

#include "api/json.h"
#include "base/file.h"
#include "cli/package.h"
#include "cli/tool.h"

namespace ebb::cli {

namespace {

namespace fs = std::filesystem;
using api::Json;
using ToolCommand = std::vector<std::string>;

constexpr size_t kMaxList = 4 << 20;                        // bytes of either file
constexpr Duration kMaxInstall = std::chrono::minutes(30);  // one run of pip or npm
constexpr Duration kMaxLook = std::chrono::seconds(30);     // one look for a pip
constexpr const char* kPython = "/usr/bin/python3";         // what the runtime uses

TimePoint in(Duration time) { return std::chrono::steady_clock::now() + time; }

bool runs(const ToolCommand& command) {
  const auto run = run_tool(command, "/", [](std::string_view) {}, in(kMaxLook));
  return run && run->exit_code == 0;
}

// A pip that installs for the interpreter of the runtime, if that is on this machine.
Result<ToolCommand> find_pip() {
  if (runs({kPython, "-m", "pip", "--version"})) return ToolCommand{kPython, "-m", "pip"};
  for (const ToolCommand& pip :
       {ToolCommand{"pip3"}, ToolCommand{"pip"}, ToolCommand{"python3", "-m", "pip"}}) {
    ToolCommand for_runtime = pip;
    for_runtime.insert(for_runtime.end(), {"--python", kPython});
    ToolCommand look = for_runtime;
    look.emplace_back("--version");
    if (runs(look)) return for_runtime;
    look = pip;
    look.emplace_back("--version");
    if (runs(look)) return pip;
  }
  return fail(Errc::kNotFound,
              "requirements.txt needs pip, which is not installed: install it (on Debian: apt-get "
              "install python3-pip), or deploy with --no-install");
}

// Runs it with its lines as the progress; what it printed is shown if it fails.
Result<void> install_with(const std::string& tool, const ToolCommand& command,
                          const std::string& folder, Progress& progress, Console& console) {
  const auto run = run_tool(
      command, folder, [&progress](std::string_view line) { progress.detail(std::string(line)); },
      in(kMaxInstall));
  if (!run) return fail(run.error());
  if (run->exit_code == 0) return {};
  progress.clear();
  console.err << run->output;
  if (!run->output.ends_with('\n')) console.err << "\n";
  return fail(Errc::kInvalid, "{} failed with exit code {}: see its messages above", tool,
              run->exit_code);
}

// --- Python ---

// True if a line of it names something.
bool names_packages(const std::string& requirements) {
  size_t start = 0;
  while (start < requirements.size()) {
    const size_t end = std::min(requirements.find('\n', start), requirements.size());
    const size_t first = requirements.find_first_not_of(" \t\r", start);
    if (first < end && requirements[first] != '#') return true;
    start = end + 1;
  }
  return false;
}

Result<void> install_python(const DeployOptions& options, const fs::path& copy, Progress& progress,
                            Console& console) {
  progress.step("Installing requirements.txt with pip");
  auto command = find_pip();
  if (!command) return fail(command.error());
  const std::string target = copy / kPythonPackages;
  command->insert(command->end(), {"install", "--disable-pip-version-check", "--no-input",
                                   "--no-compile", "--target", target, "-r", "requirements.txt"});
  command->insert(command->end(), options.pip_options.begin(), options.pip_options.end());
  if (auto done = install_with("pip", *command, options.code, progress, console); !done) {
    return done;
  }
  // Compiled once here, not at every cold start; not checked against times, which a
  // package does not keep. Without the interpreter here, the pods compile.
  std::error_code ignored;
  fs::create_directories(target, ignored);
  static_cast<void>(run_tool(
      {kPython, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "-s",
       copy, "-p", "/code", target},
      "/", [](std::string_view) {}, in(kMaxInstall)));
  return {};
}

// --- Node ---

Result<Json> read_package_json(const fs::path& file) {
  const auto text = read_file(file, kMaxList);
  if (!text) return fail(text.error());
  auto json = api::parse_json(*text);
  if (!json) return fail(Errc::kInvalid, "{}: {}", file.string(), json.error().message);
  if (!json->is_object()) return fail(Errc::kInvalid, "{} is not a JSON object", file.string());
  return json;
}

constexpr std::array<const char*, 2> kDependencies{"dependencies", "optionalDependencies"};

bool names_packages(const Json& package) {
  return std::any_of(kDependencies.begin(), kDependencies.end(), [&package](const char* list) {
    return package.contains(list) && package[list].is_object() && !package[list].empty();
  });
}

// "file:../lib" means another place in the copy: such a path is made absolute. True if
// there was one.
bool pin_local_packages(Json& package, const fs::path& code) {
  constexpr std::string_view kFile = "file:";
  bool changed = false;
  for (const char* list : kDependencies) {
    if (!package.contains(list) || !package[list].is_object()) continue;
    for (Json& wanted : package[list]) {
      if (!wanted.is_string()) continue;
      const auto text = wanted.get<std::string>();
      const fs::path path = text.starts_with(kFile) ? text.substr(kFile.size()) : "";
      if (path.empty() || path.is_absolute() || *path.lexically_normal().begin() != "..") continue;
      std::error_code ignored;
      wanted = "file:" + fs::weakly_canonical(code / path, ignored).string();
      changed = true;
    }
  }
  return changed;
}

Result<void> install_node(const DeployOptions& options, Json package, const fs::path& copy,
                          Progress& progress, Console& console) {
  progress.step("Installing package.json with npm");
  const fs::path file = copy / "package.json";
  const auto original = read_file(file, kMaxList);
  if (!original) return fail(original.error());
  const bool pinned = pin_local_packages(package, options.code);
  constexpr mode_t kMode = 0644;
  if (pinned) {
    if (auto ok = write_file_atomic(file, package.dump(2) + "\n", kMode); !ok) return ok;
  }
  // Local packages are copied, as links would lead out of the package.
  ToolCommand command{"npm",       "install",         "--omit=dev",    "--no-audit",
                      "--no-fund", "--install-links", "--no-progress", "--no-update-notifier"};
  command.insert(command.end(), options.npm_options.begin(), options.npm_options.end());
  auto done = install_with("npm", command, copy, progress, console);
  if (!done && done.error().code == Errc::kNotFound) {
    return fail(Errc::kNotFound,
                "package.json needs npm, which is not installed: install it (on Debian: apt-get "
                "install npm), or deploy with --no-install");
  }
  if (!done) return done;
  // npm's own notes hold paths of this machine.
  std::error_code ignored;
  fs::remove(copy / "node_modules/.package-lock.json", ignored);
  return pinned ? write_file_atomic(file, *original, kMode) : Result<void>{};
}

}  // namespace

Result<StagingFolder> StagingFolder::make() {
  std::error_code error;
  std::string pattern = fs::temp_directory_path(error) / "ebb-deploy-XXXXXX";
  if (error || ::mkdtemp(pattern.data()) == nullptr) {
    return fail(Errc::kInternal, "cannot make a folder for temporary files: set TMPDIR");
  }
  return StagingFolder(std::move(pattern));
}

StagingFolder::~StagingFolder() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

Result<std::optional<StagingFolder>> install_dependencies(const DeployOptions& options,
                                                          Progress& progress, Console& console) {
  const fs::path code(options.code);
  std::error_code ignored;
  bool python = !options.runtime.starts_with("node") &&
                fs::is_regular_file(code / "requirements.txt", ignored);
  if (python) {
    const auto text = read_file(code / "requirements.txt", kMaxList);
    if (!text) return fail(text.error());
    python = names_packages(*text);
  }
  Json package;
  bool node =
      !options.runtime.starts_with("python") && fs::is_regular_file(code / "package.json", ignored);
  if (node) {
    auto read = read_package_json(code / "package.json");
    if (!read) return fail(read.error());
    package = std::move(*read);
    node = names_packages(package);
  }
  if (!options.install || (!python && !node)) return std::optional<StagingFolder>();

  auto folder = StagingFolder::make();
  if (!folder) return fail(folder.error());
  std::vector<std::string> without{".ebb"};
  if (node) without.emplace_back("node_modules");
  if (auto ok = copy_package(options.code, folder->path(), without); !ok) return fail(ok.error());
  if (python) {
    if (auto ok = install_python(options, folder->path(), progress, console); !ok) {
      return fail(ok.error());
    }
  }
  if (node) {
    if (auto ok = install_node(options, std::move(package), folder->path(), progress, console);
        !ok) {
      return fail(ok.error());
    }
  }
  return std::optional<StagingFolder>(std::move(*folder));
}

}  // namespace ebb::cli
