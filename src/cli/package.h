// Packs a function's folder into the archive that Ebb runs it from.
//
// The same files give the same bytes, wherever and whenever they are packed: names
// are sorted, times and owners are zero, modes are 0644 or 0755. So the content hash
// names the code, and code that is already there is not sent again. What version
// control, caches and virtual environments keep there is left out (.git, __pycache__,
// .venv, ...). Blocking.
//
//   auto package = pack("./hello", "python");
//   if (!package) return fail(package.error());       // says which file and why
//   upload(package->digest(), package->tar);
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ebb::cli {

inline constexpr uint64_t kMaxPackageBytes = 100ULL << 20;  // sum of the files' sizes
inline constexpr size_t kMaxPackageEntries = 50'000;        // files, folders and links
inline constexpr int kMaxPackageDepth = 64;                 // folders inside folders

struct Package {
  std::string tar;     // POSIX pax, uncompressed
  std::string sha256;  // of `tar`, 64 hex digits
  size_t files = 0;
  uint64_t bytes = 0;  // sum of the files' sizes

  [[nodiscard]] std::string digest() const { return "sha256:" + sha256; }
};

// kInvalid or kPermission with a message for the user: the folder is missing, empty,
// unreadable or too large; it holds a link that leads outside of it, a socket, pipe
// or device; or it lacks the file that `runtime` starts from (python: main.py).
[[nodiscard]] Result<Package> pack(const std::string& folder, std::string_view runtime);

// Copies what pack() would take into the empty folder `to`, without the entries of
// `folder` itself that `without` names. The same errors.
[[nodiscard]] Result<void> copy_package(const std::string& folder, const std::string& to,
                                        const std::vector<std::string>& without);

}  // namespace ebb::cli
