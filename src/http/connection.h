// One accepted connection: reads requests one after another, calls the handler and
// writes what it answers. Internal to the server.
//
// Belongs to the server's executor; lives in the coroutine that serves it.
#pragma once

#include <optional>
#include <string>

#include "http/body_decoder.h"
#include "http/h2_connection.h"
#include "http/head_parser.h"
#include "http/input.h"
#include "http/open_connection.h"
#include "http/server.h"
#include "net/stream.h"

namespace ebb::http {

class Connection final : public Exchange, public OpenConnection {
 public:
  // After an answer that ends a connection early, what the client still sends is
  // read and dropped, so that the answer is not lost to a reset.
  static constexpr Duration kLingerTime = std::chrono::seconds(1);
  // A piece of a body up to this is copied behind its head.
  static constexpr size_t kJoined = 2 * 1024;
  // What of a request's body nobody wants is skipped, for so long and with no longer pause:
  // many clients look for an answer only once they have sent everything.
  static constexpr Duration kSkipTime = std::chrono::seconds(30);
  static constexpr Duration kSkipPause = std::chrono::seconds(1);

  // `server` must outlive the connection.
  Connection(ServerState& server, net::Stream stream);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Serves until the connection ends.
  [[nodiscard]] net::Task<void> run();
  // run() has ended since the client speaks HTTP/2 from here on.
  [[nodiscard]] bool is_http2() const { return http2_.has_value(); }
  [[nodiscard]] H2Start take_http2();

  void close_if_idle() override;
  [[nodiscard]] bool is_new() const override { return idle_ && !served_; }
  [[nodiscard]] bool is_tunnel() const override { return tunnel_; }
  void cut() override;

  [[nodiscard]] const RequestHead& request() const override { return request_; }
  [[nodiscard]] TimePoint received_at() const override { return received_at_; }
  [[nodiscard]] const net::Address& client() const override { return client_; }
  [[nodiscard]] bool secure() const override { return server_.options.tls != nullptr; }
  [[nodiscard]] bool client_left() const override { return stream_.peer_left(); }
  [[nodiscard]] bool was_cut() const override { return server_.cutting; }
  [[nodiscard]] size_t held_bytes() const override { return sizeof(*this) + input_.memory(); }
  [[nodiscard]] net::Executor& executor() const override { return server_.executor; }
  [[nodiscard]] net::Task<HttpResult<std::string_view>> read_body() override;
  [[nodiscard]] net::Task<bool> body_comes(TimePoint until) override;
  void cancel_read() override;
  [[nodiscard]] net::Task<HttpResult<void>> send_interim(const ResponseHead& head) override;
  [[nodiscard]] net::Task<HttpResult<void>> begin(const ResponseHead& head) override;
  [[nodiscard]] net::Task<HttpResult<void>> write(std::string_view piece) override;
  [[nodiscard]] bool body_read() const override { return decoder_.done(); }
  [[nodiscard]] const Fields& trailers() const override { return decoder_.trailers(); }
  [[nodiscard]] net::Task<HttpResult<void>> finish(const Fields& trailers) override;
  [[nodiscard]] net::Task<HttpResult<TunnelEnd>> switch_protocols(
      const ResponseHead& head) override;
  [[nodiscard]] bool begun() const override { return response_ != Response::kNone; }
  void close_after() override { close_after_ = true; }
  void send_by(TimePoint deadline) override { send_by_ = deadline; }

 private:
  enum class Response : uint8_t { kNone, kBegun, kFinished, kBroken };
  enum class Framing : uint8_t { kNoBody, kSized, kChunked, kUntilClose };

  // False if the connection ended.
  [[nodiscard]] net::Task<bool> shake_hands();
  // Reads and parses a head. False if the connection ended; it has been answered
  // and closed where that was due.
  [[nodiscard]] net::Task<bool> read_head();
  // True if what has come is how HTTP/2 begins; false if it cannot be; nullopt: perhaps.
  [[nodiscard]] std::optional<bool> begins_http2() const;
  // The request asks for HTTP/2 and may have it: switches.
  [[nodiscard]] std::optional<UpgradedRequest> asks_for_http2() const;
  [[nodiscard]] net::Task<void> upgrade_to_http2(UpgradedRequest request);
  // The exchange has ended as most do: the connection waits for the next request.
  [[nodiscard]] bool settled() const;
  // Brings any other to its end after the handler returned. True if the connection can
  // carry another request.
  [[nodiscard]] net::Task<bool> settle();
  // False if there is more of it than may be by then, or no more comes.
  [[nodiscard]] net::Task<bool> skip_body(TimePoint end);
  // For the next piece of what is dropped until `end`, which a drain brings nearer.
  [[nodiscard]] TimePoint skip_deadline(TimePoint& end) const;
  // Sends a whole plain text answer and ends the connection.
  [[nodiscard]] net::Task<void> refuse(int status, std::string_view what,
                                       std::string_view request_id = {});
  // Likewise, for a request that the handler never gets.
  [[nodiscard]] net::Task<void> refuse_head(int status, std::string_view what);
  // Reads and drops what comes until then, or until a pause.
  [[nodiscard]] net::Task<void> linger_and_close(TimePoint end);
  // Sends what is held back in out_, and then the others.
  [[nodiscard]] net::Task<HttpResult<void>> send(std::string_view piece, std::string_view tail);
  [[nodiscard]] net::Task<HttpResult<std::string_view>> read_more();
  // A piece, of a body that is not too large.
  [[nodiscard]] net::Task<HttpResult<std::string_view>> read_decoded(TimePoint deadline);
  [[nodiscard]] net::Task<HttpResult<void>> send_continue();
  [[nodiscard]] net::Task<HttpResult<void>> finish_sending();
  void begin_exchange();
  [[nodiscard]] bool append_head(const ResponseHead& head);
  // But what concerns one connection and its framing.
  [[nodiscard]] bool append_fields(const Fields& fields);
  [[nodiscard]] bool append_switch(const ResponseHead& head);
  [[nodiscard]] bool continue_due() const;

  ServerState& server_;
  net::Stream stream_;
  const net::Address client_;
  InputBuffer input_;
  HeadParser parser_;
  bool idle_ = true;     // waits for the first byte of a request
  bool served_ = false;  // had a request before
  bool tunnel_ = false;  // has left HTTP
  std::optional<H2Start> http2_;

  // The exchange under way.
  RequestHead request_;
  TimePoint received_at_;
  TimePoint send_by_ = kNever;
  BodyDecoder decoder_;
  std::string_view ahead_;  // of the body, for the next read_body()
  std::optional<HttpError> body_error_;
  bool body_touched_ = false;
  bool continued_ = false;
  bool read_canceled_ = false;
  bool close_after_ = false;
  Response response_ = Response::kNone;
  Framing framing_ = Framing::kNoBody;
  uint64_t unsent_ = 0;  // kSized: announced and not yet written
  std::string out_;      // the head held back, and the framing of a chunk
};

}  // namespace ebb::http
