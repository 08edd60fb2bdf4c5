// A listening socket, and connecting to one. Belongs to one Executor's thread.
//
//   auto fds = net::bind_shared(address, 2);              // one per executor
//   net::Listener listener(executor, std::move(fds->front()));
//   auto stream = co_await listener.accept();
#pragma once

#include <memory>
#include <vector>

#include "base/unique_fd.h"
#include "net/address.h"
#include "net/stream.h"
#include "net/task.h"

namespace ebb::net {

// Binds and listens `count` sockets on one address (SO_REUSEPORT when count > 1),
// so that each executor accepts its own connections. Port 0 is chosen once for
// all. The sockets of a Unix path share one queue; a socket file that nobody
// listens on any more is replaced. kAlreadyExists when anything else listens there (also through
// SO_REUSEPORT), kPermission for a port that needs rights. Needs no executor:
// call it before dropping privileges.
[[nodiscard]] Result<std::vector<UniqueFd>> bind_shared(const Address& address, int count);

// The address that a bound socket really has (after port 0).
[[nodiscard]] Result<Address> local_address(int fd);

class Listener final {
 public:
  Listener(Executor& executor, UniqueFd listening);
  ~Listener();
  Listener(Listener&&) noexcept;

  // Awaits to the next connection; kCanceled after close(). Waits out a shortage
  // of descriptors (100 ms, logged) instead of spinning.
  [[nodiscard]] Task<IoResult<Stream>> accept();
  // Stops listening; a pending accept ends with kCanceled. Returns the connections
  // that the kernel had already made, which would otherwise be reset.
  std::vector<Stream> close();
  // Likewise, but leaves those to whoever else has the socket open.
  void leave();
  [[nodiscard]] Address local() const;

 private:
  struct State;
  struct Pause;
  struct Impl;
  static Task<IoResult<Stream>> accept_on(std::shared_ptr<State> state);
  std::unique_ptr<Impl> impl_;
};

// Connects. A Unix socket path longer than the kernel takes is reached through
// its folder's descriptor, so any length works.
[[nodiscard]] Task<IoResult<Stream>> connect(Executor& executor, Address to, TimePoint deadline);

// Connects a Unix stream socket by `name` inside the folder `dir_fd`, without
// waiting: kExhausted when the backlog is full. For a pod's socket.
[[nodiscard]] IoResult<Stream> connect_unix_at(Executor& executor, int dir_fd,
                                               std::string_view name);

}  // namespace ebb::net
