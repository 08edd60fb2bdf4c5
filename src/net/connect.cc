#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "base/log.h"
#include "net/listener.h"
#include "net/sockaddr.h"
#include "net/stream_impl.h"

namespace ebb::net {
namespace {

// Between attempts while a Unix socket's backlog is full: no event tells its end.
constexpr Duration kFirstPause = std::chrono::milliseconds(4);
constexpr Duration kLongestPause = std::chrono::milliseconds(100);

IoResult<UniqueFd> new_socket(int family) {
  UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail(socket_failure(errno, "socket"));
  if (family != AF_UNIX) {
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  return fd;
}

IoError bad_address(const Error& error) {
  if (error.code == Errc::kNotFound) return IoError::kRefused;
  log::warn("net", "cannot connect: {}", error.message);
  return IoError::kOther;
}

}  // namespace

Task<IoResult<Stream>> connect(Executor& executor, Address to, TimePoint deadline) {
  auto address = to_socket_address(to);
  if (!address) co_return fail(bad_address(address.error()));
  Duration pause = kFirstPause;
  for (;;) {
    if (executor.now() >= deadline) co_return fail(IoError::kTimeout);
    auto fd = new_socket(address->family());
    if (!fd) co_return fail(fd.error());
    const bool done = ::connect(fd->get(), address->get(), address->size) == 0;
    const int err = done ? 0 : errno;
    if (done || err == EINPROGRESS) {
      Stream stream = Stream::Impl::make(executor, std::move(*fd));
      if (done) co_return stream;
      auto connected = co_await Stream::Impl::connected(stream, deadline);
      if (!connected) co_return fail(connected.error());
      co_return stream;
    }
    if (err != EAGAIN || address->family() != AF_UNIX) {
      co_return fail(socket_failure(err, "connect"));
    }
    auto sleep = executor.sleep_until(std::min(deadline, executor.now() + pause));
    co_await sleep;
    pause = std::min(2 * pause, kLongestPause);
  }
}

IoResult<Stream> connect_unix_at(Executor& executor, int dir_fd, std::string_view name) {
  auto address = unix_socket_at(dir_fd, name);
  if (!address) return fail(bad_address(address.error()));
  auto fd = new_socket(AF_UNIX);
  if (!fd) return fail(fd.error());
  if (::connect(fd->get(), address->get(), address->size) != 0) {
    return fail(socket_failure(errno, "connect"));
  }
  return Stream::Impl::make(executor, std::move(*fd));
}

}  // namespace ebb::net
