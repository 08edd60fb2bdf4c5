// HTTP server on one executor: accepts, parses, calls the handler once per request,
// keeps alive, drains. HTTP/1.1, and HTTP/2 if wanted: over TLS by ALPN, else where the
// client begins with it (prior knowledge) or asks for an upgrade to h2c.
//
// Belongs to one Executor's thread. Strict against smuggling (see head_parser.h and
// body_decoder.h): a doubtful request gets 400 and the connection is closed. So
// does, with 500, one whose handler returned or threw without an answer.
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

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "http/message.h"
#include "http/tunnel.h"
#include "net/address.h"
#include "net/stream.h"
#include "net/task.h"
#include "net/tls.h"

namespace ebb::http {

struct ServerOptions {
  HeadLimits head = {};
  uint64_t max_body = 256ull << 20;                   // bytes; over it: 413
  Duration head_timeout = std::chrono::seconds(15);   // from the first byte to the end of the head
  Duration idle_timeout = std::chrono::seconds(75);   // between requests
  Duration body_timeout = std::chrono::seconds(30);   // for each further piece of a body
  Duration write_timeout = std::chrono::seconds(30);  // for room for a piece of a response
  size_t max_connections = 20000;                     // per server; over it: closed at accept
  // Where open connections are counted, for others to see; must outlive the server.
  std::atomic<uint64_t>* connection_gauge = nullptr;
  bool http2 = false;  // speaks HTTP/2, too: where the client does at once, or asks for it
  // Speaks TLS with what is current there; must outlive the server.
  const net::TlsContexts* tls = nullptr;
  // Handshakes that came to nothing; must outlive the server.
  std::atomic<uint64_t>* tls_failures = nullptr;
  Duration handshake_timeout = std::chrono::seconds(10);  // of TLS
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
  [[nodiscard]] virtual const net::Address& client() const = 0;
  [[nodiscard]] virtual bool secure() const = 0;  // came over TLS
  // True if the client has gone, or ended its side of the connection: while it waits
  // for an answer these cannot be told apart, and hardly any client does the second.
  [[nodiscard]] virtual bool client_left() const = 0;
  // The server has cut the connection, at the end of a drain.
  [[nodiscard]] virtual bool was_cut() const = 0;
  // Bytes of memory that the request holds.
  [[nodiscard]] virtual size_t held_bytes() const = 0;
  [[nodiscard]] virtual net::Executor& executor() const = 0;

  // The next piece of the body, at most 64 KiB; empty at its end. The view holds
  // until the next call. Sends "100 Continue" first where it was asked for; once
  // the response has begun that is too late, and kClosed is returned. Back-pressure:
  // nothing is read from the client that was not asked for. After an error every
  // call returns it, and a handler that then returns without an answer lets the
  // server give the fitting one (400, 408, 413).
  [[nodiscard]] virtual net::Task<HttpResult<std::string_view>> read_body() = 0;
  // All of the body, at most `limit` bytes, else kBodyTooLarge.
  [[nodiscard]] net::Task<HttpResult<std::string>> read_all(size_t limit);
  // All of the body has been read.
  [[nodiscard]] virtual bool body_read() const = 0;
  // client_left() is certain, whatever the client's side of the connection does (HTTP/2).
  [[nodiscard]] virtual bool tells_of_leaving() const { return false; }
  // True if the client may wait for an answer before it sends (more of) its body, as a
  // stream of messages in both directions does (HTTP/2): what needs the body waits in vain.
  [[nodiscard]] virtual bool body_may_wait() const { return false; }
  // Whether read_body() would not have to wait; waits for that until then.
  [[nodiscard]] virtual net::Task<bool> body_comes(TimePoint until) = 0;
  // A read_body() that waits ends with kClosed. A later one reads on.
  virtual void cancel_read() = 0;
  // The fields behind the body, once that has been read to its end.
  [[nodiscard]] virtual const Fields& trailers() const = 0;

  // Sends a head that comes before the answer's, such as 103, at once: its status and
  // fields, without those that begin() drops. To a client of HTTP/1.0, which knows none, or
  // of HTTP/2 that takes nothing of what is sent, nothing. kMalformed, and nothing sent, where that
  // is not possible: the answer has begun, it is not ResponseHead::is_interim(), or a field would
  // break the framing.
  [[nodiscard]] virtual net::Task<HttpResult<void>> send_interim(const ResponseHead& head) = 0;
  // Sends a response head. `head.body` says how the body is framed towards the
  // client (kUntilClose becomes chunked for HTTP/1.1 clients, kNone is a length of
  // 0; for HEAD, 204 and 304 no body is sent); the server adds Connection,
  // Content-Length or Transfer-Encoding, and Date if missing. Those, hop-by-hop
  // fields and fields that a Connection field names are dropped from
  // `head.fields`. The head is copied and held back: it leaves with the first
  // write() or finish() in one system call. kMalformed, and nothing begun, if the
  // status is not 200..999 or a field would break the framing.
  [[nodiscard]] virtual net::Task<HttpResult<void>> begin(const ResponseHead& head) = 0;
  // Sends a piece of the body now (never held back); an empty piece sends the head
  // that is still held back. Dropped where the response has no body. kMalformed if
  // it would exceed the announced size.
  [[nodiscard]] virtual net::Task<HttpResult<void>> write(std::string_view piece) = 0;
  // Ends the response; kTruncated if the announced size was not reached. Without
  // it, the connection (of HTTP/2 the stream) is cut when the handler returns, so that the
  // client sees a broken answer and no false end. The trailers go behind a body of
  // unknown size to a client that takes some: of HTTP/2, or that said "TE: trailers"; in
  // HTTP/2 also behind one of known size that was announced with them. They must outlive
  // the task.
  [[nodiscard]] virtual net::Task<HttpResult<void>> finish(const Fields& trailers) = 0;
  [[nodiscard]] net::Task<HttpResult<void>> finish();
  // Answers 101 with the fields of `head` (its Upgrade field among them) and leaves
  // HTTP: the connection is bytes from now on, and ends when the handler returns.
  // kMalformed, and nothing sent, unless the request asked for it (RequestHead.upgrade,
  // HTTP/1.1), its body was read, and no answer has begun. The client's silence no
  // longer ends the connection, only its death does (TCP keep-alive); a drain cuts it
  // after kTunnelGrace.
  static constexpr Duration kTunnelGrace = std::chrono::seconds(5);
  [[nodiscard]] virtual net::Task<HttpResult<TunnelEnd>> switch_protocols(
      const ResponseHead& head) = 0;
  // Besides the server's bound for each piece: nothing is sent to the client beyond it,
  // and what was begun is cut. Until the next exchange.
  virtual void send_by(TimePoint deadline) = 0;
  // True once begin() was called.
  [[nodiscard]] virtual bool begun() const = 0;
  // Makes this the last exchange of its connection. A handler that then returns without
  // an answer ends the connection without one.
  virtual void close_after() = 0;

  // A whole small response, with `extra` fields if given. All arguments must
  // outlive the task.
  [[nodiscard]] net::Task<HttpResult<void>> respond(int status, std::string_view content_type,
                                                    std::string_view body,
                                                    const Fields* extra = nullptr);
};

// What a client is told whose request's body could not be read: "the request's body is larger
// than 100 bytes"; "" where nobody is left to be told. `max_body`: of the server.
[[nodiscard]] std::string body_fault(HttpError error, uint64_t max_body);

// A request that the server answers itself, since its head cannot be served.
struct RefusedHead {
  int status = 0;           // 400, 408, 413, 431, 501 or 505
  const RequestHead& head;  // empty unless it could be read (413)
  const net::Address& client;
  TimePoint received_at;
  bool secure = false;  // came over TLS
};

// Must outlive the server and every call of serve(). Called on the server's
// executor, many at a time.
class Handler {
 public:
  virtual ~Handler() = default;
  [[nodiscard]] virtual net::Task<void> serve(Exchange& exchange) = 0;
  // Such a request has come, and is answered next. Returns its X-Request-Id, "" for none.
  [[nodiscard]] virtual std::string refused(const RefusedHead& /*request*/) { return {}; }
};

struct ServerState;

class Server final {
 public:
  Server(net::Executor& executor, UniqueFd listening, Handler& handler, ServerOptions options);
  // Only after drain() ended, or when the executor has stopped.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  void start();  // on the executor's thread
  // Accepts no more, for another process that has the listening socket and takes who waits
  // there. Closes idle connections; who has not sent anything yet stays. Once, before drain().
  void leave();
  // Accepts no more (who connected before is served), closes idle connections, lets requests in
  // flight finish with "Connection: close", and upgraded connections go on for `tunnel_grace`;
  // at the deadline cuts the rest and gives their handlers two seconds to return. Returns how
  // many were cut. Call it once.
  [[nodiscard]] net::Task<size_t> drain(TimePoint deadline,
                                        Duration tunnel_grace = Exchange::kTunnelGrace);

  [[nodiscard]] net::Address address() const;
  [[nodiscard]] size_t connections() const;

 private:
  // Shared with the connections' coroutines: one whose handler does not return in
  // time after a cut outlives the server.
  std::shared_ptr<ServerState> state_;
};

}  // namespace ebb::http
