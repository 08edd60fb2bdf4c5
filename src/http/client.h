// HTTP/1.1 client: one connection, and a pool of idle ones.
//
// Belongs to one Executor's thread.
//
//   auto c = std::make_unique<http::ClientConnection>(std::move(stream));
//   auto sent = co_await c->send_head("GET", "/", fields, {}, "", deadline);
//   auto head = co_await c->read_head(deadline);
//   for (;;) { auto piece = co_await c->read_body(deadline); if (!piece || piece->empty()) break; }
//   if (c->reusable()) pool.put(std::move(c));
#pragma once

#include <deque>
#include <memory>
#include <string_view>

#include "base/clock.h"
#include "http/message.h"
#include "http/tunnel.h"
#include "net/stream.h"
#include "net/task.h"

namespace ebb::http {

class ClientConnection final {
 public:
  static constexpr int kMaxInterim = 16;

  explicit ClientConnection(net::Stream stream, HeadLimits limits = {});
  ClientConnection(ClientConnection&&) noexcept;
  ClientConnection& operator=(ClientConnection&&) noexcept;
  ~ClientConnection();

  // Sends the request head; with `first_body`, in the same system call. Fields are
  // sent as given (Host and Connection among them), apart from Content-Length and
  // Transfer-Encoding, which follow from `body` (kNone or kSized, else chunked).
  // kMalformed, and nothing sent, if the method, target or a field would break the
  // framing, or if the last exchange has not ended. The arguments must outlive the
  // task. After an error the server may still have answered: read_head tells.
  [[nodiscard]] net::Task<HttpResult<void>> send_head(std::string_view method,
                                                      std::string_view target, const Fields& fields,
                                                      BodyLength body, std::string_view first_body,
                                                      TimePoint deadline);
  // An empty piece is nothing. kMalformed if it exceeds the announced size.
  [[nodiscard]] net::Task<HttpResult<void>> send_body(std::string_view piece, TimePoint deadline);
  // Ends the body; kTruncated if the announced size was not reached. The trailers go
  // behind a chunked one.
  [[nodiscard]] net::Task<HttpResult<void>> finish_body(const Fields& trailers, TimePoint deadline);

  // The response head; up to kMaxInterim 1xx answers other than 101 are skipped (101
  // ends the connection's use for HTTP). kClosed if the server closed before the
  // first byte. Valid until the next send_head; the caller may change it.
  [[nodiscard]] net::Task<HttpResult<ResponseHead*>> read_head(TimePoint deadline);
  // The next piece of the body, empty at its end. Valid until the next call.
  [[nodiscard]] net::Task<HttpResult<std::string_view>> read_body(TimePoint deadline);

  // The fields behind the body, once that has ended.
  [[nodiscard]] const Fields& trailers() const;

  // True if the connection can carry the next request: both messages ended, both
  // sides keep it, nothing failed and nothing unasked arrived. Also before the first.
  [[nodiscard]] bool reusable() const;
  // After a 101: the connection as bytes. It stays the owner of the stream.
  [[nodiscard]] TunnelEnd tunnel_end();
  // True if the peer closed without having read all that was sent (or reset the
  // connection): on a Unix socket that is known for sure.
  [[nodiscard]] bool was_reset() const;
  // True if any byte of the response to the current request has arrived.
  [[nodiscard]] bool response_begun() const;
  [[nodiscard]] net::Stream& stream();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Idle connections to one upstream: last in, first out; the oldest beyond
// `max_idle` is closed; a connection that the peer closed or wrote to is dropped
// when taken. To look costs a system call: a caller that can send again what meets a
// closed connection trusts those that were in use a moment ago.
class ConnectionPool final {
 public:
  explicit ConnectionPool(size_t max_idle) : max_idle_(max_idle) {}
  // The idle connection used last that is still usable, or nullptr. Those that were
  // put back after `trusted_since` are not looked at.
  [[nodiscard]] std::unique_ptr<ClientConnection> take(TimePoint trusted_since = kNever);
  // Closes it instead if it is not reusable.
  void put(std::unique_ptr<ClientConnection> connection, TimePoint now = {});
  void clear() { idle_.clear(); }
  [[nodiscard]] size_t idle() const { return idle_.size(); }

 private:
  size_t max_idle_;
  struct Idle {
    std::unique_ptr<ClientConnection> connection;
    TimePoint since;
  };
  std::deque<Idle> idle_;
};

}  // namespace ebb::http
