// The archive that `ebb backup` saves (apiserver/backup_endpoint.h says what is in it),
// read strictly: it may have been cut, changed, or be something else. Blocking.
#pragma once

#include <set>
#include <string>

#include "base/result.h"

namespace ebb::cli {

inline constexpr const char* kBackupState = "store/state.db";

// Puts what is in `file` into the folder `to`, which has the folders "store" and
// "blobs/sha256", both empty. Returns the digests of the code packages. kInvalid for
// what is no whole backup, or has a package that is not what its name says.
[[nodiscard]] Result<std::set<std::string>> unpack_backup(const std::string& file,
                                                          const std::string& to);

}  // namespace ebb::cli
