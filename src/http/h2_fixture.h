// For tests: a server that speaks HTTP/2, and clients of it on the same executor.
#pragma once

#include <nghttp2/nghttp2.h>

#include <map>

#include "http/h2_session.h"
#include "http/server_fixture.h"

namespace ebb::http {

struct H2Answer {
  int status = 0;
  std::string body;
  std::map<std::string, std::string> fields;
  std::map<std::string, std::string> trailers;
  std::string error;
};

class H2ServerTest : public ServerTest {
 protected:
  void start(ServerOptions options = {}) {
    options.http2 = true;
    ServerTest::start(options);
  }
  // A client's session on a connection of its own.
  std::shared_ptr<H2Session> connect() {
    auto session = std::make_shared<H2Session>(executor, run(dial()), H2Session::Role::kClient,
                                               H2Options{.max_streams = 1000});
    executor.spawn(H2Session::run(session, ""));
    return session;
  }
  static std::vector<Field> request(std::string_view method, std::string_view path) {
    return {{":method", method}, {":scheme", "http"}, {":authority", "h"}, {":path", path}};
  }
  net::Task<H2Answer> ask(std::shared_ptr<H2Session> session, std::vector<Field> fields,
                          std::string body = "", bool has_body = false) {
    H2Answer answer;
    const bool more = has_body || !body.empty();
    auto stream = session->submit_request(fields, more);
    if (!stream) {
      answer.error = "not submitted";
      co_return answer;
    }
    session->flush();
    auto shot = net::OneShot<bool>::make(executor);
    if (more) {
      executor.spawn([](H2Stream& to, std::string_view all, TimePoint by,
                        net::OneShot<bool>::Sender done) -> net::Task<void> {
        const auto sent = co_await to.write(all, true, nullptr, by);
        done.set(sent.has_value());
      }(*stream, body, soon(), shot.sender));
    } else {
      shot.sender.set(true);
    }
    co_await receive(*stream, answer);
    // An answer may come before the body has gone, or there is none.
    if (!stream->sent_all()) stream->reset(NGHTTP2_CANCEL);
    auto waiting = shot.receiver.wait(soon());
    (void)co_await waiting;
    co_return answer;
  }
  net::Task<void> receive(H2Stream& stream, H2Answer& answer) {
    const auto head = co_await stream.wait_for_head(soon());
    if (!head) {
      answer.error = to_string(head.error());
      co_return;
    }
    answer.status = std::stoi(std::string(stream.head().get(":status")));
    Fields view;
    stream.head().view(view);
    for (const Field& field : view) answer.fields.emplace(field.name, field.value);
    for (;;) {
      const auto piece = co_await stream.read(soon());
      if (!piece) {
        answer.error = to_string(piece.error());
        co_return;
      }
      if (piece->empty()) break;
      answer.body += *piece;
    }
    Fields trailers;
    stream.trailers().view(trailers);
    for (const Field& field : trailers) answer.trailers.emplace(field.name, field.value);
  }
  H2Answer get(const std::string& path) {
    auto session = connect();
    auto answer = run(ask(session, request("GET", path)));
    session->cut();
    return answer;
  }
};

}  // namespace ebb::http
