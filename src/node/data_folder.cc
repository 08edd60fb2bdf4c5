#include "node/data_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/sha256.h"
#include "base/unique_fd.h"

namespace ebb::node {

Result<void> DataFolder::prepare(uid_t front) const {
  const struct {
    std::string path;
    uid_t owner;
    mode_t mode;
  } folders[] = {{root, 0, 0755},       {store(), front, 0700}, {blobs(), front, 0700},
                 {code(), front, 0711}, {logs(), front, 0700},  {policies(), 0, 0755},
                 {run(), 0, 0711},      {pods(), 0, 0711}};
  for (const auto& folder : folders) {
    if (::mkdir(folder.path.c_str(), folder.mode) != 0 && errno != EEXIST) {
      return fail_errno(errno, "cannot make the folder " + folder.path);
    }
    // The root may be the user's own folder: its owner and mode are left alone.
    if (folder.path == root) continue;
    // Not by name: a link in a folder of somebody else's must not give a file away.
    const UniqueFd fd(::open(folder.path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd || ::fchown(fd.get(), folder.owner, folder.owner) != 0 ||
        ::fchmod(fd.get(), folder.mode) != 0) {
      return fail_errno(errno, "cannot take the folder " + folder.path);
    }
  }
  return {};
}

std::string DataFolder::id() const { return sha256_hex(root).substr(0, 12); }

}  // namespace ebb::node
