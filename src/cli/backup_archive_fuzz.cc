// Any bytes as a backup: refused with a reason, and nothing outside the folder written.
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/unique_fd.h"
#include "cli/backup_archive.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace fs = std::filesystem;
  static const std::string kFolder = [] {
    std::string pattern = fs::temp_directory_path() / "ebb-backup-fuzz-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    return pattern;
  }();
  const ebb::UniqueFd file(::memfd_create("backup", MFD_CLOEXEC));
  if (::write(file.get(), data, size) != static_cast<ssize_t>(size)) std::abort();
  const std::string to = kFolder + "/to";
  fs::create_directories(to + "/store");
  fs::create_directories(to + "/blobs/sha256");
  const auto done = ebb::cli::unpack_backup("/proc/self/fd/" + std::to_string(file.get()), to);
  if (!done && done.error().message.empty()) std::abort();
  fs::remove_all(to);
  if (!fs::is_empty(kFolder)) std::abort();
  return 0;
}
