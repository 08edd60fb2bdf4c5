// The front's connection to a Local Controller.
//
// send() may be called on any thread and never waits: a cold start sends its order
// from the executor that holds the request. Events arrive on the home executor.
//
//   auto client = ControllerClient::connect(executor, path, events);
//   client->send(Assign{...});
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "net/executor.h"
#include "net/fd_watch.h"
#include "node/messages.h"

namespace ebb::node {

class ControllerClient final {
 public:
  struct Events {
    std::function<void(FromController)> on_message;
    std::function<void()> on_gone;  // the last event
  };

  // Connects to the socket at `path`, as root. kUnavailable when nobody listens
  // there. Blocks no longer than the kernel's connect to a local socket.
  [[nodiscard]] static Result<UniqueFd> open(const std::string& path);

  ControllerClient(net::Executor& home, UniqueFd socket, Events events);

  // Messages that may wait for a Local Controller that is busy, in their order.
  static constexpr size_t kMaxQueued = 10'000;

  // Any thread. kExhausted when too many wait already, kUnavailable when it has gone.
  [[nodiscard]] Result<void> send(const ToController& message);

 private:
  void on_readable();
  void flush();

  net::Executor& home_;
  UniqueFd socket_;
  std::mutex mutex_;
  std::deque<std::string> queue_;  // guarded by mutex_
  net::Timer retry_;               // while the queue is not empty
  Events events_;
  std::vector<char> buffer_;
  std::unique_ptr<net::FdWatch> watch_;
};

}  // namespace ebb::node
