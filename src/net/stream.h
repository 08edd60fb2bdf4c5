// A connected byte stream (TCP or Unix socket, and TLS over one, see tls.h),
// non-blocking, with a deadline on every wait. At most one read and one write may be
// pending at a time.
//
// Belongs to one Executor's thread. Reads and writes are plain awaiters, not
// coroutines: no allocation, and no switch when the kernel can answer at once.
// Destroying a stream closes it; nobody may be suspended in it then, except for
// frames that are destroyed with it.
//
//   auto n = co_await stream.read_some(buffer, deadline);   // 0: end of stream
//   if (!n) co_return n.error();
//   auto sent = co_await stream.write_all(head, body, deadline);
#pragma once

#include <sys/uio.h>

#include <array>
#include <coroutine>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "net/address.h"
#include "net/io_error.h"

namespace ebb::net {

class Executor;

class Stream final {
 public:
  struct Impl;  // hides the engine
  class ReadAwaiter;
  class WriteAwaiter;

  Stream();  // not connected
  // Takes a connected socket; makes it non-blocking, and TCP_NODELAY for TCP.
  Stream(Executor& executor, UniqueFd fd);
  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;
  ~Stream();

  [[nodiscard]] explicit operator bool() const { return impl_ != nullptr; }

  // Reads 1..buffer.size() bytes; 0 at the end of the stream. Awaits to
  // IoResult<size_t>. `buffer` must not be empty.
  [[nodiscard]] ReadAwaiter read_some(std::span<char> buffer, TimePoint deadline);

  // Writes all of it in one gathered write where the kernel takes it. Awaits to
  // IoResult<void>. After an error an unknown part has been sent.
  [[nodiscard]] WriteAwaiter write_all(std::string_view data, TimePoint deadline);
  [[nodiscard]] WriteAwaiter write_all(std::string_view first, std::string_view second,
                                       std::string_view third, TimePoint deadline);

  // Ends both directions now; over TLS the peer takes it for a broken connection, unless
  // shutdown_write() came first. Pending operations end with kCanceled.
  void close();
  // Sends end-of-stream, as the destructor does; reads go on.
  void shutdown_write();

  // A read that waits ends with kCanceled, in the next turn of the loop.
  void cancel_read();

  // True if the peer has neither closed nor sent anything: an idle keep-alive
  // connection that may carry one more request. One non-blocking system call.
  [[nodiscard]] bool quiet() const;
  // Of an idle connection, which nobody reads: until unwatch(), or the next read that waits,
  // it is noted that the peer closes, or sends something. The stream is of no use then: what
  // was sent may be lost.
  void watch();
  void unwatch();
  // The same as quiet() without a system call, as of the last turn of the loop, for a stream
  // that is watched. False where that is not known.
  [[nodiscard]] bool quiet_so_far() const;
  // True if the peer has closed or reset the connection, or at least ended its side,
  // whatever is still to be read. One non-blocking system call.
  [[nodiscard]] bool peer_left() const;

  // What both sides agreed to speak over TLS (ALPN): "h2", "http/1.1"; "" without either.
  // Holds as long as the stream.
  [[nodiscard]] std::string_view protocol() const;

  [[nodiscard]] Executor& executor() const;
  [[nodiscard]] int native_handle() const;
  [[nodiscard]] Address peer() const;

 private:
  explicit Stream(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

class [[nodiscard]] Stream::ReadAwaiter {
 public:
  ReadAwaiter(Impl& impl, std::span<char> buffer, TimePoint deadline)
      : impl_(impl), buffer_(buffer), deadline_(deadline) {}
  [[nodiscard]] bool await_ready();
  void await_suspend(std::coroutine_handle<> waiter);
  IoResult<size_t> await_resume();

 private:
  friend struct Impl;
  Impl& impl_;
  std::span<char> buffer_;
  TimePoint deadline_;
};

class [[nodiscard]] Stream::WriteAwaiter {
 public:
  WriteAwaiter(Impl& impl, std::array<std::string_view, 3> parts, TimePoint deadline)
      : impl_(impl), parts_(parts), deadline_(deadline) {}
  [[nodiscard]] bool await_ready();
  void await_suspend(std::coroutine_handle<> waiter);
  IoResult<void> await_resume();

 private:
  friend struct Impl;
  Impl& impl_;
  std::array<std::string_view, 3> parts_;
  TimePoint deadline_;
};

}  // namespace ebb::net
