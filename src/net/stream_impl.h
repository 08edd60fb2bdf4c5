// The inside of a Stream, for net/*.cc only.
#pragma once

#include "net/asio_impl.h"
#include "net/tls_impl.h"

namespace ebb::net {

struct Stream::Impl {
  // Takes a connected socket; TCP_NODELAY is the caller's affair.
  Impl(Executor& executor, UniqueFd fd, int family);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  [[nodiscard]] static Stream make(Executor& executor, UniqueFd fd, int family);
  // Ends when a connection under way is made or has failed.
  [[nodiscard]] static Task<IoResult<void>> connected(Stream& stream, TimePoint deadline);

  [[nodiscard]] static Impl& of(Stream& stream) { return *stream.impl_; }

  void close();
  // Sends what the kernel takes of `parts`, removing it from them. True when
  // nothing is left or an error ended it (see write->error).
  [[nodiscard]] bool send(std::array<std::string_view, 3>& parts);
  void wait_writable();
  // Reads through TLS. True with read->transferred and read->error when it ended.
  [[nodiscard]] bool receive_tls(std::span<char> buffer);
  void wait_readable_tls();
  // True, with the error set, for an operation that comes after close() or too late.
  [[nodiscard]] bool refuse(Direction& direction, TimePoint deadline) const;

  Executor& executor;
  Socket socket;
  DirectionPtr read{new Direction};
  DirectionPtr write{new Direction};
  bool closed = false;
  bool more = false;    // the last read filled its buffer: the next needs no wait
  int read_streak = 0;  // reads and writes since the last turn of the loop
  int write_streak = 0;
  std::unique_ptr<TlsSession> tls;  // nullptr: a plain stream
};

// Suspends until `socket` is ready; awaits to an error code. Until `deadline`.
struct SocketReady {
  Executor& executor;
  Socket& socket;
  Direction& direction;
  Socket::wait_type what;
  TimePoint deadline;

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiter) {
    direction.begin(executor, waiter, deadline);
    socket.async_wait(what, Completion{DirectionPtr(&direction)});
  }
  [[nodiscard]] error_code await_resume() const noexcept { return direction.error; }
};

}  // namespace ebb::net
