// The inside of a Stream, for net/*.cc only.
#pragma once

#include "net/engine.h"
#include "net/tls_impl.h"

namespace ebb::net {

struct Stream::Impl {
  // Takes a connected, non-blocking socket; TCP_NODELAY is the caller's affair.
  Impl(Executor& executor, UniqueFd fd);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  [[nodiscard]] static Stream make(Executor& executor, UniqueFd fd);
  // Ends when a connection under way is made or has failed.
  [[nodiscard]] static Task<IoResult<void>> connected(Stream& stream, TimePoint deadline);

  [[nodiscard]] static Impl& of(Stream& stream) { return *stream.impl_; }

  void close();
  // Sends what the kernel takes of `parts`, removing it from them. True when
  // nothing is left or an error ended it (see write.error).
  [[nodiscard]] bool send(std::array<std::string_view, 3>& parts);
  // Reads what is there. True with read.transferred and read.error when it ended.
  [[nodiscard]] bool receive(std::span<char> buffer);
  // What a call that ended with false waits for.
  [[nodiscard]] uint32_t send_waits_for() const;
  [[nodiscard]] uint32_t receive_waits_for() const;
  // True, with the error set, for an operation that comes after close() or too late.
  [[nodiscard]] bool refuse(Direction& direction, TimePoint deadline) const;

  Executor& executor;
  Socket socket;
  bool closed = false;
  int read_streak = 0;  // reads and writes since the last turn of the loop
  int write_streak = 0;
  std::unique_ptr<TlsSession> tls;  // nullptr: a plain stream
};

}  // namespace ebb::net
