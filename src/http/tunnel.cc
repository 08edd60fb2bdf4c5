#include "http/tunnel.h"

#include <algorithm>
#include <memory>
#include <span>

#include "net/executor.h"

namespace ebb::http {

Tunnel::Tunnel(TunnelEnd client, TunnelEnd server, Duration idle)
    : up_{.from = client,
          .to = server.stream,
          .from_broke = TunnelOutcome::kClientBroke,
          .to_broke = TunnelOutcome::kServerBroke},
      down_{.from = server,
            .to = client.stream,
            .from_broke = TunnelOutcome::kServerBroke,
            .to_broke = TunnelOutcome::kClientBroke},
      idle_(idle),
      last_active_(client.stream->executor().now()) {}

net::Task<TunnelOutcome> Tunnel::run() {
  net::Executor& executor = up_.to->executor();
  auto shot = net::OneShot<bool>::make(executor);
  executor.spawn(pump_beside(down_, shot.sender));
  co_await pump(up_);
  auto other = shot.receiver.wait(kNever);  // ends as this one does
  static_cast<void>(co_await other);
  co_return outcome_;
}

void Tunnel::cut() {
  outcome_ = TunnelOutcome::kClosedHere;
  close();
}

void Tunnel::failed(net::IoError error, TunnelOutcome broke) {
  // Where one has ended, the other may just go.
  if (outcome_ != TunnelOutcome::kEnded || (half_closed() && error == net::IoError::kClosed))
    return;
  outcome_ = error == net::IoError::kCanceled ? TunnelOutcome::kClosedHere : broke;
}

void Tunnel::close() {
  up_.to->close();
  down_.to->close();
}

TimePoint Tunnel::silence_ends() const {
  Duration allowed = idle_ == Duration::zero() ? Duration::max() : idle_;
  if (half_closed()) allowed = std::min(allowed, kHalfClosed);
  return allowed == Duration::max() ? kNever : last_active_ + allowed;
}

net::Task<void> Tunnel::pump_beside(Way& way, net::OneShot<bool>::Sender done) {
  co_await pump(way);
  done.set(true);
}

net::Task<void> Tunnel::pump(Way& way) {
  net::Stream& from = *way.from.stream;
  net::Stream& to = *way.to;
  net::Executor& executor = from.executor();
  const auto block = std::make_unique_for_overwrite<char[]>(kBlock);
  std::string_view piece = way.from.received;
  for (;;) {
    if (!piece.empty()) {
      way.bytes += piece.size();
      const auto sent = co_await to.write_all(piece, executor.now() + kWriteTimeout);
      if (!sent) {
        failed(sent.error(), way.to_broke);
        break;
      }
      last_active_ = executor.now();
    }
    // Looks again at times: the other way may have ended meanwhile.
    const TimePoint look = std::min(silence_ends(), executor.now() + kHalfClosed);
    const auto received = co_await from.read_some(std::span(block.get(), kBlock), look);
    if (!received && received.error() == net::IoError::kTimeout &&
        executor.now() < silence_ends()) {
      piece = {};
      continue;
    }
    if (!received) {
      // A client that the other waits for alone may have vanished.
      const bool silent = received.error() == net::IoError::kTimeout && !server_ended_first();
      failed(received.error(), silent ? TunnelOutcome::kSilent : way.from_broke);
      break;
    }
    last_active_ = executor.now();
    if (*received == 0) {
      to.shutdown_write();
      if (!half_closed()) ended_first_ = &way;
      co_return;
    }
    piece = {block.get(), *received};
  }
  close();
}

}  // namespace ebb::http
