// `ebb restore`: from a backup to a data folder, without an API.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <system_error>

#include "base/random.h"
#include "base/unique_fd.h"
#include "cli/backup_archive.h"
#include "cli/commands.h"
#include "node/data_folder.h"
#include "node/ids.h"
#include "store/snapshot.h"

namespace ebb::cli {

namespace {

namespace fs = std::filesystem;

// A folder inside the data folder that everything is put into first; gone at the end.
class Workplace final {
 public:
  explicit Workplace(const std::string& data) : path_(data + "/.restore-" + random_hex(6)) {}
  ~Workplace() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Workplace(const Workplace&) = delete;
  Workplace& operator=(const Workplace&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Result<void> check_empty(const std::string& data) {
  std::error_code error;
  fs::create_directories(data, error);
  if (error) return fail(Errc::kInvalid, "cannot make {}: {}", data, error.message());
  for (const char* name : {"store/state.db", "blobs/sha256", "run/front.lock"}) {
    const fs::path path = fs::path(data) / name;
    const bool there =
        fs::is_directory(path, error) ? !fs::is_empty(path, error) : fs::exists(path, error);
    if (there) {
      return fail(Errc::kAlreadyExists,
                  "the data folder {} is in use already: choose an empty one with --data", data);
    }
  }
  return {};
}

Result<void> move_into(const std::string& from, const std::string& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) return fail(Errc::kInternal, "cannot write {}: {}", to, error.message());
  return {};
}

Result<void> sync_folder(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return fail_errno(errno, "cannot sync " + path);
  return {};
}

// As root all belongs to the user as whom Ebb serves.
Result<void> give_to_front(const std::string& folder) {
  if (::geteuid() != 0) return {};
  std::error_code error;
  fs::recursive_directory_iterator entries(folder, error);
  for (; !error && entries != fs::recursive_directory_iterator(); entries.increment(error)) {
    if (::lchown(entries->path().c_str(), node::front_uid(), node::front_uid()) != 0) {
      return fail_errno(errno, "cannot give away " + entries->path().string());
    }
  }
  if (error) return fail(Errc::kInternal, "cannot read {}: {}", folder, error.message());
  return {};
}

}  // namespace

Result<void> restore(const RestoreOptions& options, Console& console) {
  const auto began = std::chrono::steady_clock::now();
  Progress progress(console);
  progress.step("Restoring " + options.file);
  std::error_code error;
  const node::DataFolder data{.root = fs::absolute(options.data, error).lexically_normal()};
  if (auto ok = check_empty(data.root); !ok) return ok;
  const Workplace work(data.root);
  for (const char* folder : {"", "/store", "/blobs", "/blobs/sha256"}) {
    if (::mkdir((work.path() + folder).c_str(), 0700) != 0) {
      return fail_errno(errno, "cannot write to " + data.root);
    }
  }
  const auto packages = unpack_backup(options.file, work.path());
  if (!packages) return fail(packages.error());
  const auto named = store::check_store_file(work.path() + "/" + kBackupState);
  if (!named) return fail(Errc::kInvalid, "{}: {}", options.file, named.error().message);
  if (auto ok = give_to_front(work.path()); !ok) return ok;

  if (::geteuid() == 0) {
    if (auto ok = data.prepare(node::front_uid()); !ok) return ok;
  } else {
    for (const std::string& folder : {data.store(), data.blobs()}) {
      fs::create_directories(folder, error);
    }
  }
  // The store last: without it the folder is still an empty one.
  fs::remove(data.blobs() + "/sha256", error);
  if (auto ok = move_into(work.path() + "/blobs/sha256", data.blobs() + "/sha256"); !ok) return ok;
  if (auto ok = sync_folder(data.blobs() + "/sha256"); !ok) return ok;
  if (auto ok = sync_folder(data.blobs()); !ok) return ok;
  if (auto ok = move_into(work.path() + "/" + kBackupState, data.root + "/" + kBackupState); !ok)
    return ok;
  if (auto ok = sync_folder(data.store()); !ok) return ok;
  progress.clear();
  for (const std::string& digest : *named) {
    if (packages->contains(digest)) continue;
    console.err << "The backup does not have the code package " << digest
                << ": deploy the functions that use it again\n";
  }
  console.out << fmt::format("restored {} to {} in {}: start it with ebb up --data {}\n",
                             options.file, data.root,
                             format_took(std::chrono::steady_clock::now() - began), data.root);
  return {};
}

}  // namespace ebb::cli
