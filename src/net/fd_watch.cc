#include "net/fd_watch.h"

#include <boost/asio/posix/basic_stream_descriptor.hpp>

#include "net/asio_impl.h"

namespace ebb::net {

struct FdWatch::Impl : std::enable_shared_from_this<Impl> {
  using Descriptor = asio::posix::basic_stream_descriptor<asio::io_context::executor_type>;

  Impl(Executor& executor, int fd, std::function<void()> callback)
      : descriptor(executor.impl().io, fd), on_readable(std::move(callback)) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() { static_cast<void>(descriptor.release()); }  // not ours to close

  void wait() {
    descriptor.async_wait(Descriptor::wait_read, [self = shared_from_this()](const error_code& ec) {
      if (ec || !self->on_readable) return;
      const auto callback = self->on_readable;  // it may end the watch
      callback();
      if (self->on_readable) self->wait();
    });
  }

  Descriptor descriptor;
  std::function<void()> on_readable;  // empty once the watch has ended
};

FdWatch::FdWatch(Executor& executor, int fd, std::function<void()> on_readable)
    : impl_(std::make_shared<Impl>(executor, fd, std::move(on_readable))) {
  impl_->wait();
}

FdWatch::~FdWatch() {
  impl_->on_readable = nullptr;
  // Before the owner closes it: the engine forgets the number.
  static_cast<void>(impl_->descriptor.release());
}

}  // namespace ebb::net
