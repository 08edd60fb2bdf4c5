// Whole small files. Blocking: never on a data executor.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/result.h"

namespace ebb {

// All of a file. kExhausted if it has more than `max_bytes`, so that no
// unexpected file can fill the memory.
[[nodiscard]] Result<std::string> read_file(const std::string& path, size_t max_bytes);
// Of a regular file only: kInvalid for others, which could keep the reader waiting.
[[nodiscard]] Result<std::string> read_regular_file(const std::string& path, size_t max_bytes);

// Replaces (or makes) `path` so that a reader, or a crash at any moment, sees the
// old content or all of the new one. `mode` is set whatever the umask is.
[[nodiscard]] Result<void> write_file_atomic(const std::string& path, std::string_view data,
                                             mode_t mode);

}  // namespace ebb
