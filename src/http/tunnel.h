// Bytes both ways between two connections that have left HTTP (101 Switching
// Protocols): a WebSocket between a client and a function.
//
// Back-pressure: each direction holds one block, and reads on when it has been
// written. The end of one direction is passed on and the other goes on; an error ends
// both. Belongs to one Executor's thread.
//
//   auto client = co_await exchange.switch_protocols(head);
//   http::Tunnel tunnel(*client, connection.tunnel_end(), idle);
//   const bool well = co_await tunnel.run();
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

  // True if both peers ended it, the second perhaps without a last word; false if that was an
  // error, silence or cut().
  [[nodiscard]] net::Task<bool> run();
  // Closes both streams; run() then returns.
  void cut();

  [[nodiscard]] uint64_t to_server() const { return up_.bytes; }
  [[nodiscard]] uint64_t to_client() const { return down_.bytes; }

 private:
  struct Way {
    TunnelEnd from;
    net::Stream* to;
    uint64_t bytes = 0;
  };

  [[nodiscard]] net::Task<void> pump(Way& way);
  [[nodiscard]] net::Task<void> pump_beside(Way& way, net::OneShot<bool>::Sender done);
  [[nodiscard]] TimePoint silence_ends() const;
  void close();

  Way up_;
  Way down_;
  const Duration idle_;
  TimePoint last_active_;
  bool half_closed_ = false;
  bool well_ = true;
};

}  // namespace ebb::http
