#include "net/stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <cassert>
#include <cerrno>

#include "net/sockaddr.h"
#include "net/stream_impl.h"

namespace ebb::net {
namespace {

int family_of(int fd) {
  int family = AF_UNSPEC;
  socklen_t size = sizeof family;
  ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size);
  return family;
}

}  // namespace

Stream::Impl::Impl(Executor& e, UniqueFd fd, int family) : executor(e), socket(e.impl().io) {
  error_code ec;
  socket.assign(asio::generic::stream_protocol(family, 0), fd.get(), ec);
  if (!ec) {
    (void)fd.release();
    socket.non_blocking(true, ec);
  }
  // No epoll watch to be had, or not a socket: every operation says kCanceled.
  if (ec) {
    (void)socket_failure(ec.value(), "cannot watch a socket");
    close();
  }
}

Stream::Impl::~Impl() {
  // Nobody waits, or the waiting frame is being destroyed with this stream.
  read->abandon();
  write->abandon();
  if (tls && !closed) tls->say_goodbye();
  error_code ignored;
  socket.close(ignored);
}

void Stream::Impl::close() {
  if (std::exchange(closed, true)) return;
  read->deadline.disarm();
  write->deadline.disarm();
  error_code ignored;
  socket.close(ignored);  // posts the pending operations' completions
}

Stream Stream::Impl::make(Executor& executor, UniqueFd fd, int family) {
  return Stream(std::make_unique<Impl>(executor, std::move(fd), family));
}

Task<IoResult<void>> Stream::Impl::connected(Stream& stream, TimePoint deadline) {
  Impl& impl = *stream.impl_;
  Direction& write = *impl.write;
  if (impl.closed) co_return fail(IoError::kExhausted);  // no epoll watch
  SocketReady ready{impl.executor, impl.socket, write, Socket::wait_write, deadline};
  const error_code ec = co_await ready;
  if (ec) co_return fail(write.failure("connect"));
  int err = 0;
  socklen_t size = sizeof err;
  ::getsockopt(impl.socket.native_handle(), SOL_SOCKET, SO_ERROR, &err, &size);
  if (err != 0) co_return fail(socket_failure(err, "connect"));
  co_return IoResult<void>();
}

bool Stream::Impl::refuse(Direction& direction, TimePoint deadline) const {
  if (!closed && (deadline == kNever || executor.now() < deadline)) return false;
  direction.timed_out = !closed;
  direction.error = asio::error::operation_aborted;
  direction.transferred = 0;
  return true;
}

bool Stream::Impl::send(std::array<std::string_view, 3>& parts) {
  if (tls) return tls->send(parts, write->error);
  for (;;) {
    std::array<iovec, 3> pieces;
    msghdr message{};
    message.msg_iov = pieces.data();
    size_t wanted = 0;
    for (const std::string_view part : parts) {
      if (part.empty()) continue;
      pieces[message.msg_iovlen++] = {const_cast<char*>(part.data()), part.size()};
      wanted += part.size();
    }
    write->error.clear();
    if (wanted == 0) return true;
    const ssize_t sent = ::sendmsg(socket.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return false;
      write->error.assign(errno, boost::system::system_category());
      return true;
    }
    auto left = static_cast<size_t>(sent);
    for (std::string_view& part : parts) {
      const size_t taken = std::min(left, part.size());
      part.remove_prefix(taken);
      left -= taken;
    }
    // After a partial write the next one would only say EAGAIN.
    return static_cast<size_t>(sent) == wanted;
  }
}

void Stream::Impl::wait_writable() {
  const bool to_read = tls && tls->send_waits_to_read();
  socket.async_wait(to_read ? Socket::wait_read : Socket::wait_write, Completion{write});
}

bool Stream::Impl::receive_tls(std::span<char> buffer) {
  return tls->receive(buffer, read->transferred, read->error);
}

void Stream::Impl::wait_readable_tls() {
  const bool to_write = tls->receive_waits_to_write();
  socket.async_wait(to_write ? Socket::wait_write : Socket::wait_read, Completion{read});
}

Stream::Stream() = default;

Stream::Stream(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Stream::Stream(Executor& executor, UniqueFd fd) {
  const int family = family_of(fd.get());
  if (family == AF_INET || family == AF_INET6) {
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  impl_ = std::make_unique<Impl>(executor, std::move(fd), family);
}

Stream::Stream(Stream&&) noexcept = default;
Stream& Stream::operator=(Stream&&) noexcept = default;
Stream::~Stream() = default;

Stream::ReadAwaiter Stream::read_some(std::span<char> buffer, TimePoint deadline) {
  assert(impl_ && !buffer.empty());
  return {*impl_, buffer, deadline};
}

Stream::WriteAwaiter Stream::write_all(std::string_view data, TimePoint deadline) {
  assert(impl_);
  return {*impl_, {data, {}, {}}, deadline};
}

Stream::WriteAwaiter Stream::write_all(std::string_view first, std::string_view second,
                                       std::string_view third, TimePoint deadline) {
  assert(impl_);
  return {*impl_, {first, second, third}, deadline};
}

void Stream::close() {
  if (impl_) impl_->close();
}

void Stream::shutdown_write() {
  if (!impl_ || impl_->closed) return;
  if (impl_->tls) impl_->tls->say_goodbye();
  ::shutdown(impl_->socket.native_handle(), SHUT_WR);
}

bool Stream::quiet() const {
  if (!impl_ || impl_->closed || (impl_->tls && impl_->tls->has_received())) return false;
  char byte = 0;
  const ssize_t n = ::recv(impl_->socket.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n < 0 && errno == EAGAIN;
}

bool Stream::peer_left() const {
  if (!impl_ || impl_->closed) return true;
  pollfd watched{impl_->socket.native_handle(), POLLRDHUP, 0};
  return ::poll(&watched, 1, 0) > 0;
}

Executor& Stream::executor() const {
  assert(impl_);
  return impl_->executor;
}

int Stream::native_handle() const {
  return impl_ && !impl_->closed ? impl_->socket.native_handle() : -1;
}

Address Stream::peer() const {
  const int fd = native_handle();
  if (fd < 0) return {};
  SocketAddress address;
  address.size = sizeof address.storage;
  if (::getpeername(fd, address.get(), &address.size) != 0) return {};
  return from_socket_address(address);
}

bool Stream::ReadAwaiter::await_ready() {
  Direction& read = *impl_.read;
  if (impl_.refuse(read, deadline_)) return true;
  if (impl_.tls) {
    // What is decrypted already would not wake a wait for the socket.
    if (impl_.read_streak >= kMaxStreak && !impl_.tls->has_received()) return false;
    ++impl_.read_streak;
    return impl_.receive_tls(buffer_);
  }
  // Tries at once only where more is known to be there: Asio tries itself before it
  // waits, and a read that fails costs a system call.
  if (!impl_.more || impl_.read_streak >= kMaxStreak) return false;
  const ssize_t n =
      ::recv(impl_.socket.native_handle(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  ++impl_.read_streak;
  read.error.clear();
  if (n < 0) read.error.assign(errno, boost::system::system_category());
  read.transferred = n < 0 ? 0 : static_cast<size_t>(n);
  return true;
}

void Stream::ReadAwaiter::await_suspend(std::coroutine_handle<> waiter) {
  impl_.read_streak = 0;
  impl_.read->begin(impl_.executor, waiter, deadline_);
  if (impl_.tls) {
    impl_.read->context = this;
    impl_.read->ready = [](void* self) {
      auto& awaiter = *static_cast<ReadAwaiter*>(self);
      Impl& impl = awaiter.impl_;
      if (impl.closed || impl.receive_tls(awaiter.buffer_)) return true;
      if (impl.read->timed_out) {  // while the completion was on its way
        impl.read->error = asio::error::operation_aborted;
        return true;
      }
      impl.wait_readable_tls();
      return false;
    };
    impl_.wait_readable_tls();
    return;
  }
  impl_.socket.async_read_some(asio::buffer(buffer_.data(), buffer_.size()),
                               Completion{impl_.read});
}

IoResult<size_t> Stream::ReadAwaiter::await_resume() {
  const Direction& read = *impl_.read;
  if (impl_.closed) return fail(IoError::kCanceled);
  if (read.error == asio::error::eof) return 0;
  if (read.error) return fail(read.failure("recv"));
  impl_.more = read.transferred == buffer_.size();
  return read.transferred;
}

bool Stream::WriteAwaiter::await_ready() {
  if (impl_.refuse(*impl_.write, deadline_)) return true;
  if (++impl_.write_streak > kMaxStreak) return false;
  return impl_.send(parts_);
}

void Stream::WriteAwaiter::await_suspend(std::coroutine_handle<> waiter) {
  Direction& write = *impl_.write;
  impl_.write_streak = 0;
  write.begin(impl_.executor, waiter, deadline_);
  write.context = this;
  write.ready = [](void* self) {
    auto& awaiter = *static_cast<WriteAwaiter*>(self);
    Impl& impl = awaiter.impl_;
    if (impl.closed || impl.send(awaiter.parts_)) return true;
    if (impl.write->timed_out) {  // while the completion was on its way
      impl.write->error = asio::error::operation_aborted;
      return true;
    }
    impl.wait_writable();
    return false;
  };
  impl_.wait_writable();
}

IoResult<void> Stream::WriteAwaiter::await_resume() {
  const Direction& write = *impl_.write;
  if (impl_.closed) return fail(IoError::kCanceled);
  if (write.error) return fail(write.failure("send"));
  return {};
}

}  // namespace ebb::net
