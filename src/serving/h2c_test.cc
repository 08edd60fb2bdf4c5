// Calls of HTTP/2 clients, through a gateway, to functions that speak HTTP/2 themselves.
#include "http/h2_client.h"
#include "serving/gateway_fixture.h"

namespace ebb::serving {
namespace {

using namespace std::chrono_literals;

// Answers with the body that it got, by its length, and behind it with the trailers.
struct H2cFunction final : http::Handler {
  net::Task<void> serve(http::Exchange& x) override {
    const auto body = co_await x.read_all(1000);
    if (!body) co_return;
    http::ResponseHead hints;
    hints.status = 103;
    hints.fields.add("link", "</a>");
    (void)co_await x.send_interim(hints);
    http::ResponseHead head;
    head.body = http::BodyLength::sized(body->size(), true);
    (void)co_await x.begin(head);
    (void)co_await x.write(*body);
    http::Fields trailers = x.trailers();
    if (!more.empty()) trailers.add("x-more", more);
    (void)co_await x.finish(trailers);
  }
  std::string more;
};

struct H2cAnswer {
  std::string hint;  // from before it
  int status = 0;
  std::string body;
  std::string trailer;
  std::string grpc_status;  // in the head
  bool failed = false;
};

class H2cTest : public GatewayTest {
 protected:
  H2cTest() : GatewayTest({.revision = "uid", .h2c = true}) {
    const std::string path = folder_ + "/pod";
    auto listening = net::bind_shared(net::Address::unix_path(path), 1);
    pod_.emplace(executor, std::move(listening->front()), function_,
                 http::ServerOptions{.http2 = true});
    pod_->start();
    throttler_->pod_added({"pod", "unix:" + path, true});
    start();
    session_ = http::open_h2_client(executor, run(dial()));
  }
  ~H2cTest() override {
    session_->cut();
    EXPECT_EQ(run(server->drain(soon())), 0u);
    server.reset();
    gateway_.reset();
    run(pod_->drain(executor.now()));
  }
  // Sends "abc" by its length and then, after `pause`, the trailer.
  net::Task<H2cAnswer> call(std::string trailer, Duration pause = {}) {
    H2cAnswer answer;
    http::H2ClientExchange one(session_);
    http::Fields fields;
    fields.add("host", "hello");
    fields.add("content-type", "application/grpc");
    http::Fields trailers;
    if (!trailer.empty()) trailers.add("x-trailer", trailer);
    (void)co_await one.send_head("POST", "/", fields, http::BodyLength::sized(3, true), "abc",
                                 soon());
    if (pause > Duration::zero()) {
      auto nap = executor.sleep_until(executor.now() + pause);
      co_await nap;
    }
    (void)co_await one.finish_body(trailers, soon());
    auto head = co_await one.next_head(soon());
    if (head && (*head)->status == 103) {
      answer.hint = (*head)->fields.get("link").value_or("");
      head = co_await one.next_head(soon());
    }
    if (!head) {
      answer.failed = true;
      co_return answer;
    }
    answer.status = (*head)->status;
    answer.grpc_status = (*head)->fields.get("grpc-status").value_or("");
    for (;;) {
      const auto piece = co_await one.read_body(soon());
      answer.failed = !piece;
      if (!piece || piece->empty()) break;
      answer.body += *piece;
    }
    answer.trailer = one.trailers().get("x-trailer").value_or("");
    co_return answer;
  }
  H2cFunction function_;
  std::optional<http::Server> pod_;
  std::shared_ptr<http::H2Session> session_;
};

TEST_F(H2cTest, TrailersBehindBodiesOfKnownLengthGoBothWays) {
  const H2cAnswer answer = run(call("told"));
  EXPECT_FALSE(answer.failed);
  EXPECT_EQ(answer.body, "abc");
  EXPECT_EQ(answer.trailer, "told");
}

TEST_F(H2cTest, EarlyHintsArePassedOn) {
  const H2cAnswer answer = run(call(""));
  EXPECT_EQ(answer.hint, "</a>");
  EXPECT_EQ(answer.status, 200);
}

TEST_F(H2cTest, TrailersMayComeLaterThanTheBody) {
  const H2cAnswer answer = run(call("told", 20ms));
  EXPECT_FALSE(answer.failed);
  EXPECT_EQ(answer.body, "abc");
  EXPECT_EQ(answer.trailer, "told");
  EXPECT_EQ(run(call("", 20ms)).body, "abc") << "nor need they come";
}

TEST_F(H2cTest, AnAnswerWithoutRoomForItsTrailersFails) {
  function_.more = std::string(40 << 10, 'x');
  const H2cAnswer answer = run(call("told"));
  EXPECT_EQ(answer.body, "abc");
  EXPECT_TRUE(answer.failed);
}

TEST_F(H2cTest, ARequestWithoutRoomForItsTrailersIsRefused) {
  for (const Duration pause : {0ms, 20ms}) {
    const H2cAnswer answer = run(call(std::string(40 << 10, 'x'), pause));
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.grpc_status, "8");
    EXPECT_EQ(answer.body, "");
  }
}

TEST_F(H2cTest, Http1HasNoPlaceForTrailersBehindALength) {
  function_.more = "more";
  const std::string answer = GatewayTest::call("POST", "abc", "TE: trailers\r\n");
  EXPECT_TRUE(answer.ends_with("\r\n\r\nabc")) << answer;
}

// --- Pods that fail ---

enum class H2cAct {
  kAnswer,  // 200
  kClose,   // closes the connection without an answer
  kRefuse,  // RST_STREAM with REFUSED_STREAM
  kReset,   // RST_STREAM with INTERNAL_ERROR
  kGoAway,  // GOAWAY: the request was not looked at. What is under way would go on
  kEnd,     // the same, and closes
  kLast,    // GOAWAY: it was the last that is looked at, and closes all the same
};

// Does with each request, once that is whole, as is said. Speaks no more HTTP/2 than that needs.
class FailingH2cPod final {
 public:
  FailingH2cPod(net::Executor& executor, const std::string& path, std::deque<H2cAct> acts)
      : executor_(executor),
        acts_(std::move(acts)),
        listener_(executor,
                  std::move(net::bind_shared(net::Address::unix_path(path), 1)->front())) {
    executor_.spawn(accept());
  }
  ~FailingH2cPod() { close(); }
  void close() { listener_.close(); }

  int requests = 0;
  int connections = 0;

 private:
  static constexpr size_t kPreface = 24;
  static constexpr size_t kFrameHead = 9;
  enum Type : uint8_t { kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kGoAway = 7 };
  static constexpr uint8_t kAck = 1;  // of settings
  static constexpr uint8_t kEndStream = 1;
  static constexpr uint8_t kEndHeaders = 4;
  static constexpr uint32_t kInternalError = 2;
  static constexpr uint32_t kRefusedStream = 7;

  static std::string number(uint32_t value) {
    std::string out;
    for (const int shift : {24, 16, 8, 0}) out.push_back(static_cast<char>(value >> shift));
    return out;
  }
  static std::string frame(Type type, uint8_t flags, uint32_t stream, const std::string& payload) {
    return number(static_cast<uint32_t>(payload.size())).substr(1) + static_cast<char>(type) +
           static_cast<char>(flags) + number(stream) + payload;
  }
  // What it says to the request; true: then it closes.
  static bool act(H2cAct act, uint32_t stream, std::string& out) {
    switch (act) {
      case H2cAct::kAnswer:
        out += frame(kHeaders, kEndHeaders | kEndStream, stream, "\x88");  // ":status: 200"
        return false;
      case H2cAct::kRefuse:
        out += frame(kReset, 0, stream, number(kRefusedStream));
        return false;
      case H2cAct::kReset:
        out += frame(kReset, 0, stream, number(kInternalError));
        return false;
      case H2cAct::kGoAway:
      case H2cAct::kEnd:
        out += frame(kGoAway, 0, 0, number(stream - 2) + number(0));
        return act == H2cAct::kEnd;
      case H2cAct::kLast:
        out += frame(kGoAway, 0, 0, number(stream) + number(0));
        return true;
      case H2cAct::kClose:
        break;
    }
    return true;
  }
  net::Task<void> accept() {
    for (;;) {
      auto stream = co_await listener_.accept();
      if (!stream) co_return;
      ++connections;
      executor_.spawn(serve(std::move(*stream)));
    }
  }
  net::Task<void> serve(net::Stream stream) {
    std::string out = frame(kSettings, 0, 0, "");
    std::string in;
    size_t at = kPreface;
    for (bool ends = false;;) {
      const auto byte = [&](size_t i) { return static_cast<uint8_t>(in[at + i]); };
      while (in.size() >= at + kFrameHead) {
        const size_t size = byte(0) << 16 | byte(1) << 8 | byte(2);
        if (in.size() < at + kFrameHead + size) break;
        const uint8_t type = byte(3);
        const uint8_t flags = byte(4);
        const uint32_t id = byte(7) << 8 | byte(8);
        at += kFrameHead + size;
        if (type == kSettings && flags != kAck) out += frame(kSettings, kAck, 0, "");
        if ((type != kHeaders && type != kData) || (flags & kEndStream) == 0) continue;
        ++requests;
        H2cAct what = H2cAct::kAnswer;
        if (!acts_.empty()) {
          what = acts_.front();
          acts_.pop_front();
        }
        ends = act(what, id, out);
      }
      (void)co_await stream.write_all(out, kNever);
      out.clear();
      if (ends) co_return;
      std::array<char, 4096> buffer;
      const auto n = co_await stream.read_some(buffer, kNever);
      if (!n || *n == 0) co_return;
      in.append(buffer.data(), *n);
    }
  }

  net::Executor& executor_;
  std::deque<H2cAct> acts_;
  net::Listener listener_;
};

class H2cFailureTest : public GatewayTest {
 protected:
  H2cFailureTest() : GatewayTest({.revision = "uid", .concurrency = 2, .h2c = true}) { start(); }
  ~H2cFailureTest() override {
    EXPECT_EQ(run(server->drain(soon())), 0u);
    server.reset();
    gateway_.reset();
    failing_.clear();
  }
  FailingH2cPod& add_failing(const std::string& name, std::deque<H2cAct> acts = {}) {
    const std::string path = folder_ + "/" + name;
    failing_.push_back(std::make_unique<FailingH2cPod>(executor, path, std::move(acts)));
    throttler_->pod_added({name, "unix:" + path, true});
    return *failing_.back();
  }
  // The answer to a request whose pod, "a", ends when it has read it.
  std::string call_of_who_dies(const std::string& method, const std::string& body = "") {
    FailingH2cPod& pod = *failing_.front();
    auto answer =
        launch(talk(fmt::format("{} / HTTP/1.1\r\nHost: hello\r\nConnection: close\r\n"
                                "Content-Length: {}\r\n\r\n{}",
                                method, body.size(), body)));
    run_while([&] { return pod.requests == 0; });
    pod.close();
    throttler_->pod_gone("a", {.reason = "Crashed", .message = "its pod crashed"});
    return await(answer);
  }
  void spend_retries() {
    while (throttler_->may_retry()) {
    }
  }
  uint64_t denied() { return backend_.metrics->on(0).retries_denied.value(); }

  std::vector<std::unique_ptr<FailingH2cPod>> failing_;
};

TEST_F(H2cFailureTest, WhatIsSafeToRepeatIsSentToAnotherPodWhenOneDies) {
  FailingH2cPod& dies = add_failing("a", {H2cAct::kClose});
  FailingH2cPod& other = add_failing("b");
  EXPECT_THAT(call_of_who_dies("GET"), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(dies.requests, 1);
  EXPECT_EQ(other.requests, 1);
  EXPECT_EQ(retries(), 1u);
  EXPECT_EQ(denied(), 0u);
}

TEST_F(H2cFailureTest, WhatAPodThatDiedMayHaveDoneIsNotDoneAgain) {
  add_failing("a", {H2cAct::kClose});
  FailingH2cPod& other = add_failing("b");
  const std::string answer = call_of_who_dies("POST", "data");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 502 "));
  EXPECT_THAT(answer, HasSubstr("its pod crashed"));
  EXPECT_EQ(other.requests, 0);
  EXPECT_EQ(retries(), 0u);
  EXPECT_EQ(denied(), 0u) << "it is not for want of budget";
}

TEST_F(H2cFailureTest, NothingIsSentAgainBeyondTheBudget) {
  add_failing("a", {H2cAct::kClose});
  FailingH2cPod& other = add_failing("b");
  spend_retries();
  EXPECT_THAT(call_of_who_dies("GET"), StartsWith("HTTP/1.1 502 "));
  EXPECT_EQ(other.requests, 0);
  EXPECT_EQ(retries(), 0u);
  EXPECT_EQ(denied(), 1u);
}

// RFC 9113 8.7: then nothing of it has been looked at. That takes nothing of the budget, which
// is for requests that may have been.
TEST_F(H2cFailureTest, WhatAPodRefusedIsSentAgainWhateverItIs) {
  FailingH2cPod& pod =
      add_failing("a", {H2cAct::kRefuse, H2cAct::kAnswer, H2cAct::kGoAway, H2cAct::kAnswer,
                        H2cAct::kEnd, H2cAct::kAnswer, H2cAct::kAnswer, H2cAct::kRefuse});
  for (int i = 0; i < 3; ++i) {
    spend_retries();
    EXPECT_THAT(call("POST", "data"), StartsWith("HTTP/1.1 200 ")) << i;
    EXPECT_EQ(pod.requests, 2 * (i + 1));
  }
  // Also where the connection has carried others.
  EXPECT_THAT(call("POST", "data"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(call("POST", "data"), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(pod.requests, 9);
  EXPECT_EQ(retries(), 4u);
  EXPECT_EQ(denied(), 0u);
}

TEST_F(H2cFailureTest, OnceIsEnough) {
  FailingH2cPod& pod = add_failing("a", {H2cAct::kRefuse, H2cAct::kRefuse});
  const TimePoint begun = executor.now();
  EXPECT_THAT(call("POST", "data"), StartsWith("HTTP/1.1 502 "));
  EXPECT_EQ(pod.requests, 2);
  EXPECT_LT(executor.now() - begun, 500ms) << "nobody waits for the end of a pod that lives";
}

TEST_F(H2cFailureTest, ARequestThatAPodResetWasItsOwn) {
  FailingH2cPod& pod = add_failing("a", {H2cAct::kReset, H2cAct::kAnswer, H2cAct::kReset});
  FailingH2cPod& other = add_failing("b");
  for (int i = 0; i < 2; ++i) {  // the second time over a connection that has carried others
    const TimePoint begun = executor.now();
    const std::string answer = call();
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 502 "));
    EXPECT_THAT(answer, HasSubstr("function hello reset the request"));
    EXPECT_LT(executor.now() - begun, 500ms);
    if (i == 0) {
      EXPECT_THAT(call(), StartsWith("HTTP/1.1 200 "));
    }
  }
  EXPECT_EQ(pod.requests, 3);
  EXPECT_EQ(pod.connections, 1);
  EXPECT_EQ(other.requests, 0);
  EXPECT_EQ(retries(), 0u);
  EXPECT_EQ(denied(), 0u);
}

TEST_F(H2cFailureTest, TheLastThatAPodMayHaveLookedAtIsSentAgainIfThatIsSafe) {
  FailingH2cPod& pod = add_failing(
      "a", {H2cAct::kAnswer, H2cAct::kLast, H2cAct::kAnswer, H2cAct::kAnswer, H2cAct::kLast});
  backend_.timeout = 300ms;  // for the report of an exit that does not come
  publish();
  EXPECT_THAT(call(), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(call("PUT", "data"), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(pod.requests, 3);
  EXPECT_EQ(retries(), 1u);
  EXPECT_THAT(call(), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(call("POST", "data"), StartsWith("HTTP/1.1 502 "));
  EXPECT_EQ(pod.requests, 5);
  EXPECT_EQ(retries(), 1u);
}

// All of it comes at once: that it is the whole is known before the pod has it.
TEST_F(H2cFailureTest, ACallOfGrpcThatAPodRefusedIsSentAgain) {
  FailingH2cPod& pod = add_failing("a", {H2cAct::kRefuse});
  auto session = http::open_h2_client(executor, run(dial()));
  const std::vector<http::Field> fields{{":method", "POST"},
                                        {":scheme", "http"},
                                        {":authority", "hello"},
                                        {":path", "/test.Test/Unary"},
                                        {"content-type", "application/grpc"}};
  auto stream = session->submit_request(fields, true);
  EXPECT_TRUE(run(stream->write("call", true, nullptr, soon())));
  EXPECT_TRUE(run(stream->wait_for_head(soon())));
  EXPECT_EQ(stream->head().get(":status"), "200");
  EXPECT_EQ(stream->head().get("grpc-status"), "") << "the pod's answer, not one of ours";
  EXPECT_EQ(pod.requests, 2);
  EXPECT_EQ(retries(), 1u);
  stream.reset();
  session->cut();
}

}  // namespace
}  // namespace ebb::serving
