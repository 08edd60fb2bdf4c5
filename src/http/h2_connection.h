// One accepted connection that speaks HTTP/2: each stream is an Exchange, served beside
// the others. Internal to the server.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/h2_session.h"
#include "http/open_connection.h"
#include "http/server.h"

namespace ebb::http {

// A request of HTTP/1.1 that asked for HTTP/2 (h2c); copied, as its connection ends.
struct UpgradedRequest {
  std::string settings;  // of its HTTP2-Settings, decoded
  H2Fields head;         // with pseudo fields
};

// What a connection of HTTP/1.1 leaves to one of HTTP/2, as which it goes on.
struct H2Start {
  net::Stream stream;
  std::string received{};                     // bytes that came already
  std::optional<UpgradedRequest> upgraded{};  // the first request, if that asked for it
};

class H2Connection final : public OpenConnection {
 public:
  // Shared: a handler may return after the server has gone.
  H2Connection(std::shared_ptr<ServerState> server, net::Stream stream);
  ~H2Connection() override;
  H2Connection(const H2Connection&) = delete;
  H2Connection& operator=(const H2Connection&) = delete;

  // Serves until the connection ends. Of `start` the stream has been taken.
  [[nodiscard]] static net::Task<void> run(std::shared_ptr<H2Connection> self, H2Start start);

  void close_if_idle() override { session_->drain(); }
  [[nodiscard]] bool is_new() const override { return session_->is_new(); }
  [[nodiscard]] bool is_tunnel() const override { return false; }
  void cut() override { session_->cut(); }

  [[nodiscard]] ServerState& server() { return *server_; }
  [[nodiscard]] H2Session& session() { return *session_; }
  [[nodiscard]] const net::Address& client() const { return client_; }

 private:
  // Shared: both keep it alive as long as they use it.
  [[nodiscard]] static net::Task<void> serve(std::shared_ptr<H2Connection> self,
                                             std::unique_ptr<H2Stream> arrived);

  const std::shared_ptr<ServerState> server_;
  const net::Address client_;
  std::shared_ptr<H2Session> session_;  // shared: with its coroutines
  std::weak_ptr<H2Connection> self_;
  std::optional<UpgradedRequest> upgraded_;
};

}  // namespace ebb::http
