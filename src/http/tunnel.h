// Bytes both ways between two connections that have left HTTP (101 Switching
// Protocols): a WebSocket between a client and a function.
//
// Back-pressure: each direction holds one block, and reads on when it has been
// written. The end of one direction is passed on and the other goes on; an error ends
// both. Belongs to one Executor's thread.
//
//   auto client = co_await exchange.switch_protocols(head);
//   http::Tunnel tunnel(*client, connection.tunnel_end(), idle);
//   const http::TunnelOutcome how = co_await tunnel.run();
#pragma once

#include <cstdint>
#include <string_view>

#include "base/clock.h"
#include "net/one_shot.h"
#include "net/stream.h"
#include "net/task.h"

namespace ebb::http {

struct TunnelEnd {
  net::Stream* stream = nullptr;
  std::string_view received;  // what came behind the head
};

enum class TunnelOutcome : uint8_t {
  kEnded,        // by both, the second perhaps without a last word
  kClientBroke,  // its connection, or it did not take what was sent
  kServerBroke,
  kSilent,
  kClosedHere,  // by cut(), or a stream by its owner
};

class Tunnel final {
 public:
  static constexpr size_t kBlock = 8 * 1024;
  // For a peer that does not read.
  static constexpr Duration kWriteTimeout = std::chrono::seconds(60);
  // Of silence, once one direction has ended.
  static constexpr Duration kHalfClosed = std::chrono::seconds(30);

  // Ends when both ways are silent for `idle`; 0: never for that. Both streams must
  // outlive run(), and are closed by it unless both directions ended well.
  Tunnel(TunnelEnd client, TunnelEnd server, Duration idle);

  [[nodiscard]] net::Task<TunnelOutcome> run();
  // Closes both streams; run() then returns.
  void cut();

  [[nodiscard]] uint64_t to_server() const { return up_.bytes; }
  [[nodiscard]] uint64_t to_client() const { return down_.bytes; }
  // The server was the first to end its direction.
  [[nodiscard]] bool server_ended_first() const { return ended_first_ == &down_; }

 private:
  struct Way {
    TunnelEnd from;
    net::Stream* to;
    TunnelOutcome from_broke;
    TunnelOutcome to_broke;
    uint64_t bytes = 0;
  };

  [[nodiscard]] net::Task<void> pump(Way& way);
  [[nodiscard]] net::Task<void> pump_beside(Way& way, net::OneShot<bool>::Sender done);
  [[nodiscard]] bool half_closed() const { return ended_first_ != nullptr; }
  [[nodiscard]] TimePoint silence_ends() const;
  // What an error means, unless another came first. `broke`: whose it is.
  void failed(net::IoError error, TunnelOutcome broke);
  void close();

  Way up_;
  Way down_;
  const Duration idle_;
  TimePoint last_active_;
  const Way* ended_first_ = nullptr;
  TunnelOutcome outcome_ = TunnelOutcome::kEnded;
};

}  // namespace ebb::http
