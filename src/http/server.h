// HTTP/1.1 server on one executor: accepts, parses, calls the handler once per
// request, keeps alive, drains.
//
// Belongs to one Executor's thread. Strict against smuggling (RFC 9112, and the
// list in docs/architecture.md): a doubtful request gets 400 and the connection
// is closed.
//
//   class Hello final : public http::Handler {
//     net::Task<void> serve(http::Exchange& x) override {
//       co_await x.respond(200, "text/plain", "hello\n");
//     }
//   };
//   http::Server server(executor, std::move(fd), handler, {});
//   server.start();
//   ...
//   co_await server.drain(deadline);
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "http/message.h"
#include "net/address.h"
#include "net/stream.h"
#include "net/task.h"

namespace ebb::http {

template <class T>
using HttpResult = Result<T, HttpError>;

struct ServerOptions {
  HeadLimits head;
  uint64_t max_body = 256ull << 20;               // bytes; over it: 413
  Duration head_timeout = std::chrono::seconds(15);  // from the first byte to the end of the head
  Duration idle_timeout = std::chrono::seconds(75);  // between requests
  Duration body_timeout = std::chrono::seconds(30);  // for each further piece of a body
  Duration write_timeout = std::chrono::seconds(30);  // for each piece of a response
  size_t max_connections = 20000;                 // per server; over it: closed at accept
};

// One request and its response. A handler reads the body if it wants it, and
// answers exactly once: respond(), or begin() + write()* + finish(). The server
// drains or closes what the handler left unread.
class Exchange {
 public:
  virtual ~Exchange() = default;

  [[nodiscard]] virtual const RequestHead& request() const = 0;
  // When the first byte of this request's head had been received.
  [[nodiscard]] virtual TimePoint received_at() const = 0;
  [[nodiscard]] virtual net::Address client() const = 0;
  [[nodiscard]] virtual net::Executor& executor() const = 0;

  // The next piece of the body, at most about 16 KiB; empty at its end. The view
  // holds until the next call. Sends "100 Continue" first where it was asked for.
  // Back-pressure: nothing is read from the client that was not asked for.
  [[nodiscard]] virtual net::Task<HttpResult<std::string_view>> read_body() = 0;
  // All of the body, at most `limit` bytes, else kBodyTooLarge.
  [[nodiscard]] net::Task<HttpResult<std::string>> read_all(size_t limit);
  // True while no byte of the body has been read and none was sent by the client
  // because of us (so that the request may still be replayed).
  [[nodiscard]] virtual bool body_untouched() const = 0;

  // Sends a response head. `head.body` says how the body is framed towards the
  // client (kUntilClose becomes chunked for HTTP/1.1 clients); the server adds
  // Connection, Content-Length or Transfer-Encoding, and Date if missing. Those
  // and hop-by-hop fields in `head.fields` are dropped. The head is held back
  // and leaves with the first write() or finish() in one system call.
  [[nodiscard]] virtual net::Task<HttpResult<void>> begin(const ResponseHead& head) = 0;
  // Sends a piece of the body now (never held back).
  [[nodiscard]] virtual net::Task<HttpResult<void>> write(std::string_view piece) = 0;
  // Ends the response. Without it, the connection is cut when the handler
  // returns, so that the client sees a broken answer and no false end.
  [[nodiscard]] virtual net::Task<HttpResult<void>> finish() = 0;
  // True once begin() was called.
  [[nodiscard]] virtual bool begun() const = 0;
  // Makes this the last exchange of its connection.
  virtual void close_after() = 0;

  // A whole small response. `extra` fields are added.
  [[nodiscard]] net::Task<HttpResult<void>> respond(int status, std::string_view content_type,
                                                    std::string_view body, Fields extra = {});
};

// Must outlive the server. Called on the server's executor, many at a time.
class Handler {
 public:
  virtual ~Handler() = default;
  [[nodiscard]] virtual net::Task<void> serve(Exchange& exchange) = 0;
};

class Server final {
 public:
  Server(net::Executor& executor, UniqueFd listening, Handler& handler, ServerOptions options);
  // Only after drain() ended, or when the executor has stopped.
  ~Server();

  void start();  // on the executor's thread
  // Accepts no more, closes idle connections, lets requests in flight finish with
  // "Connection: close"; at the deadline cuts the rest. Returns how many were cut.
  [[nodiscard]] net::Task<size_t> drain(TimePoint deadline);

  [[nodiscard]] net::Address address() const;
  [[nodiscard]] size_t connections() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ebb::http
