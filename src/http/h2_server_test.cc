// HTTP/2 at the server, against nghttp2 as a client and against bytes made by hand.
#include <gmock/gmock.h>
#include <nghttp2/nghttp2.h>

#include "http/h2_client.h"
#include "http/h2_fixture.h"

namespace ebb::http {
namespace {

using namespace std::chrono_literals;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  const auto byte = [](uint64_t value, int shift) { return static_cast<char>(value >> shift); };
  std::string out;
  for (const int shift : {16, 8, 0}) out += byte(payload.size(), shift);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  for (const int shift : {24, 16, 8, 0}) out += byte(stream, shift);
  return out.append(payload);
}
std::string hello() { return std::string(kH2Preface) + frame(NGHTTP2_SETTINGS, 0, 0, ""); }
// A GET of "/" at "h" by HPACK's static table.
std::string get_frame(uint32_t stream) {
  return frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, stream,
               "\x82\x86\x84\x41\x01h");
}

TEST_F(H2ServerTest, AnswersWithLengthAndDate) {
  start();
  const H2Answer answer = get("/hello");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "hello\n");
  EXPECT_EQ(answer.fields.at("content-type"), "text/plain");
  EXPECT_EQ(answer.fields.at("content-length"), "6");
  EXPECT_TRUE(answer.fields.contains("date"));
  EXPECT_FALSE(answer.fields.contains("connection"));
}

TEST_F(H2ServerTest, ServesManyAtOnceOnOneConnection) {
  start();
  auto session = connect();
  std::vector<std::optional<H2Answer>> answers(100);
  for (auto& answer : answers) {
    executor.spawn([](net::Task<H2Answer> task, std::optional<H2Answer>& to) -> net::Task<void> {
      to = co_await task;
    }(ask(session, request("GET", "/hold")), answer));
  }
  run_while([&] { return handler.held.size() < answers.size(); });
  EXPECT_EQ(server->connections(), 1u);
  EXPECT_EQ(run(ask(session, request("GET", "/hello"))).body, "hello\n") << "beside those";
  for (auto& held : handler.held) held.set(true);
  run_while([&] { return std::ranges::any_of(answers, [](auto& a) { return !a; }); });
  for (const auto& answer : answers) EXPECT_EQ(answer->body, "held\n");
  session->cut();
}

TEST_F(H2ServerTest, BodiesGoBothWaysBeyondTheWindows) {
  start();
  auto session = connect();
  std::string body(3 << 20, 'x');
  for (size_t i = 0; i < body.size(); i += 1000) body[i] = static_cast<char>('a' + i / 1000 % 26);
  const H2Answer answer = run(ask(session, request("POST", "/echo"), body));
  EXPECT_EQ(answer.error, "");
  EXPECT_EQ(answer.body.size(), body.size());
  EXPECT_TRUE(answer.body == body);
  EXPECT_LE(handler.largest_piece, 64u << 10);
  session->cut();
}

TEST_F(H2ServerTest, BodiesThatNobodyReadsHoldNobodyUp) {
  start();
  auto session = connect();
  // More than the connection's window in all.
  std::vector<std::optional<H2Answer>> held(40);
  const std::string body(64 << 10, 'x');
  for (auto& answer : held) {
    executor.spawn([](net::Task<H2Answer> task, std::optional<H2Answer>& to) -> net::Task<void> {
      to = co_await task;
    }(ask(session, request("POST", "/hold"), body), answer));
  }
  run_while([&] { return handler.held.size() < held.size(); });
  EXPECT_EQ(run(ask(session, request("POST", "/count"), std::string(3 << 20, 'x'))).body,
            "3145728");
  for (auto& one : handler.held) one.set(true);
  run_while([&] { return std::ranges::any_of(held, [](auto& a) { return !a; }); });
  for (const auto& answer : held) EXPECT_EQ(answer->body, "held\n");
  session->cut();
}

TEST_F(H2ServerTest, TrailersFollowAnAnswerWithoutABody) {
  struct Trailers final : Handler {
    net::Task<void> serve(Exchange& x) override {
      ResponseHead head;
      head.body = BodyLength::chunked();
      (void)co_await x.begin(head);
      Fields trailers;
      trailers.add("grpc-status", "5");
      (void)co_await x.finish(trailers);
    }
  } trailers;
  auto fds = net::bind_shared(*net::Address::parse("127.0.0.1:0"), 1);
  server.emplace(executor, std::move(fds->front()), trailers, ServerOptions{.http2 = true});
  server->start();
  auto session = connect();
  const H2Answer answer = run(ask(session, request("GET", "/")));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.trailers.at("grpc-status"), "5");
  EXPECT_FALSE(answer.fields.contains("content-length"));
  // As a client of Ebb's sees it, both frames having come at once.
  H2ClientExchange exchange(session);
  Fields fields;
  fields.add("host", "h");
  EXPECT_TRUE(run(exchange.send_head("GET", "/", fields, BodyLength::none(), "", soon())));
  const auto head = run(exchange.read_head(soon()));
  ASSERT_TRUE(head);
  EXPECT_EQ((*head)->body.kind, BodyLength::Kind::kChunked);
  const auto piece = run(exchange.read_body(soon()));
  EXPECT_TRUE(piece && piece->empty());
  EXPECT_EQ(exchange.trailers().get("grpc-status"), "5");
  session->cut();
}

TEST_F(H2ServerTest, PingsBesideRequestsAreNoFlood) {
  start();
  auto session = connect();
  for (int i = 0; i < 4000; ++i) {
    session->ping();
    ASSERT_EQ(run(ask(session, request("GET", "/hello"))).status, 200) << i;
  }
  session->cut();
}

TEST_F(H2ServerTest, AnAnswerOfUnknownLengthHasNone) {
  start();
  const H2Answer answer = get("/chunked");
  EXPECT_EQ(answer.body, "abcabcabc");
  EXPECT_FALSE(answer.fields.contains("content-length"));
  EXPECT_FALSE(answer.fields.contains("transfer-encoding"));
}

TEST_F(H2ServerTest, HeadAndStatusesWithoutBody) {
  start();
  auto session = connect();
  const H2Answer head = run(ask(session, request("HEAD", "/hello")));
  EXPECT_EQ(head.fields.at("content-length"), "6");
  EXPECT_EQ(head.body, "");
  EXPECT_EQ(run(ask(session, request("GET", "/status?204"))).status, 204);
  EXPECT_EQ(run(ask(session, request("GET", "/status?304"))).status, 304);
  session->cut();
}

TEST_F(H2ServerTest, HopByHopFieldsAreDroppedAndBadOnesRefused) {
  start();
  const H2Answer answer = get("/fields");
  EXPECT_EQ(answer.fields.at("x-kept"), "1");
  EXPECT_EQ(answer.fields.at("date"), "mine");
  EXPECT_FALSE(answer.fields.contains("keep-alive"));
  EXPECT_FALSE(answer.fields.contains("x-named"));
  EXPECT_EQ(get("/bad-field").status, 502);
}

TEST_F(H2ServerTest, WhatBreaksOffIsReset) {
  start();
  EXPECT_EQ(get("/half").error, to_string(HttpError::kTruncated));
  EXPECT_EQ(get("/half-chunked").error, to_string(HttpError::kTruncated));
  EXPECT_EQ(get("/throw-late").error, to_string(HttpError::kTruncated));
  EXPECT_EQ(get("/short").error, to_string(HttpError::kTruncated));
  EXPECT_EQ(get("/throw").status, 500);
  EXPECT_EQ(get("/nothing").status, 500);
}

TEST_F(H2ServerTest, BadHeadsAreAnsweredAndTheConnectionGoesOn) {
  start();
  auto session = connect();
  const auto with = [&](std::vector<Field> fields, std::string_view name, std::string_view value) {
    fields.push_back({name, value});
    return fields;
  };
  EXPECT_EQ(run(ask(session, request("GET", "http://other/"))).status, 0) << "nghttp2 refuses it";
  EXPECT_EQ(run(ask(session, request("GET", "/#fragment"))).status, 400);
  auto no_host = request("GET", "/hello");
  no_host[2].value = "user@h";
  EXPECT_EQ(run(ask(session, no_host)).status, 400);
  EXPECT_EQ(run(ask(session, with(request("GET", "/hello"), "host", "other"))).status, 400);
  EXPECT_EQ(run(ask(session, with(request("GET", "/hello"), "connection", "close"))).status, 0);
  EXPECT_EQ(run(ask(session, request("GET", "/hello"))).status, 200);
  session->cut();
}

TEST_F(H2ServerTest, LargeHeadsAndBodiesAreRefused) {
  start({.head = {.bytes = 4096, .fields = 20}, .max_body = 1000});
  auto session = connect();
  const std::string large(5000, 'x');
  auto fields = request("GET", "/hello");
  fields.push_back({"x-large", large});
  EXPECT_EQ(run(ask(session, fields)).status, 431);
  fields = request("GET", "/hello");
  for (int i = 0; i < 30; ++i) fields.push_back({"x-many", "1"});
  EXPECT_EQ(run(ask(session, fields)).status, 431);
  EXPECT_EQ(run(ask(session, request("POST", "/count"), std::string(2000, 'x'))).status, 413);
  fields = request("POST", "/count");
  fields.push_back({"content-length", "2000"});
  EXPECT_EQ(run(ask(session, fields, std::string(2000, 'x'))).status, 413);
  EXPECT_EQ(run(ask(session, request("POST", "/count"), std::string(900, 'x'))).body, "900");
  session->cut();
}

TEST_F(H2ServerTest, CookieCrumbsAreJoined) {
  struct Cookies final : Handler {
    net::Task<void> serve(Exchange& x) override {
      const auto cookie = x.request().fields.get("cookie").value_or("none");
      (void)co_await x.respond(200, "text/plain", cookie);
    }
  } cookies;
  auto fds = net::bind_shared(*net::Address::parse("127.0.0.1:0"), 1);
  server.emplace(executor, std::move(fds->front()), cookies, ServerOptions{.http2 = true});
  server->start();
  auto session = connect();
  auto fields = request("GET", "/");
  fields.push_back({"cookie", "a=1"});
  fields.push_back({"x-other", "y"});
  fields.push_back({"cookie", "b=2"});
  EXPECT_EQ(run(ask(session, fields)).body, "a=1; b=2");
  session->cut();
}

TEST_F(H2ServerTest, ADrainServesWhatIsUnderWay) {
  start();
  auto session = connect();
  std::optional<H2Answer> answer;
  executor.spawn([](net::Task<H2Answer> task, std::optional<H2Answer>& to) -> net::Task<void> {
    to = co_await task;
  }(ask(session, request("GET", "/hold")), answer));
  run_while([&] { return handler.held.empty(); });
  std::optional<size_t> cut;
  executor.spawn([](Server& s, TimePoint by, std::optional<size_t>& to) -> net::Task<void> {
    to = co_await s.drain(by);
  }(*server, soon(), cut));
  run_while([&] { return session->has_room(); });
  handler.held[0].set(true);
  run_while([&] { return !answer || !cut; });
  EXPECT_EQ(answer->body, "held\n");
  EXPECT_EQ(*cut, 0u);
  run_while([&] { return !session->ended(); });
  server.reset();
}

TEST_F(H2ServerTest, WhoConnectedBeforeADrainIsServed) {
  start();
  auto stream = run(dial());
  std::optional<size_t> cut;
  executor.spawn([](Server& s, TimePoint by, std::optional<size_t>& to) -> net::Task<void> {
    to = co_await s.drain(by);
  }(*server, soon(), cut));
  EXPECT_TRUE(run(send(stream, hello() + get_frame(1))));
  run_while([&] { return !cut; });
  EXPECT_EQ(handler.requests, 1);
  server.reset();
}

TEST_F(H2ServerTest, AHandlerMayOutliveItsServer) {
  start();
  auto session = connect();
  auto stream = session->submit_request(request("GET", "/hold"), false);
  session->flush();
  run_while([&] { return handler.held.empty(); });
  EXPECT_EQ(run(server->drain(executor.now())), 1u);
  server.reset();
  handler.held[0].set(true);
  run_while([&] { return executor.tasks() > 2; });  // the client's two
  stream.reset();
  session->cut();
}

TEST_F(H2ServerTest, AnExecutorMayEndWhileARequestIsUnderWay) {
  start();
  auto second = std::make_unique<net::Executor>("second");
  second->spawn([](net::Executor& e, net::Address to, TimePoint by) -> net::Task<void> {
    auto stream = co_await net::connect(e, to, by);
    H2ClientExchange exchange(open_h2_client(e, std::move(*stream)));
    Fields fields;
    fields.add("host", "h");
    (void)co_await exchange.send_head("GET", "/hold", fields, BodyLength::none(), "", by);
    (void)co_await exchange.read_head(by);
  }(*second, server->address(), soon()));
  const TimePoint limit = soon();
  while (handler.held.empty() && executor.now() < limit) {
    second->run_until(executor.now());
    executor.run_until(executor.now());
  }
  ASSERT_FALSE(handler.held.empty());
  second.reset();
  handler.held[0].set(true);
  run_while([&] { return server->connections() > 0; });
}

TEST_F(H2ServerTest, AnIdleConnectionEnds) {
  start({.idle_timeout = 50ms});
  auto session = connect();
  EXPECT_EQ(run(ask(session, request("GET", "/hello"))).status, 200);
  run_while([&] { return !session->ended(); });
  run_while([&] { return server->connections() > 0; });
}

TEST_F(H2ServerTest, AClientThatLeavesIsSeen) {
  struct Watch final : Handler {
    net::Task<void> serve(Exchange& x) override {
      exchange = &x;
      while (!x.client_left()) {
        auto nap = x.executor().sleep_until(x.executor().now() + 1ms);
        co_await nap;
      }
      left = true;
      x.close_after();
    }
    Exchange* exchange = nullptr;
    bool left = false;
  } watch;
  auto fds = net::bind_shared(*net::Address::parse("127.0.0.1:0"), 1);
  server.emplace(executor, std::move(fds->front()), watch, ServerOptions{.http2 = true});
  server->start();
  auto session = connect();
  auto stream = session->submit_request(request("GET", "/"), false);
  session->flush();
  run_while([&] { return watch.exchange == nullptr; });
  stream.reset();  // one request
  run_while([&] { return !watch.left; });
  watch = Watch();
  stream = session->submit_request(request("GET", "/"), false);
  session->flush();
  run_while([&] { return watch.exchange == nullptr; });
  session->cut();  // the connection
  run_while([&] { return !watch.left; });
  stream.reset();
  run_while([&] { return server->connections() > 0; });
}

TEST_F(H2ServerTest, ThePrefaceMayComeInPieces) {
  start();
  auto stream = run(dial());
  const std::string all = hello() + get_frame(1);
  for (const char byte : all) {
    EXPECT_TRUE(run(send(stream, std::string(1, byte))));
    executor.run_until(executor.now());
  }
  run_while([&] { return handler.requests == 0; });
}

TEST_F(H2ServerTest, ARequestOfHttp1MayAskForIt) {
  start();
  const std::string ask =
      "GET /hello HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
      "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
  const std::string goodbye = frame(NGHTTP2_GOAWAY, 0, 0, std::string(8, '\0'));
  const std::string answer = run(talk(ask + hello() + goodbye));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 101 Switching Protocols\r\n"));
  EXPECT_THAT(answer, HasSubstr(frame(NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, "hello\n")));
  // Settings that are none, or none at all: HTTP/1.1 goes on.
  for (const char* settings : {"HTTP2-Settings: ???\r\n", ""}) {
    EXPECT_THAT(run(talk(std::string("GET /hello HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\n"
                                     "Connection: close, Upgrade, HTTP2-Settings\r\n") +
                         settings + "\r\n")),
                StartsWith("HTTP/1.1 200"));
  }
}

TEST_F(H2ServerTest, WhatOnlyBeginsLikeThePrefaceIsHttp1) {
  start();
  EXPECT_THAT(run(talk("PRI * HTTP/1.1\r\nHost: h\r\n\r\n")), StartsWith("HTTP/1.1 501"));
  EXPECT_THAT(run(talk("PUT /all HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
                       "Content-Length: 1\r\n\r\nx")),
              StartsWith("HTTP/1.1 200"));
}

// A head as the bytes that a client of its own making may send: HPACK's literals (RFC 7541
// 6.2.2), none of which a library would let pass.
std::string literals(const std::vector<Field>& fields) {
  std::string out;
  const auto text = [&](std::string_view what) {
    out += static_cast<char>(what.size());  // below 127
    out += what;
  };
  for (const Field& field : fields) {
    out += '\0';
    text(field.name);
    text(field.value);
  }
  return out;
}

// What a function of HTTP/1.1 would understand otherwise than we did.
TEST_F(H2ServerTest, NothingIsSmuggledIntoHttp1) {
  start();
  using namespace std::string_view_literals;
  const std::vector<Field> good{
      {":method", "GET"}, {":scheme", "http"}, {":authority", "h"}, {":path", "/hello"}};
  const std::string goodbye = frame(NGHTTP2_GOAWAY, 0, 0, {"\0\0\0\0\0\0\0\0", 8});
  const auto served = [&](const std::vector<Field>& fields) {
    const int before = handler.requests;
    (void)run(talk(hello() +
                   frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1,
                         literals(fields)) +
                   goodbye));
    return handler.requests - before;
  };
  EXPECT_EQ(served(good), 1) << "the bytes are right";
  const auto with = [&](Field field) {
    auto fields = good;
    fields.push_back(field);
    return fields;
  };
  const std::vector<Field> added{
      {"transfer-encoding", "chunked"},
      {"content-length", "5"},  // there is no body
      {"content-length", "-1"},
      {"content-length", "0, 0"},
      {"connection", "x-kept"},
      {"keep-alive", "timeout=5"},
      {"proxy-connection", "close"},
      {"upgrade", "websocket"},
      {"te", "chunked"},
      {"x-a", "1\r\nx-b: 2"},
      {"x-a", "1\nx-b: 2"},
      {"x-a", "1\rx-b: 2"},
      {"x-a", "1\0"sv},
      {"x-a\r\nx-b", "1"},
      {"x-a: b", "1"},
      {"x a", "1"},
      {"X-A", "1"},
      {"", "1"},
      {":path", "/other"},
      {":method", "POST"},
      {":authority", "other"},
      {":status", "200"},
      {":unknown", "1"},
      {"host", "other"},
  };
  for (const Field& field : added) {
    EXPECT_EQ(served(with(field)), 0)
        << field.name << ": " << testing::PrintToString(std::string(field.value));
  }
  const std::vector<std::pair<size_t, std::string_view>> changed{
      {0, ""},
      {0, "GE T"},
      {0, "GET\r\n"},
      {0, "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET"},
      {2, ""},
      {2, "h x"},
      {2, "h\r\nx-b: 2"},
      {2, "user@h"},
      {3, ""},
      {3, "x"},
      {3, "/ HTTP/1.1"},
      {3, "/\r\nx-b: 2"},
      {3, "/\t"},
      {3, "/#f"},
      {3, "/ HTTP/1.1\r\n\r\n"},
      {3, "/\0"sv},
  };
  for (const auto& [index, value] : changed) {
    auto fields = good;
    fields[index].value = value;
    EXPECT_EQ(served(fields), 0) << good[index].name << ": "
                                 << testing::PrintToString(std::string(value));
  }
  for (size_t missing = 0; missing < good.size(); ++missing) {
    auto fields = good;
    fields.erase(fields.begin() + static_cast<ptrdiff_t>(missing));
    EXPECT_EQ(served(fields), 0) << "without " << good[missing].name;
  }
  auto late = good;
  late.insert(late.begin(), {"x-a", "1"});
  EXPECT_EQ(served(late), 0) << "pseudo-fields come first";
}

// Heads that never end in frames, and a few bytes that stand for many.
TEST_F(H2ServerTest, HeadsThatGrowWithoutEndAreRefused) {
  start();
  const std::string begin = frame(NGHTTP2_HEADERS, 0, 1, "\x82\x86\x84\x41\x01h");
  std::string nothing = hello() + begin;
  for (int i = 0; i < 100'000; ++i) nothing += frame(NGHTTP2_CONTINUATION, 0, 1, "");
  EXPECT_FALSE(run(talk(nothing)).ends_with('?')) << "the connection has ended";
  std::string much = hello() + begin;
  const std::string field = literals({{"x-a", std::string_view("0123456789abcdef")}});
  std::string fields;
  while (fields.size() < 16'000) fields += field;
  for (int i = 0; i < 1000; ++i) much += frame(NGHTTP2_CONTINUATION, 0, 1, fields);
  EXPECT_FALSE(run(talk(much)).ends_with('?'));
  EXPECT_EQ(handler.requests, 0);
  // One entry of 3,000 bytes in the dynamic table, named 5,000 times by a byte each.
  std::string bomb = "\x82\x86\x84\x41\x01h\x40\x03x-b\x7f\xb9\x16";
  bomb += std::string(3000, 'x') + std::string(5000, '\xbe');
  const std::string single = bomb.substr(0, bomb.size() - 4999);
  (void)run(
      talk(hello() +
           frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, single) +
           frame(NGHTTP2_GOAWAY, 0, 0, {"\0\0\0\0\0\0\0\0", 8})));
  EXPECT_EQ(std::exchange(handler.requests, 0), 1) << "the bytes are right";
  const std::string answer =
      run(talk(hello() +
               frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, bomb) +
               frame(NGHTTP2_GOAWAY, 0, 0, {"\0\0\0\0\0\0\0\0", 8})));
  EXPECT_FALSE(answer.ends_with('?'));
  EXPECT_EQ(handler.requests, 0);
  EXPECT_THAT(
      run(talk(hello() + get_frame(1) + frame(NGHTTP2_GOAWAY, 0, 0, {"\0\0\0\0\0\0\0\0", 8}))),
      Not(EndsWith("?")));
  EXPECT_EQ(handler.requests, 1) << "others are served";
}

TEST_F(H2ServerTest, FloodsEndTheConnection) {
  start();
  std::string pings;
  for (int i = 0; i < 5000; ++i) pings += frame(NGHTTP2_PING, 0, 0, "12345678");
  std::string settings;
  for (int i = 0; i < 5000; ++i) settings += frame(NGHTTP2_SETTINGS, 0, 0, "");
  std::string empty =
      frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, "\x83\x86\x44\x05/hold\x41\x01h");
  for (int i = 0; i < 5000; ++i) empty += frame(NGHTTP2_DATA, 0, 1, "");
  std::string resets;
  for (uint32_t i = 0; i < 5000; ++i) {
    resets += get_frame(2 * i + 1) + frame(NGHTTP2_RST_STREAM, 0, 2 * i + 1, {"\0\0\0\x8", 4});
  }
  for (const auto& flood : {pings, settings, empty, resets}) {
    const std::string answer = run(talk(hello() + flood));
    // GOAWAY with ENHANCE_YOUR_CALM, or nghttp2's own INTERNAL_ERROR for resets; a reset of
    // the connection may have overtaken it.
    const std::string goodbye("\0\0\x8\7\0\0\0\0\0", 9);
    EXPECT_TRUE(answer.ends_with("!") || answer.find(goodbye) != answer.npos)
        << testing::PrintToString(answer);
  }
  EXPECT_LT(handler.requests, 3000);
  for (auto& held : handler.held) held.set(true);
  run_while([&] { return server->connections() > 0; });
}

// Each ends its stream by an error of its own making, and leaves a handler behind.
TEST_F(H2ServerTest, StreamsThatClientsLetFailDoNotPileUp) {
  start();
  std::string all = hello();
  for (uint32_t id = 1; id < 80000; id += 2) {
    all += frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, id,
                 "\x82\x86\x44\x05/hold\x41\x01h") +
           frame(NGHTTP2_WINDOW_UPDATE, 0, id, "\x7f\xff\xff\xff");
  }
  EXPECT_FALSE(run(talk(all)).ends_with('?')) << "the connection has ended";
  EXPECT_LE(handler.requests, 256);
  EXPECT_GT(handler.requests, 0);
  for (auto& held : handler.held) held.set(true);
  run_while([&] { return server->connections() > 0; });
}

TEST_F(H2ServerTest, AClientThatAsksAndNeverReadsIsCut) {
  start();
  auto stream = run(dial());
  std::string all = hello();
  uint32_t id = 1;
  size_t sent = 0;
  constexpr size_t kMost = 256u << 20;
  for (; sent < kMost; sent += all.size(), all.clear()) {
    while (all.size() < 1u << 20) {
      all += frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, id,
                   "\x82\x86\x44\x05/hold\x41\x01h");
      id += 2;
    }
    if (!run(send(stream, all))) break;
  }
  EXPECT_LT(sent, kMost);
  for (auto& held : handler.held) held.set(true);
  run_while([&] { return server->connections() > 0; });
}

TEST_F(H2ServerTest, AHeadThatDoesNotEndInTimeEndsTheConnection) {
  start({.head_timeout = 50ms});
  const std::string answer =
      run(talk(hello() + frame(NGHTTP2_HEADERS, 0, 1, "\x82\x86\x84\x41\x01h")));
  EXPECT_THAT(answer, HasSubstr(std::string("\0\0\0\4\1", 5))) << "it got our settings";
  EXPECT_FALSE(answer.ends_with('?')) << "it was the client that gave up";
  EXPECT_EQ(handler.requests, 0);
}

TEST_F(H2ServerTest, WithoutItThePrefaceIsABadRequest) {
  ServerTest::start();
  EXPECT_THAT(run(talk(hello())), StartsWith("HTTP/1.1 "));
  EXPECT_EQ(handler.requests, 0);
}

}  // namespace
}  // namespace ebb::http
