#include "http/server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/log.h"
#include "http/connection.h"
#include "http/h2_connection.h"
#include "net/executor.h"

namespace ebb::http {
namespace {

// How long a client that connected just before a drain has for its first byte.
constexpr Duration kNewGrace = std::chrono::milliseconds(100);
// How long the handlers of cut connections have to return: one that waits for somebody else
// may look only each second whether its client is there.
constexpr Duration kUnwindTime = std::chrono::seconds(2);

// What the kernel may hold of answers that are not on their way yet, in bytes for each
// connection. By itself it holds megabytes, and shows nothing of a client that reads slowly
// for minutes. Connections have it from the socket that accepted them.
void bound_unsent(int listening) {
  constexpr int kUnsent = 256 * 1024;
  ::setsockopt(listening, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kUnsent, sizeof kUnsent);
}

net::Task<void> serve_connection(std::shared_ptr<ServerState> state, net::Stream stream) {
  std::shared_ptr<H2Connection> second;  // shared: with the coroutines of its streams
  H2Start start;
  {
    Connection connection(*state, std::move(stream));
    co_await connection.run();
    if (!connection.is_http2()) co_return;
    start = connection.take_http2();
    // Made before the first one goes: the server is not empty meanwhile.
    second = std::make_shared<H2Connection>(state, std::move(start.stream));
  }
  auto running = H2Connection::run(second, std::move(start));
  second.reset();
  co_await running;
}

net::Task<void> accept_connections(std::shared_ptr<ServerState> state) {
  while (!state->draining) {
    auto stream = co_await state->listener.accept();
    if (!stream) {
      if (stream.error() == net::IoError::kCanceled) co_return;
      log::warn("http", "accept on {}: {}", state->address.to_string(),
                net::to_string(stream.error()));
      continue;
    }
    if (state->open.size() >= state->options.max_connections) continue;  // closes it
    auto serving = serve_connection(state, std::move(*stream));
    state->executor.spawn(std::move(serving));
  }
}

net::Task<void> wait_until_empty(ServerState& state, TimePoint deadline) {
  if (state.open.empty()) co_return;
  auto shot = net::OneShot<bool>::make(state.executor);
  state.when_empty = shot.sender;
  auto waiting = shot.receiver.wait(deadline);
  const auto emptied = co_await waiting;
  state.when_empty.reset();
  (void)emptied;  // the caller looks at `open` itself
}

// Closes the connections that wait for a request. True if new ones were spared.
bool close_idle(ServerState& state, bool spare_new) {
  bool spared = false;
  // Closing may end a connection at once, and with it its entry.
  for (OpenConnection* connection : std::vector(state.open.begin(), state.open.end())) {
    if (!state.open.contains(connection)) continue;
    if (spare_new && connection->is_new()) {
      spared = true;
    } else {
      connection->close_if_idle();
    }
  }
  return spared;
}

// When it ends, who connected before has sent a request, or is gone.
net::Task<void> stop_accepting(std::shared_ptr<ServerState> state) {
  state->draining = true;
  // What the kernel has connected already counts as accepted.
  for (net::Stream& stream : state->listener.close()) {
    auto serving = serve_connection(state, std::move(stream));
    state->executor.spawn(std::move(serving));
  }
  const bool some_are_new = close_idle(*state, /*spare_new=*/true);
  if (some_are_new) {
    auto grace = state->executor.sleep_until(state->executor.now() + kNewGrace);
    co_await grace;
    close_idle(*state, /*spare_new=*/false);
  }
}

}  // namespace

Server::Server(net::Executor& executor, UniqueFd listening, Handler& handler,
               ServerOptions options) {
  bound_unsent(listening.get());
  net::Listener listener(executor, std::move(listening));
  net::Address address = listener.local();
  state_ = std::make_shared<ServerState>(ServerState{executor,
                                                     handler,
                                                     options,
                                                     std::move(listener),
                                                     std::move(address),
                                                     {},
                                                     {},
                                                     false,
                                                     false,
                                                     std::nullopt});
}

Server::~Server() = default;

void Server::start() { state_->executor.spawn(accept_connections(state_)); }

void Server::leave() {
  state_->draining = true;
  state_->listener.leave();
  close_idle(*state_, /*spare_new=*/true);
}

net::Task<size_t> Server::drain(TimePoint deadline, Duration tunnel_grace) {
  const std::shared_ptr<ServerState> state = state_;
  if (!state->draining) co_await stop_accepting(state);
  co_await wait_until_empty(*state, std::min(deadline, state->executor.now() + tunnel_grace));
  // What is no longer HTTP never comes to an end of its own.
  size_t cut_tunnels = 0;
  for (OpenConnection* connection : std::vector(state->open.begin(), state->open.end())) {
    if (!state->open.contains(connection) || !connection->is_tunnel()) continue;
    connection->cut();
    ++cut_tunnels;
  }
  if (cut_tunnels > 0) {
    log::info("http", "cut {} upgraded connection{}", cut_tunnels, cut_tunnels == 1 ? "" : "s");
    // Their handlers return on their own now, though the deadline may have passed.
    deadline = std::max(deadline, state->executor.now() + kUnwindTime);
  }
  co_await wait_until_empty(*state, deadline);
  const size_t cut = state->open.size();
  if (cut == 0) co_return cut;
  state->cutting = true;
  for (OpenConnection* connection : std::vector(state->open.begin(), state->open.end())) {
    if (state->open.contains(connection)) connection->cut();
  }
  co_await wait_until_empty(*state, state->executor.now() + kUnwindTime);
  co_return cut;
}

net::Address Server::address() const { return state_->address; }
size_t Server::connections() const { return state_->open.size(); }

}  // namespace ebb::http
