#include "http/client.h"

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/server_fixture.h"
#include "net/test_util.h"

namespace ebb::http {
namespace {

struct Answer {
  int status = 0;
  std::string body;
  std::optional<HttpError> error;
  bool reusable = false;
};

class ClientTest : public ServerTest {
 protected:
  net::Task<std::unique_ptr<ClientConnection>> connect() {
    auto stream = co_await dial();
    co_return std::make_unique<ClientConnection>(std::move(stream));
  }

  net::Task<Answer> read(ClientConnection& c) {
    Answer answer;
    const auto head = co_await c.read_head(soon());
    if (!head) {
      answer.error = head.error();
      co_return answer;
    }
    answer.status = (*head)->status;
    for (;;) {
      const auto piece = co_await c.read_body(soon());
      if (!piece) answer.error = piece.error();
      if (!piece || piece->empty()) break;
      answer.body.append(*piece);
    }
    answer.reusable = c.reusable();
    co_return answer;
  }

  net::Task<Answer> fetch(ClientConnection& c, std::string method, std::string path,
                          BodyLength length = {}, std::string body = {}) {
    Fields fields;
    fields.add("Host", "h");
    Answer failed;
    const auto sent = co_await c.send_head(method, path, fields, length, body, soon());
    if (sent) {
      const auto ended = co_await c.finish_body(kNoTrailers, soon());
      if (!ended) failed.error = ended.error();
    } else {
      failed.error = sent.error();
    }
    if (failed.error) co_return failed;
    co_return co_await read(c);
  }

  // Lets the client talk to a listener that answers with `bytes`, whatever it gets.
  Answer fetch_from(std::string bytes, std::string method = "GET") {
    auto address = net::Address::parse("127.0.0.1:0");
    auto fds = net::bind_shared(*address, 1);
    net::Listener listener(executor, std::move(fds->front()));
    executor.spawn(say(listener, std::move(bytes)));
    return run(fetch_at(listener.local(), std::move(method)));
  }

  net::Task<void> say(net::Listener& listener, std::string bytes) {
    auto stream = co_await listener.accept();
    if (!stream) co_return;
    auto reading = read_up_to(*stream, "\r\n\r\n");
    (void)co_await reading;
    (void)co_await stream->write_all(bytes, soon());
  }

  net::Task<Answer> fetch_at(net::Address address, std::string method) {
    auto stream = co_await net::connect(executor, address, soon());
    ClientConnection c(std::move(*stream));
    auto fetching = fetch(c, method, "/");
    Answer answer = co_await fetching;
    begun = c.response_begun();
    co_return answer;
  }

  // Sends a chunked body of `total` bytes in pieces.
  net::Task<void> upload(ClientConnection& c, size_t total, bool& done) {
    const std::string piece(10000, 'x');
    for (size_t sent = 0; sent < total; sent += piece.size()) {
      const auto ok = co_await c.send_body(piece, soon());
      if (!ok) co_return;
    }
    const auto ended = co_await c.finish_body(kNoTrailers, soon());
    done = ended.has_value();
  }

  bool begun = false;
};

TEST_F(ClientTest, ReusesAConnectionForEveryKindOfExchange) {
  start();
  auto c = run(connect());
  EXPECT_TRUE(c->reusable());
  EXPECT_FALSE(c->response_begun());
  Answer a = run(fetch(*c, "GET", "/hello"));
  EXPECT_EQ(a.status, 200);
  EXPECT_EQ(a.body, "hello\n");
  EXPECT_TRUE(a.reusable);
  EXPECT_TRUE(c->response_begun());
  a = run(fetch(*c, "GET", "/chunked"));
  EXPECT_EQ(a.body, "abcabcabc");
  a = run(fetch(*c, "GET", "/status?204"));
  EXPECT_EQ(a.status, 204);
  EXPECT_TRUE(a.reusable);
  a = run(fetch(*c, "POST", "/all", BodyLength::sized(3), "abc"));
  EXPECT_EQ(a.body, "abc");
  a = run(fetch(*c, "POST", "/all", BodyLength::chunked(), "defg"));
  EXPECT_EQ(a.body, "defg");
  a = run(fetch(*c, "POST", "/all"));
  EXPECT_EQ(a.body, "");
  EXPECT_TRUE(a.reusable);
  a = run(fetch(*c, "HEAD", "/hello"));
  EXPECT_EQ(a.body, "");
  EXPECT_FALSE(a.reusable);  // a careless server might send the body still
  EXPECT_EQ(server->connections(), 1u);
  EXPECT_EQ(handler.requests, 7);
}

TEST_F(ClientTest, StreamsTenMegabytesBothWaysInBoundedMemory) {
  start();
  auto c = run(connect());
  Fields fields;
  fields.add("Host", "h");
  rusage before{};
  getrusage(RUSAGE_SELF, &before);
  ASSERT_TRUE(run(c->send_head("POST", "/echo", fields, BodyLength::chunked(), "", soon())));
  constexpr size_t kTotal = 10'000'000;
  bool done = false;
  executor.spawn(upload(*c, kTotal, done));
  ASSERT_TRUE(run(c->read_head(soon())));
  size_t received = 0;
  for (;;) {
    const auto piece = run(c->read_body(soon()));
    ASSERT_TRUE(piece) << to_string(piece.error());
    if (piece->empty()) break;
    ASSERT_EQ(piece->find_first_not_of('x'), std::string_view::npos);
    ASSERT_LE(piece->size(), 16u * 1024);
    received += piece->size();
  }
  EXPECT_EQ(received, kTotal);
  EXPECT_TRUE(done);
  EXPECT_TRUE(c->reusable());
  EXPECT_LE(handler.largest_piece, 16u * 1024);
  rusage after{};
  getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 6 * 1024) << "KiB";
}

TEST_F(ClientTest, SendsTenMegabytesOfAKnownSize) {
  start();
  auto c = run(connect());
  const Answer a =
      run(fetch(*c, "PUT", "/count", BodyLength::sized(10'000'000), std::string(10'000'000, 'x')));
  EXPECT_EQ(a.body, "10000000");
  EXPECT_TRUE(a.reusable);
}

TEST_F(ClientTest, BodyMustHaveItsSize) {
  start();
  auto c = run(connect());
  EXPECT_EQ(run(fetch(*c, "PUT", "/count", BodyLength::sized(3), "ab")).error,
            HttpError::kTruncated);
  EXPECT_FALSE(c->reusable());
  auto d = run(connect());
  EXPECT_EQ(run(fetch(*d, "PUT", "/count", BodyLength::sized(3), "abcd")).error,
            HttpError::kMalformed);
  EXPECT_FALSE(d->reusable());
}

TEST_F(ClientTest, WritesNothingThatBreaksTheFraming) {
  start();
  for (const char* path : {"/a b", "/a\r\nX: y", ""}) {
    auto c = run(connect());
    EXPECT_EQ(run(fetch(*c, "GET", path)).error, HttpError::kMalformed);
    EXPECT_FALSE(c->reusable());
  }
  EXPECT_EQ(handler.requests, 0);
}

TEST_F(ClientTest, CutAnswersAreTruncated) {
  start();
  for (const char* path : {"/half", "/half-chunked"}) {
    auto c = run(connect());
    const Answer a = run(fetch(*c, "GET", path));
    EXPECT_EQ(a.error, HttpError::kTruncated) << path;
    EXPECT_FALSE(a.reusable);
  }
}

TEST_F(ClientTest, ClosedBeforeTheFirstByteIsToldApart) {
  EXPECT_EQ(fetch_from("").error, HttpError::kClosed);
  EXPECT_FALSE(begun);
  EXPECT_EQ(fetch_from("H").error, HttpError::kTruncated);
  EXPECT_TRUE(begun);
}

TEST_F(ClientTest, SkipsInterimAnswersUpToABound) {
  const std::string interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
  const std::string final = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  Answer a = fetch_from("HTTP/1.1 100 Continue\r\n\r\n" + interim + final);
  EXPECT_EQ(a.status, 200);
  EXPECT_EQ(a.body, "ok");
  EXPECT_TRUE(a.reusable);
  std::string many;
  for (int i = 0; i < ClientConnection::kMaxInterim; ++i) many += interim;
  EXPECT_EQ(fetch_from(many + final).body, "ok");
  EXPECT_EQ(fetch_from(many + interim + final).error, HttpError::kMalformed);
}

TEST_F(ClientTest, GivesInterimHeadsToWhoAsks) {
  auto [mine, theirs] = net::socket_pair();
  ClientConnection client(net::Stream(executor, std::move(mine)));
  net::Stream peer(executor, std::move(theirs));
  Fields fields;
  fields.add("Host", "h");
  ASSERT_TRUE(run(client.send_head("GET", "/", fields, {}, "", soon())));
  const std::string answer =
      "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  const auto sent = [](net::Stream& to, std::string_view text) -> net::Task<bool> {
    const auto written = co_await to.write_all(text, kNever);
    co_return written.has_value();
  };
  ASSERT_TRUE(run(sent(peer, answer)));
  auto head = run(client.next_head(soon()));
  ASSERT_TRUE(head);
  EXPECT_EQ((*head)->status, 103);
  EXPECT_EQ((*head)->fields.get("link"), "</a>");
  EXPECT_FALSE(client.reusable());
  head = run(client.next_head(soon()));
  ASSERT_TRUE(head);
  EXPECT_EQ((*head)->status, 102);
  head = run(client.next_head(soon()));
  ASSERT_TRUE(head);
  EXPECT_EQ((*head)->status, 200);
  EXPECT_EQ(run(client.read_body(soon())).value_or(""), "ok");
  EXPECT_TRUE(client.reusable());
}

TEST_F(ClientTest, AnAnswerIsReadThoughTheRequestCouldNotBeSent) {
  Fields fields;
  fields.add("Host", "h");
  for (const std::string_view answer :
       {"", "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 413 No\r\nConnection: close\r\n\r\n"}) {
    auto [ours, theirs] = net::socket_pair();
    ClientConnection client(net::Stream(executor, std::move(ours)));
    ASSERT_EQ(::write(theirs.get(), answer.data(), answer.size()),
              static_cast<ssize_t>(answer.size()));
    theirs.reset();
    EXPECT_FALSE(run(client.send_head("POST", "/", fields, BodyLength::sized(3), "abc", soon())));
    const auto head = run(client.read_head(soon()));
    if (answer.empty()) {
      ASSERT_FALSE(head);
      EXPECT_EQ(head.error(), HttpError::kClosed) << "it may be sent again";
      EXPECT_TRUE(client.was_reset());
    } else {
      ASSERT_TRUE(head) << to_string(head.error());
      EXPECT_EQ((*head)->status, 413);
    }
    EXPECT_FALSE(client.reusable());
  }
}

TEST_F(ClientTest, SwitchingProtocolsEndsReuse) {
  const Answer a =
      fetch_from("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
  EXPECT_EQ(a.status, 101);
  EXPECT_FALSE(a.reusable);
}

TEST_F(ClientTest, ReadsBodiesUntilClose) {
  const Answer a = fetch_from("HTTP/1.1 200 OK\r\n\r\nto the end");
  EXPECT_EQ(a.body, "to the end");
  EXPECT_FALSE(a.error);
  EXPECT_FALSE(a.reusable);
}

TEST_F(ClientTest, ReusableOnlyIfNothingElseArrived) {
  const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n";
  EXPECT_TRUE(fetch_from(ok + "\r\nok").reusable);
  EXPECT_FALSE(fetch_from(ok + "\r\nokHTTP/1.1 200 OK\r\n").reusable);
  EXPECT_FALSE(fetch_from(ok + "Connection: close\r\n\r\nok").reusable);
  EXPECT_FALSE(fetch_from("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok").reusable);
  EXPECT_TRUE(fetch_from("HTTP/1.1 200 OK\r\n\r\n", "HEAD").reusable);
  EXPECT_TRUE(fetch_from("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HEAD").reusable);
  EXPECT_FALSE(fetch_from(ok + "\r\n", "HEAD").reusable);  // a body may come after all
  EXPECT_FALSE(fetch_from(ok + "\r\nok", "HEAD").reusable);
  EXPECT_FALSE(
      fetch_from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HEAD").reusable);
  EXPECT_TRUE(fetch_from("HTTP/1.1 304 Not Modified\r\n\r\n").reusable);
  EXPECT_FALSE(fetch_from("HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n").reusable);
}

TEST_F(ClientTest, RefusesSmuggledResponses) {
  for (const char* fields :
       {"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 2\r\nContent-Length: 2\r\n", "Content-Length: 2\r\nX: y\r\n z\r\n",
        "Content-Length : 2\r\n", "Content-Length: 2\nX: y\r\n"}) {
    EXPECT_EQ(fetch_from("HTTP/1.1 200 OK\r\n" + std::string(fields) + "\r\nok").error,
              HttpError::kMalformed)
        << fields;
  }
  EXPECT_EQ(
      fetch_from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nok\r\n0\r\n\r\n").error,
      HttpError::kMalformed);
  EXPECT_EQ(fetch_from("HTTP/1.1 200 OK\r\nA: " + std::string(40000, 'x')).error,
            HttpError::kHeadTooLarge);
}

TEST_F(ClientTest, PoolGivesTheLastPutAndDropsTheDead) {
  start();
  ConnectionPool pool(2);
  EXPECT_EQ(pool.take(), nullptr);
  std::vector<ClientConnection*> order;
  for (int i = 0; i < 3; ++i) {
    auto c = run(connect());
    order.push_back(c.get());
    pool.put(std::move(c), executor.now());
  }
  EXPECT_EQ(pool.idle(), 2u);  // the oldest was closed
  run_while([&] { return server->connections() != 2; });
  auto last = pool.take();
  EXPECT_EQ(last.get(), order[2]);
  // One whose exchange is not over is not taken back.
  ASSERT_EQ(run(fetch(*last, "GET", "/half")).error, HttpError::kTruncated);
  pool.put(std::move(last), executor.now());
  EXPECT_EQ(pool.idle(), 1u);
  // The server closes the last idle one.
  EXPECT_EQ(run(server->drain(soon())), 0u);
  EXPECT_EQ(pool.take(), nullptr);
  EXPECT_EQ(pool.idle(), 0u);
  server.reset();
}

TEST_F(ClientTest, WhatComesWhileAConnectionIsIdleIsNobodysAnswer) {
  for (const bool closes : {false, true}) {
    auto [ours, peer] = net::socket_pair();
    ConnectionPool pool(2);
    pool.put(std::make_unique<ClientConnection>(net::Stream(executor, std::move(ours))),
             executor.now());
    executor.run_until(executor.now());
    auto idle = pool.take();
    ASSERT_NE(idle, nullptr) << "it is quiet";
    pool.put(std::move(idle), executor.now());
    if (closes) {
      ::shutdown(peer.get(), SHUT_WR);
    } else {
      ASSERT_EQ(::write(peer.get(), "HTTP/1.1 200 OK\r\n\r\n", 19), 19);
    }
    executor.run_until(executor.now());
    EXPECT_EQ(pool.take(), nullptr) << closes;
  }
}

class DrainTest : public ClientTest {
 protected:
  // Asks again and again until the server closes; no answer may be cut.
  net::Task<void> hammer() {
    ++running;
    auto c = co_await connect();
    while (c->reusable() && c->stream().quiet()) {
      auto fetching = fetch(*c, "POST", "/echo", BodyLength::sized(5), "hello");
      const Answer a = co_await fetching;
      if (a.error) {
        // Only where the close crossed the request, before any of it was read.
        cut += c->response_begun() ? 1 : 0;
        break;
      }
      EXPECT_EQ(a.body, "hello");
      if (++answered == 200) executor.spawn(drain());
    }
    --running;
  }

  net::Task<void> drain() { drained = co_await server->drain(soon()); }

  int running = 0;
  int answered = 0;
  int cut = 0;
  std::optional<size_t> drained;
};

TEST_F(DrainTest, UnderLoadCutsNoAnswer) {
  start();
  for (int i = 0; i < 8; ++i) executor.spawn(hammer());
  run_while([&] { return running > 0 || !drained; });
  EXPECT_EQ(drained, 0u);
  EXPECT_EQ(server->connections(), 0u);
  EXPECT_EQ(cut, 0);
  EXPECT_EQ(answered, handler.requests);  // every request that was served was answered
  server.reset();
}

}  // namespace
}  // namespace ebb::http
