// Calls back whenever a descriptor is readable (or its peer has gone), until it is
// destroyed. For sockets and signals that are not byte streams. The callback must
// read; it may destroy the watch.
//
// Belongs to one Executor's thread. Does not own the descriptor, which must outlive
// the watch. Throws if the kernel cannot watch it.
#pragma once

#include <functional>
#include <memory>

namespace ebb::net {

class Executor;

class FdWatch final {
 public:
  FdWatch(Executor& executor, int fd, std::function<void()> on_readable);
  ~FdWatch();
  FdWatch(const FdWatch&) = delete;
  FdWatch& operator=(const FdWatch&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ebb::net
