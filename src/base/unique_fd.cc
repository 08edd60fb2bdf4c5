#include "base/unique_fd.h"

#include <unistd.h>

namespace ebb {

void UniqueFd::reset(int fd) {
  // Never retried: Linux has given the number up even when close() says EINTR.
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

}  // namespace ebb
