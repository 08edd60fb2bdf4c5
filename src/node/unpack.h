// Unpacks a code package (tar) that may be hostile into an empty folder.
//
// Only files, folders and symbolic links that stay inside; no name twice; modes become
// 0755 (folders, and files that someone may execute) or 0644. The folders on the way to
// each entry are opened one by one from the top without following links, so nothing
// lands outside. (libarchive's own extraction works from the process' current folder and
// umask, which threads share; here it only reads.)
//
// Blocking. Not thread-safe, but step() may be called on different threads in turn.
//
//   auto unpacker = Unpacker::open(std::move(tar), std::move(folder), {});
//   for (bool more = true; more;) more = *(*unpacker)->step();
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

struct archive;
struct archive_entry;

namespace ebb::node {

struct UnpackLimits {
  uint64_t bytes = 512 << 20;  // of all files, and all link targets
  size_t entries = 100'000;    // files, folders and links
  size_t depth = 64;           // folders inside folders
};

class Unpacker final {
 public:
  // About how much one step() does.
  static constexpr uint64_t kStepBytes = 8 << 20;
  static constexpr size_t kStepEntries = 256;

  // `source`: the archive, read from where it stands. `folder`: open for reading.
  [[nodiscard]] static Result<std::unique_ptr<Unpacker>> open(UniqueFd source, UniqueFd folder,
                                                              UnpackLimits limits);
  // Does a part of the work. False when all is done. kInvalid: the package is at
  // fault, and part of it may lie in the folder.
  [[nodiscard]] Result<bool> step();

 private:
  struct Close {
    void operator()(archive* a) const;
  };
  Unpacker(UniqueFd source, UniqueFd folder, UnpackLimits limits);

  [[nodiscard]] Result<void> begin(archive_entry* entry);
  [[nodiscard]] Result<void> add_file(int parent, const std::string& name, archive_entry* entry);
  [[nodiscard]] Result<void> add_link(int parent, const std::string& name, size_t depth,
                                      archive_entry* entry);
  [[nodiscard]] Result<bool> copy(uint64_t* budget);
  [[nodiscard]] Result<UniqueFd> enter(const std::vector<std::string>& folders);
  [[nodiscard]] Result<void> count_bytes(uint64_t bytes);

  UniqueFd source_;
  UniqueFd folder_;
  UnpackLimits limits_;
  std::unique_ptr<archive, Close> archive_;
  // The file being written.
  UniqueFd file_;
  std::string path_;
  uint64_t size_ = 0;
  mode_t mode_ = 0;

  uint64_t bytes_ = 0;
  size_t entries_ = 0;
};

}  // namespace ebb::node
