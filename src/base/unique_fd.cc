#include "base/unique_fd.h"

#include <sys/resource.h>
#include <unistd.h>

namespace ebb {

void UniqueFd::reset(int fd) {
  // Never retried: Linux has given the number up even when close() says EINTR.
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

void allow_many_descriptors() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));
}

}  // namespace ebb
