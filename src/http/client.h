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
#include "http/client_exchange.h"
#include "http/message.h"
#include "net/stream.h"
#include "net/task.h"

namespace ebb::http {

class ClientConnection final : public ClientExchange {
 public:
  explicit ClientConnection(net::Stream stream, HeadLimits limits = {});
  ClientConnection(ClientConnection&&) noexcept;
  ClientConnection& operator=(ClientConnection&&) noexcept;
  ~ClientConnection() override;

  [[nodiscard]] net::Task<HttpResult<void>> send_head(std::string_view method,
                                                      std::string_view target, const Fields& fields,
                                                      BodyLength body, std::string_view first_body,
                                                      TimePoint deadline) override;
  [[nodiscard]] net::Task<HttpResult<void>> send_body(std::string_view piece,
                                                      TimePoint deadline) override;
  [[nodiscard]] net::Task<HttpResult<void>> finish_body(const Fields& trailers,
                                                        TimePoint deadline) override;
  [[nodiscard]] net::Task<HttpResult<ResponseHead*>> next_head(TimePoint deadline) override;
  [[nodiscard]] net::Task<HttpResult<std::string_view>> read_body(TimePoint deadline) override;
  [[nodiscard]] const Fields& trailers() const override;
  [[nodiscard]] bool reusable() const override;
  [[nodiscard]] TunnelEnd tunnel_end() override;
  [[nodiscard]] bool was_reset() const override;
  [[nodiscard]] bool response_begun() const override;
  void close() override { stream().close(); }
  [[nodiscard]] net::Stream& stream();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Idle connections to one upstream: last in, first out; the oldest beyond
// `max_idle` is closed; a connection that the peer closed or wrote to is dropped
// when taken: what it wrote is no answer to a request that it has not got yet.
class ConnectionPool final {
 public:
  explicit ConnectionPool(size_t max_idle) : max_idle_(max_idle) {}
  // The idle connection used last that is still usable, or nullptr. That it has not
  // been closed is known as of the last turn of the loop if it `may_break`, else by a system
  // call.
  [[nodiscard]] std::unique_ptr<ClientConnection> take(bool may_break = false);
  // Closes it instead if it is not reusable.
  void put(std::unique_ptr<ClientConnection> connection, TimePoint now);
  // Closes what was put before `before`, and what can be used no more.
  void sweep(TimePoint before);
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
