#include "http/tunnel.h"

#include <algorithm>
#include <memory>
#include <span>

#include "net/executor.h"

namespace ebb::http {

Tunnel::Tunnel(TunnelEnd client, TunnelEnd server, Duration idle)
    : up_{.from = client, .to = server.stream},
      down_{.from = server, .to = client.stream},
      idle_(idle),
      last_active_(client.stream->executor().now()) {}

net::Task<bool> Tunnel::run() {
  net::Executor& executor = up_.to->executor();
  auto shot = net::OneShot<bool>::make(executor);
  executor.spawn(pump_beside(down_, shot.sender));
  co_await pump(up_);
  auto other = shot.receiver.wait(kNever);  // ends as this one does
  static_cast<void>(co_await other);
  co_return well_;
}

void Tunnel::cut() {
  well_ = false;
  close();
}

void Tunnel::close() {
  up_.to->close();
  down_.to->close();
}

TimePoint Tunnel::silence_ends() const {
  Duration allowed = idle_ == Duration::zero() ? Duration::max() : idle_;
  if (half_closed_) allowed = std::min(allowed, kHalfClosed);
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
        // The other has closed: it wants no more.
        well_ = well_ && half_closed_ && sent.error() == net::IoError::kClosed;
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
      well_ = well_ && half_closed_ && received.error() == net::IoError::kClosed;
      break;
    }
    last_active_ = executor.now();
    if (*received == 0) {
      to.shutdown_write();
      half_closed_ = true;
      co_return;
    }
    piece = {block.get(), *received};
  }
  close();
}

}  // namespace ebb::http
