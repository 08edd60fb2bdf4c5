#include "net/fd_watch.h"

#include <cstring>
#include <stdexcept>

#include "net/engine.h"

namespace ebb::net {

struct FdWatch::Impl {
  Executor& executor;
  const int fd;
  Executor::Impl::Level level;
};

FdWatch::FdWatch(Executor& executor, int fd, std::function<void()> on_readable)
    : impl_(std::make_unique<Impl>(
          Impl{executor, fd, Executor::Impl::Level(std::move(on_readable))})) {
  if (const int err = executor.impl().watch(fd, impl_->level); err != 0) {
    throw std::runtime_error(std::string("cannot watch a descriptor: ") + std::strerror(err));
  }
}

// Before the owner closes it: the engine forgets the number.
FdWatch::~FdWatch() { impl_->executor.impl().unwatch(impl_->fd, impl_->level); }

}  // namespace ebb::net
