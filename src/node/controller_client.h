// The front's connection to a Local Controller.
//
// send() may be called on any thread and never waits: a cold start sends its order
// from the executor that holds the request. Events arrive on the home executor.
//
//   ControllerClient client(executor, std::move(*ControllerClient::open(path)), events);
//   client.send(Assign{...});
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
    // It has said nothing for kMaxUnanswered pings: whoever is told ends it. Told once,
    // until it says something again. Empty: nobody asks.
    std::function<void()> on_hung = {};
  };
  static constexpr Duration kPingEvery = std::chrono::seconds(1);
  // Pings and not seconds: after a pause of this process its news has not been read yet.
  static constexpr int kMaxUnanswered = 4;

  // Connects to the socket at `path`, as root. kUnavailable when nobody listens
  // there. Blocks no longer than the kernel's connect to a local socket.
  [[nodiscard]] static Result<UniqueFd> open(const std::string& path);

  ControllerClient(net::Executor& home, UniqueFd socket, Events events);

  // Messages that may wait for a Local Controller that is busy, in their order.
  static constexpr size_t kMaxQueued = 10'000;

  // Any thread. kExhausted when too many wait already, kUnavailable when it has gone.
  [[nodiscard]] Result<void> send(const ToController& message);
  // Nothing waits for room on its way there.
  [[nodiscard]] bool flushed() const;

 private:
  void on_readable();
  void beat();
  void flush();

  net::Executor& home_;
  UniqueFd socket_;
  mutable std::mutex mutex_;
  std::deque<std::string> queue_;  // guarded by mutex_
  net::Timer retry_;               // while the queue is not empty
  net::Timer heartbeat_;
  int unanswered_ = 0;
  uint64_t pings_ = 0;
  bool hung_ = false;
  Events events_;
  std::vector<char> buffer_;
  std::unique_ptr<net::FdWatch> watch_;
};

}  // namespace ebb::node
