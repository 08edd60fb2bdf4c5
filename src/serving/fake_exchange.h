// For tests: a request that nobody sent.
#pragma once

#include "http/server.h"
#include "net/executor.h"

namespace ebb::serving {

class FakeExchange final : public http::Exchange {
 public:
  explicit FakeExchange(net::Executor& executor) : executor_(executor) {}

  [[nodiscard]] const http::RequestHead& request() const override { return head; }
  [[nodiscard]] TimePoint received_at() const override { return {}; }
  [[nodiscard]] const net::Address& client() const override { return client_; }
  [[nodiscard]] bool secure() const override { return false; }
  [[nodiscard]] bool client_left() const override { return left; }
  [[nodiscard]] bool was_cut() const override { return false; }
  [[nodiscard]] size_t held_bytes() const override { return bytes; }
  [[nodiscard]] net::Executor& executor() const override { return executor_; }
  [[nodiscard]] net::Task<http::HttpResult<std::string_view>> read_body() override {
    co_return std::string_view();
  }
  [[nodiscard]] net::Task<bool> body_comes(TimePoint /*until*/) override { co_return true; }
  void cancel_read() override {}
  [[nodiscard]] net::Task<http::HttpResult<void>> send_interim(
      const http::ResponseHead& /*head*/) override {
    co_return http::HttpResult<void>();
  }
  [[nodiscard]] net::Task<http::HttpResult<void>> begin(
      const http::ResponseHead& /*head*/) override {
    co_return http::HttpResult<void>();
  }
  [[nodiscard]] net::Task<http::HttpResult<void>> write(std::string_view /*piece*/) override {
    co_return http::HttpResult<void>();
  }
  [[nodiscard]] bool body_read() const override { return true; }
  [[nodiscard]] const http::Fields& trailers() const override { return trailers_; }
  [[nodiscard]] net::Task<http::HttpResult<void>> finish(
      const http::Fields& /*trailers*/) override {
    co_return http::HttpResult<void>();
  }
  [[nodiscard]] net::Task<http::HttpResult<http::TunnelEnd>> switch_protocols(
      const http::ResponseHead& /*head*/) override {
    co_return fail(http::HttpError::kMalformed);
  }
  [[nodiscard]] bool begun() const override { return false; }
  void close_after() override {}
  void send_by(TimePoint /*deadline*/) override {}

  http::RequestHead head;
  bool left = false;
  size_t bytes = 1000;

 private:
  net::Executor& executor_;
  http::Fields trailers_;
  net::Address client_{.host = "192.0.2.1"};
};

}  // namespace ebb::serving
