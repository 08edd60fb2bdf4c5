// One request and its answer on the way to a server, whichever version of HTTP it speaks:
// ClientConnection is HTTP/1.1, H2ClientExchange one stream of HTTP/2.
//
// Belongs to one Executor's thread.
#pragma once

#include <string_view>

#include "base/clock.h"
#include "http/message.h"
#include "http/tunnel.h"
#include "net/task.h"

namespace ebb::http {

inline const Fields kNoTrailers;

class ClientExchange {
 public:
  virtual ~ClientExchange() = default;

  // Sends the request head; with `first_body`, in the same system call. Fields are
  // sent as given (Host and Connection among them; to HTTP/2 without what only HTTP/1.1
  // has), apart from Content-Length and Transfer-Encoding, which follow from `body` (kNone
  // or kSized, else of unknown length). kMalformed, and nothing sent, if the method, target
  // or a field would break the framing, or if the last exchange has not ended. The arguments
  // must outlive the task. After an error the server may still have answered: read_head
  // tells.
  [[nodiscard]] virtual net::Task<HttpResult<void>> send_head(std::string_view method,
                                                              std::string_view target,
                                                              const Fields& fields, BodyLength body,
                                                              std::string_view first_body,
                                                              TimePoint deadline) = 0;
  // An empty piece is nothing. kMalformed if it exceeds the announced size.
  [[nodiscard]] virtual net::Task<HttpResult<void>> send_body(std::string_view piece,
                                                              TimePoint deadline) = 0;
  // Ends the body; kTruncated if the announced size was not reached. The trailers go
  // behind one of unknown length; in HTTP/2 also behind one of known size that was announced
  // with them.
  [[nodiscard]] virtual net::Task<HttpResult<void>> finish_body(const Fields& trailers,
                                                                TimePoint deadline) = 0;

  // Interim heads, such as 103, that one answer may have.
  static constexpr int kMaxInterim = 16;
  // The next head: interim ones, one after another, and then the answer's (or 101, which ends
  // the connection's use for HTTP). kClosed if the server closed before the first byte;
  // kMalformed after too many. Valid until the next call and send_head; the caller may
  // change it.
  [[nodiscard]] virtual net::Task<HttpResult<ResponseHead*>> next_head(TimePoint deadline) = 0;
  // The answer's own.
  [[nodiscard]] net::Task<HttpResult<ResponseHead*>> read_head(TimePoint deadline);
  // The next piece of the body, empty at its end. Valid until the next call.
  [[nodiscard]] virtual net::Task<HttpResult<std::string_view>> read_body(TimePoint deadline) = 0;
  // The fields behind the body, once that has ended.
  [[nodiscard]] virtual const Fields& trailers() const = 0;

  // True if it can carry the next request: both messages ended, both sides keep it, nothing
  // failed and nothing unasked arrived. Also before the first.
  [[nodiscard]] virtual bool reusable() const = 0;
  // After a 101: the connection as bytes. It stays the owner of the stream.
  [[nodiscard]] virtual TunnelEnd tunnel_end() = 0;
  // True if the server has not looked at the request: it closed without having read all
  // that was sent, or reset the connection (on a Unix socket that is known for sure), or
  // said so (HTTP/2).
  [[nodiscard]] virtual bool was_reset() const = 0;
  // True if the server has reset this request alone, and the connection goes on (HTTP/2).
  [[nodiscard]] virtual bool only_stream_ended() const { return false; }
  // True if any byte of the response to the current request has arrived.
  [[nodiscard]] virtual bool response_begun() const = 0;
  // Ends it now: what is pending ends with an error.
  virtual void close() = 0;
};

inline net::Task<HttpResult<ResponseHead*>> ClientExchange::read_head(TimePoint deadline) {
  for (;;) {
    auto head = co_await next_head(deadline);
    if (!head || !(*head)->is_interim()) co_return head;
  }
}

}  // namespace ebb::http
