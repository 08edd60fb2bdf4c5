#include "net/stream.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

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

Stream::Impl::Impl(Executor& e, UniqueFd fd)
    : executor(e), socket(e, std::move(fd), Socket::Watch::kOnDemand) {
  // No epoll watch to be had, or not a socket: every operation says kCanceled.
  if (socket.open()) return;
  (void)socket_failure(socket.problem(), "cannot watch a socket");
  closed = true;
}

Stream::Impl::~Impl() {
  if (tls && !closed) tls->say_goodbye();
}

void Stream::Impl::close() {
  if (!std::exchange(closed, true)) socket.close();
}

Stream Stream::Impl::make(Executor& executor, UniqueFd fd) {
  return Stream(std::make_unique<Impl>(executor, std::move(fd)));
}

Task<IoResult<void>> Stream::Impl::connected(Stream& stream, TimePoint deadline) {
  Impl& impl = *stream.impl_;
  Direction& write = impl.socket.write;
  if (impl.closed) co_return fail(IoError::kExhausted);  // no epoll watch
  SocketReady ready{impl.socket, write, EPOLLOUT, deadline};
  const int failed = co_await ready;
  if (failed != 0) co_return fail(write.failure("connect"));
  int err = 0;
  socklen_t size = sizeof err;
  ::getsockopt(impl.socket.fd(), SOL_SOCKET, SO_ERROR, &err, &size);
  if (err != 0) co_return fail(socket_failure(err, "connect"));
  co_return IoResult<void>();
}

bool Stream::Impl::refuse(Direction& direction, TimePoint deadline) const {
  // The clock is read only where it can matter: no turn of the loop lasts that long.
  constexpr Duration kFar = std::chrono::seconds(1);
  const bool in_time = deadline - executor.turn_time() > kFar || executor.now() < deadline;
  if (!closed && in_time) return false;
  direction.timed_out = !closed;
  direction.error = ECANCELED;
  direction.transferred = 0;
  return true;
}

bool Stream::Impl::send(std::array<std::string_view, 3>& parts) {
  if (!tls) return socket.send(parts);
  // The socket's own news go to the same places, underneath.
  int error = 0;
  const bool done = tls->send(parts, error);
  socket.write.error = error;
  return done;
}

bool Stream::Impl::receive(std::span<char> buffer) {
  if (!tls) return socket.receive(buffer);
  size_t bytes = 0;
  int error = 0;
  const bool done = tls->receive(buffer, bytes, error);
  socket.read.transferred = bytes;
  socket.read.error = error;
  return done;
}

uint32_t Stream::Impl::send_waits_for() const {
  return tls && tls->send_waits_to_read() ? EPOLLIN : EPOLLOUT;
}

uint32_t Stream::Impl::receive_waits_for() const {
  return tls && tls->receive_waits_to_write() ? EPOLLOUT : EPOLLIN;
}

Stream::Stream() = default;

Stream::Stream(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Stream::Stream(Executor& executor, UniqueFd fd) {
  const int family = family_of(fd.get());
  if (family == AF_UNSPEC) fd.reset();  // no socket
  if (family == AF_INET || family == AF_INET6) {
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
  impl_ = std::make_unique<Impl>(executor, std::move(fd));
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
  impl_->socket.shutdown_write();
}

void Stream::cancel_read() {
  if (impl_ && !impl_->closed) impl_->socket.cancel_read();
}

bool Stream::quiet() const {
  if (!impl_ || impl_->closed || !impl_->socket.heard_nothing()) return false;
  if (impl_->tls && impl_->tls->has_received()) return false;
  char byte = 0;
  const ssize_t n = ::recv(impl_->socket.fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n < 0 && errno == EAGAIN;
}

void Stream::watch() {
  if (impl_ && !impl_->closed) impl_->socket.watch();
}

void Stream::unwatch() {
  if (impl_) impl_->socket.unwatch();
}

bool Stream::quiet_so_far() const {
  if (!impl_ || impl_->closed || !impl_->socket.quiet_so_far()) return false;
  return !impl_->tls || !impl_->tls->has_received();
}

bool Stream::peer_left() const {
  if (!impl_ || impl_->closed) return true;
  pollfd watched{impl_->socket.fd(), POLLRDHUP, 0};
  return ::poll(&watched, 1, 0) > 0;
}

std::string_view Stream::protocol() const {
  return impl_ && impl_->tls ? impl_->tls->protocol() : std::string_view();
}

Executor& Stream::executor() const {
  assert(impl_);
  return impl_->executor;
}

int Stream::native_handle() const { return impl_ && !impl_->closed ? impl_->socket.fd() : -1; }

Address Stream::peer() const {
  const int fd = native_handle();
  if (fd < 0) return {};
  SocketAddress address;
  address.size = sizeof address.storage;
  if (::getpeername(fd, address.get(), &address.size) != 0) return {};
  return from_socket_address(address);
}

bool Stream::ReadAwaiter::await_ready() {
  if (impl_.refuse(impl_.socket.read, deadline_)) return true;
  // What is decrypted already is no news of the socket.
  const bool decrypted = impl_.tls && impl_.tls->has_received();
  if (!decrypted && !impl_.socket.readable()) return false;
  if (impl_.read_streak >= kMaxStreak) return false;
  ++impl_.read_streak;
  return impl_.receive(buffer_);
}

void Stream::ReadAwaiter::await_suspend(std::coroutine_handle<> waiter) {
  Socket& socket = impl_.socket;
  socket.read.context = this;
  socket.read.attempt = [](void* self) {
    auto& awaiter = *static_cast<ReadAwaiter*>(self);
    Impl& impl = awaiter.impl_;
    if (impl.receive(awaiter.buffer_)) return true;
    impl.socket.wait_on(impl.socket.read, impl.receive_waits_for());
    return false;
  };
  if (std::exchange(impl_.read_streak, 0) >= kMaxStreak) {
    socket.yield(socket.read, waiter, deadline_);
  } else {
    socket.wait(socket.read, impl_.receive_waits_for(), waiter, deadline_);
  }
}

IoResult<size_t> Stream::ReadAwaiter::await_resume() {
  const Direction& read = impl_.socket.read;
  if (impl_.closed) return fail(IoError::kCanceled);
  if (read.error != 0) return fail(read.failure("recv"));
  return read.transferred;
}

bool Stream::WriteAwaiter::await_ready() {
  if (impl_.refuse(impl_.socket.write, deadline_)) return true;
  if (impl_.write_streak >= kMaxStreak) return false;
  ++impl_.write_streak;
  return impl_.send(parts_);
}

void Stream::WriteAwaiter::await_suspend(std::coroutine_handle<> waiter) {
  Socket& socket = impl_.socket;
  socket.write.context = this;
  socket.write.attempt = [](void* self) {
    auto& awaiter = *static_cast<WriteAwaiter*>(self);
    Impl& impl = awaiter.impl_;
    if (impl.send(awaiter.parts_)) return true;
    impl.socket.wait_on(impl.socket.write, impl.send_waits_for());
    return false;
  };
  if (std::exchange(impl_.write_streak, 0) >= kMaxStreak) {
    socket.yield(socket.write, waiter, deadline_);
  } else {
    socket.wait(socket.write, impl_.send_waits_for(), waiter, deadline_);
  }
}

IoResult<void> Stream::WriteAwaiter::await_resume() {
  const Direction& write = impl_.socket.write;
  if (impl_.closed) return fail(IoError::kCanceled);
  if (write.error != 0) return fail(write.failure("send"));
  return {};
}

}  // namespace ebb::net
