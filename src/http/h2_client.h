// HTTP/2 client: one request as a stream of a connection that others share.
//
// Belongs to one Executor's thread.
//
//   auto session = open_h2_client(executor, std::move(stream));
//   http::H2ClientExchange exchange(session);
//   auto sent = co_await exchange.send_head("GET", "/", fields, {}, "", deadline);
//   auto head = co_await exchange.read_head(deadline);
#pragma once

#include <memory>

#include "http/client_exchange.h"
#include "http/h2_session.h"

namespace ebb::http {

// Begins to speak HTTP/2 on a connection to a server that is known to (prior knowledge).
// Shared: by its requests and by who keeps it for more.
[[nodiscard]] std::shared_ptr<H2Session> open_h2_client(net::Executor& executor,
                                                        net::Stream stream);

class H2ClientExchange final : public ClientExchange {
 public:
  explicit H2ClientExchange(std::shared_ptr<H2Session> session) : session_(std::move(session)) {}

  // Once.
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
  [[nodiscard]] const Fields& trailers() const override { return trailers_; }
  // The session is what is used again.
  [[nodiscard]] bool reusable() const override { return false; }
  [[nodiscard]] TunnelEnd tunnel_end() override { return {}; }
  [[nodiscard]] bool was_reset() const override { return stream_ && stream_->refused(); }
  [[nodiscard]] bool only_stream_ended() const override {
    return stream_ && stream_->reset_by_peer();
  }
  [[nodiscard]] bool response_begun() const override { return stream_ && stream_->answer_begun(); }
  void close() override;

 private:
  std::shared_ptr<H2Session> session_;
  std::unique_ptr<H2Stream> stream_;  // null: nothing was sent
  H2Fields interim_;
  ResponseHead head_;
  Fields trailers_;
  bool sized_ = false;
  bool end_rides_ = false;  // on the last piece, as no trailers follow
  uint64_t unsent_ = 0;     // of a body of known size
};

}  // namespace ebb::http
