// For tests: a server on one executor with a handler that does what the path says,
// and clients on the same executor.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "http/client.h"
#include "http/server.h"
#include "http/talk_fixture.h"
#include "http/uri.h"
#include "net/one_shot.h"

namespace ebb::http {

class PathHandler final : public Handler {
 public:
  net::Task<void> serve(Exchange& x) override {
    ++requests;
    const auto path = split_target(x.request().target)->path;
    if (path == "/hello") {
      (void)co_await x.respond(200, "text/plain", "hello\n");
    } else if (path == "/echo") {
      co_await echo(x);
    } else if (path == "/count") {
      co_await count(x);
    } else if (path == "/all") {
      const auto body = co_await x.read_all(100);
      if (body) (void)co_await x.respond(200, "text/plain", *body);
    } else if (path == "/half") {
      co_await write_pieces(x, BodyLength::sized(10), 1, false);
    } else if (path == "/half-chunked") {
      co_await write_pieces(x, BodyLength::chunked(), 1, false);
    } else if (path == "/half-until-close") {
      co_await write_pieces(x, BodyLength::until_close(), 1, false);
    } else if (path == "/chunked") {
      co_await write_pieces(x, BodyLength::chunked(), 3, true);
    } else if (path == "/until-close") {
      co_await write_pieces(x, BodyLength::until_close(), 3, true);
    } else if (path == "/short") {
      co_await write_pieces(x, BodyLength::sized(100), 3, true);
    } else if (path == "/long") {
      co_await write_pieces(x, BodyLength::sized(5), 3, true);
    } else if (path == "/hold") {
      co_await hold(x);
    } else if (path == "/hints") {
      co_await hints(x);
    } else if (path == "/status") {
      co_await status(x);
    } else if (path == "/bad-field") {
      co_await bad_field(x);
    } else if (path == "/fields") {
      co_await fields(x);
    } else if (path == "/throw") {
      throw std::runtime_error("on purpose");
    } else if (path == "/throw-late") {
      co_await write_pieces(x, BodyLength::chunked(), 1, false);
      throw std::runtime_error("on purpose");
    }
    // Any other path: returns without an answer.
  }

  int requests = 0;
  size_t largest_piece = 0;
  std::optional<HttpError> last_error;  // of a read or write in a handler
  std::vector<net::OneShot<bool>::Sender> held;

 private:
  net::Task<void> echo(Exchange& x) {
    ResponseHead head;
    head.body = x.request().body.kind == BodyLength::Kind::kNone ? BodyLength::none()
                                                                 : BodyLength::chunked();
    (void)co_await x.begin(head);
    for (;;) {
      const auto piece = co_await x.read_body();
      if (!piece) {
        last_error = piece.error();
        co_return;
      }
      if (piece->empty()) break;
      largest_piece = std::max(largest_piece, piece->size());
      const auto sent = co_await x.write(*piece);
      if (!sent) {
        last_error = sent.error();
        co_return;
      }
    }
    (void)co_await x.finish();
  }

  net::Task<void> count(Exchange& x) {
    size_t bytes = 0;
    for (;;) {
      const auto piece = co_await x.read_body();
      if (!piece) {
        last_error = piece.error();
        co_return;
      }
      if (piece->empty()) break;
      bytes += piece->size();
    }
    const std::string text = std::to_string(bytes);
    (void)co_await x.respond(200, "text/plain", text);
  }

  net::Task<void> write_pieces(Exchange& x, BodyLength length, int pieces, bool finish) {
    ResponseHead head;
    head.body = length;
    (void)co_await x.begin(head);
    for (int i = 0; i < pieces; ++i) {
      const auto sent = co_await x.write("abc");
      if (!sent) last_error = sent.error();
    }
    if (!finish) co_return;
    const auto done = co_await x.finish();
    if (!done && !last_error) last_error = done.error();
  }

  net::Task<void> hold(Exchange& x) {
    auto shot = net::OneShot<bool>::make(x.executor());
    held.push_back(shot.sender);
    auto waiting = shot.receiver.wait(kNever);
    (void)co_await waiting;
    (void)co_await x.respond(200, "text/plain", "held\n");
  }

  net::Task<void> hints(Exchange& x) {
    ResponseHead head;
    head.status = 103;
    head.fields.add("Link", "</style.css>; rel=preload");
    head.fields.add("Connection", "X-Mine");
    head.fields.add("X-Mine", "1");
    head.fields.add("Content-Length", "7");
    const auto sent = co_await x.send_interim(head);
    if (!sent) last_error = sent.error();
    for (const int status : {101, 200}) {
      head.status = status;
      const auto wrong = co_await x.send_interim(head);
      if (wrong) last_error = HttpError::kUnsupported;
    }
    (void)co_await x.respond(200, "text/plain", "hinted\n");
    head.status = 103;
    const auto late = co_await x.send_interim(head);
    if (late) last_error = HttpError::kUnsupported;
  }

  net::Task<void> status(Exchange& x) {  // /status?204
    const std::string number(split_target(x.request().target)->query);
    (void)co_await x.respond(std::stoi(number), "", "");
  }

  net::Task<void> bad_field(Exchange& x) {
    ResponseHead head;
    head.fields.add("X-Evil", "a\r\nSet-Cookie: b");
    const auto begun = co_await x.begin(head);
    if (begun) co_return;
    last_error = begun.error();
    (void)co_await x.respond(502, "text/plain", "the function sent a bad header\n");
  }

  net::Task<void> fields(Exchange& x) {
    Fields extra;
    extra.add("X-Kept", "1");
    extra.add("Connection", "close, X-Named");
    extra.add("X-Named", "dropped");
    extra.add("Keep-Alive", "timeout=5");
    extra.add("Transfer-Encoding", "chunked");
    extra.add("content-length", "999");
    extra.add("Date", "mine");
    (void)co_await x.respond(200, "text/plain", "ok", &extra);
  }
};

class ServerTest : public TalkTest {
 protected:
  void start(const ServerOptions& options = {}) { listen(handler, options); }

  void TearDown() override {
    if (!server) return;
    EXPECT_EQ(run(server->drain(soon())), 0u);
  }

  PathHandler handler;
};

}  // namespace ebb::http
