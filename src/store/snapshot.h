// A consistent copy of an SQLite store's file, made while the store goes on writing.
// Blocking.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace ebb::store {

struct Snapshot {
  UniqueFd file;  // open to read; it has no name any more
  uint64_t size = 0;
  // The code packages that its values name, each once.
  std::vector<std::string> digests;
};

// Of the store whose file is `path`, as of one moment, with all that was acknowledged
// before the call. It goes through a file beside it, so the disk must have room for
// it; one call at a time. Reads by a connection of its own, so that writes do not wait.
[[nodiscard]] Result<Snapshot> take_snapshot(const std::string& path);

// For a store that is not in use: kInvalid if the file is damaged or not Ebb's. Returns
// the code packages that its values name.
[[nodiscard]] Result<std::vector<std::string>> check_store_file(const std::string& path);

}  // namespace ebb::store
