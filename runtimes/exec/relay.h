// Moves bytes between the pod's listening Unix socket and TCP connections to the
// program, inside the pod's own network, by splice: one TCP connection for each
// accepted one, half-closes passed on, nothing looked at.
//
// Single-threaded, edge-triggered on the caller's epoll. Bounded: kMaxConnections, and
// for each direction what one pipe holds.
//
//   Relay relay(epoll, listener, address);
//   relay.start();
//   ... for each event whose data is not the caller's own: relay.on_event(data, events);
//   ... while (relay.behind()) relay.run_behind();
#pragma once

#include <netinet/in.h>
#include <sys/epoll.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_set>
#include <vector>

namespace ebb::exec {

// Where the program listens: 127.0.0.1 or ::1.
struct Target {
  sockaddr_storage address = {};
  socklen_t length = 0;
};
Target loopback(uint16_t port, bool v6);

inline constexpr size_t kMaxConnections = 600;  // six descriptors each, of 4,096
inline constexpr size_t kPieces = 16;           // pipes full moved for one connection in a row

class Pipes;

class Relay final {
 public:
  // Neither descriptor is owned; `listener` must not block.
  Relay(int epoll, int listener, Target target);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  // Begins to accept.
  void start();
  // epoll_event.data.ptr of the listener and of connections points into the relay.
  void on_event(void* data, uint32_t events);
  // Connections that had more to move than their share; they come next.
  [[nodiscard]] bool behind() const { return !behind_.empty(); }
  void run_behind();
  // Destroys what has ended; call when no event is left that may name it.
  void bury();
  [[nodiscard]] size_t connections() const { return connections_.size(); }

 private:
  struct Connection;
  void accept();
  void pump(Connection& connection);
  void close(Connection& connection);

  int epoll_;
  int listener_;
  Target target_;
  std::unique_ptr<Pipes> pipes_;
  bool paused_ = false;  // at the bound: the backlog holds the rest
  std::unordered_set<Connection*> connections_;
  std::vector<Connection*> behind_;
  std::vector<std::unique_ptr<Connection>> ended_;
};

}  // namespace ebb::exec
