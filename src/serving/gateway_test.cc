// What a gateway makes of a request, and of pods that fail it.
#include "serving/gateway_fixture.h"

namespace ebb::serving {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST_F(GatewayTest, PassesARequestOnWithItsIdentity) {
  start();
  FakePod& pod = add_pod("a");
  const auto answer = call("GET", "",
                           "X-Request-Id: mine\r\ntraceparent: 00-ab-cd-01\r\n"
                           "Knative-Serving-Tag: unknown\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(answer, HasSubstr("x-request-id: mine\r\n"));
  ASSERT_EQ(pod.requests.size(), 1u);
  EXPECT_THAT(pod.requests[0], HasSubstr("x-request-id: mine\r\n"));
  EXPECT_THAT(pod.requests[0], HasSubstr("traceparent: 00-ab-cd-01\r\n"));
  EXPECT_THAT(pod.requests[0], HasSubstr("x-forwarded-for: 127.0.0.1\r\n"));
  EXPECT_THAT(pod.requests[0], Not(HasSubstr("nown")));
  (void)call("GET", "", "Knative-Serving-Tag: next\r\n");
  EXPECT_THAT(pod.requests[1], HasSubstr("knative-serving-tag: next\r\n"));
}

TEST_F(GatewayTest, AnIdUnfitForLogsIsReplaced) {
  start();
  add_pod("a");
  const auto answer = call("GET", "", "X-Request-Id: two words\r\n");
  EXPECT_THAT(answer, HasSubstr("x-request-id: "));
  EXPECT_THAT(answer, Not(HasSubstr("two words")));
  EXPECT_THAT(call("GET", "", "X-Request-Id: " + std::string(129, 'x') + "\r\n"),
              Not(HasSubstr("xxx")));
}

TEST_F(GatewayTest, APodThatCannotBeReachedWasSentNothing) {
  start();
  throttler_->pod_added({"gone", "unix:" + folder_ + "/gone", true});
  auto answer = launch(talk("GET / HTTP/1.1\r\nHost: hello\r\nConnection: close\r\n\r\n"));
  run_while([&] { return throttler_->counts().waiting == 0; });  // for another
  const TimePoint begun = executor.now();
  run_until(begun + 20ms);
  add_pod("a");
  EXPECT_THAT(await(answer), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(retries(), 0u);
  const auto& wait = backend_.metrics->on(0).wait;
  std::array<uint64_t, Histogram<kStartBounds>::kBuckets> buckets{};
  const double waited = wait.add_to(buckets);
  EXPECT_GE(waited, 0.02) << "all that it waited";
  EXPECT_LE(waited, to_seconds(executor.now() - begun) + 0.01) << "and no more";
  EXPECT_EQ(std::accumulate(buckets.begin(), buckets.end(), 0u), 1u);
}

TEST_F(GatewayTest, ARequestThatMeetsAnIdleCloseIsSentAgain) {
  start();
  FakePod& pod = add_pod("a", {Act::kAnswer, Act::kCloseUnread, Act::kAnswer});
  EXPECT_THAT(call(), StartsWith("HTTP/1.1 200 "));
  // Even one that may not be repeated: nobody has read it.
  EXPECT_THAT(call("POST", "data"), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(pod.requests.size(), 2u);
  EXPECT_EQ(pod.connections, 2);
  EXPECT_EQ(retries(), 1u);
}

TEST_F(GatewayTest, WhatAFunctionHasReadIsRepeatedOnlyIfThatDoesNoHarm) {
  start();
  FakePod& pod = add_pod("a", {Act::kAnswer, Act::kReadClose, Act::kAnswer, Act::kReadClose});
  (void)call();
  EXPECT_THAT(call("PUT", "data"), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(pod.requests.size(), 3u);
  EXPECT_EQ(retries(), 1u);
  backend_.timeout = 100ms;  // for the report of an exit that does not come
  publish();
  const auto answer = call("POST", "data");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 502 "));
  EXPECT_THAT(answer, HasSubstr("closed the connection without an answer"));
  EXPECT_EQ(pod.requests.size(), 4u);
  EXPECT_EQ(retries(), 1u);
}

TEST_F(GatewayTest, WhatIsSentAgainHasABudget) {
  start();
  // Each second request meets an idle connection that its pod closes, having read the request.
  constexpr int kTimes = 40;
  std::deque<Act> acts;
  for (int i = 0; i < kTimes; ++i) acts.insert(acts.end(), {Act::kAnswer, Act::kReadClose});
  FakePod& pod = add_pod("a", acts);
  backend_.timeout = 500ms;  // for the report of an exit that does not come
  publish();
  int answered = 0;
  for (int i = 0; i < kTimes; ++i) answered += call().starts_with("HTTP/1.1 200 ") ? 1 : 0;
  const uint64_t denied = backend_.metrics->on(0).retries_denied.value();
  EXPECT_EQ(static_cast<uint64_t>(kTimes - answered), denied);
  EXPECT_GT(denied, 5u);
  // It begins with so many, and a fifth of the requests is added.
  const auto again = static_cast<double>(retries());
  EXPECT_NEAR(again, RetryBudget::kFirst + (kTimes + again) * RetryBudget::kShare, 2);
  EXPECT_EQ(pod.requests.size(), kTimes + retries());
  EXPECT_THAT(metrics_.exposition(),
              HasSubstr(fmt::format(
                  "ebb_request_retries_denied_total{{"
                  "namespace=\"default\",service=\"hello\",revision=\"hello-00001\"}} {}\n",
                  denied)));
}

TEST_F(GatewayTest, ADeadPodIsPassedOver) {
  start();
  FakePod& dead = add_pod("a");
  add_pod("b");
  dead.close();
  std::filesystem::remove(folder_ + "/a");
  for (int i = 0; i < 3; ++i) EXPECT_THAT(call("POST", "data"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(GatewayTest, ARequestInAPodThatDiesOnALateStartIsGivenToAnother) {
  start();
  add_pod("a", {Act::kReadClose});
  // It never was ready: no code of the function has seen the request.
  throttler_->pod_gone("a", {.reason = "Stopped", .message = "", .was_ready = false});
  throttler_->pod_added({"a", "unix:" + folder_ + "/a", false});
  auto answer =
      launch(talk("POST / HTTP/1.1\r\nHost: hello\r\nConnection: close\r\n"
                  "Content-Length: 4\r\n\r\ndata"));
  run_while([&] { return pods_[0]->requests.empty(); });
  add_pod("b");
  throttler_->pod_gone("a", {.reason = "LoadFailed", .message = "no luck"});
  EXPECT_THAT(await(answer), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(pods_[1]->requests.size(), 1u);
}

TEST_F(GatewayTest, ALoadingPodThatDoesNotEndByItselfCostsARequestNothing) {
  start();
  std::shared_ptr<std::optional<std::string>> answer;
  for (const auto& [name, end] : {std::pair("a", "NodeLost"), {"b", "KilledFromOutside"}}) {
    add_pod(name, {Act::kReadClose});
    throttler_->pod_gone(name, {.reason = "Stopped", .message = "", .was_ready = false});
    throttler_->pod_added({name, "unix:" + folder_ + "/" + name, false});
    if (pods_.size() == 1) {
      answer =
          launch(talk("POST / HTTP/1.1\r\nHost: hello\r\nConnection: close\r\n"
                      "Content-Length: 4\r\n\r\ndata"));
    }
    run_while([&] { return pods_.back()->requests.empty(); });
    throttler_->pod_gone(name, {.reason = end, .message = "not by itself"});
  }
  add_pod("c");
  EXPECT_THAT(await(answer), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(pods_[2]->requests.size(), 1u);
}

TEST_F(GatewayTest, WhatIsOursCannotBeMadeUp) {
  start();
  add_pod("a");
  const auto answer = call("GET", "",
                           "Connection: host, x-gone\r\nX-Gone: 1\r\nX-Kept: 2\r\n"
                           "Forwarded: for=\"open\r\nForwarded: for=\"[::1]\"\r\n"
                           "X_Forwarded_For: 6.6.6.6\r\nx_request-id: fake\r\n");
  EXPECT_THAT(answer, HasSubstr("Host: hello\r\n")) << "a request without is none";
  EXPECT_THAT(answer, HasSubstr("X-Kept: 2"));
  EXPECT_THAT(answer, HasSubstr("forwarded: for=\"[::1]\", for=127.0.0.1;host=\"hello\""));
  for (const char* not_there : {"X-Gone", "open", "6.6.6.6", "fake"}) {
    EXPECT_THAT(answer, testing::Not(HasSubstr(not_there)));
  }
}

TEST_F(GatewayTest, EarlyHintsArePassedOn) {
  start();
  FakePod& pod = add_pod("a", {Act::kHints, Act::kHints});
  EXPECT_THAT(call(),
              StartsWith("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(call(), HasSubstr("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(pod.connections, 1) << "it can be used again";
  EXPECT_THAT(metrics_.exposition(), HasSubstr("code=\"2xx\"} 2\n"));
}

TEST_F(GatewayTest, ServerTimingAsAsked) {
  start({.server_timing = ServerTiming::kAll});
  add_pod("a");
  EXPECT_THAT(call(), HasSubstr("server-timing: queue;dur="));
}

TEST_F(GatewayTest, NoServerTimingOnWarmAnswersUnlessAsked) {
  start();
  add_pod("a");
  EXPECT_THAT(call(), Not(HasSubstr("server-timing")));
}

// --- TLS ---

TEST_F(GatewayTest, APlainRequestIsSentToHttps) {
  start({.https_port = 8443});
  FakePod& pod = add_pod("a");
  const auto answer = call("POST", "data");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 308 Permanent Redirect\r\n"));
  EXPECT_THAT(answer, HasSubstr("location: https://hello:8443/\r\n"));
  const auto get = [&](const std::string& target, const std::string& host) {
    return run(
        talk("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n"));
  };
  EXPECT_THAT(get("/a%20b?c=d", "HELLO:8080"),
              HasSubstr("location: https://hello:8443/a%20b?c=d\r\n"));
  EXPECT_THAT(get("http://hello/a?b", "hello"), HasSubstr("location: https://hello:8443/a?b\r\n"));
  EXPECT_THAT(get("/", "unknown"), StartsWith("HTTP/1.1 404 "));
  EXPECT_TRUE(pod.requests.empty());
  EXPECT_THAT(metrics_.exposition(),
              HasSubstr("ebb_requests_unrouted_total{reason=\"https_redirect\"} 3\n"));
}

TEST_F(GatewayTest, ThePortOfHttpsItselfIsNotNamed) {
  start({.https_port = 443});
  EXPECT_THAT(call(), HasSubstr("location: https://hello/\r\n"));
}

TEST_F(GatewayTest, WhatCameByHttpsOrFromInsideIsNotSentAway) {
  start({.https_port = 8443});
  FakePod& pod = add_pod("a");
  EXPECT_THAT(call("GET", "", "X-Forwarded-Proto: https\r\n"), StartsWith("HTTP/1.1 200 "))
      << "somebody ends TLS before us";
  EXPECT_THAT(pod.requests[0], HasSubstr("x-forwarded-proto: http\r\n"));
  listen(gateway_->inside(), {});
  EXPECT_THAT(call(), StartsWith("HTTP/1.1 200 "));
}

TEST_F(GatewayTest, OverTlsTheFunctionIsToldSo) {
  const GatewaySettings settings{.https_port = 8443};
  start(settings);
  FakePod& pod = add_pod("a");
  const net::TestIdentity ours;
  const net::TlsContexts contexts(*net::TlsContext::server(
      {{ours.identity.certificate_pem, ours.identity.key_pem}}, kProtocols));
  const auto client = net::TlsContext::client(ours.identity.ca_pem);
  listen(*gateway_, server_options(settings, metrics_.gateway(0), &contexts));
  EXPECT_THAT(run(talk_secured(*client)), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(pod.requests[0], HasSubstr("x-forwarded-proto: https\r\n"));
  EXPECT_THAT(pod.requests[0],
              HasSubstr("forwarded: for=127.0.0.1;host=\"hello\";proto=https\r\n"));
  (void)call();  // no TLS
  EXPECT_THAT(metrics_.exposition(), HasSubstr("ebb_gateway_tls_failures_total 1\n"));
}

TEST_F(GatewayTest, LoadBalancersMayAskForHealthByAnAddress) {
  start();
  FakePod& pod = add_pod("a");
  const auto ask = [&](std::string_view line, std::string_view host) {
    return run(
        talk(fmt::format("{} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", line, host)));
  };
  for (const char* path : {"/healthz", "/readyz"}) {
    const auto answer = ask(fmt::format("GET {}", path), "127.0.0.1:8080");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 "));
    EXPECT_THAT(answer, testing::EndsWith("\r\n\r\nok\n"));
  }
  EXPECT_THAT(ask("HEAD /healthz", "127.0.0.1"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(ask("POST /healthz", "127.0.0.1"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(ask("GET /healthz/", "127.0.0.1"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(ask("GET /healthz", "[::1]:8080"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(ask("GET /healthz", "localhost:8080"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(ask("GET /healthz", "gone.default.localhost"), StartsWith("HTTP/1.1 404 "));
  EXPECT_TRUE(pod.requests.empty());
  EXPECT_THAT(ask("GET /healthz", "hello"), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(pod.requests.size(), 1u) << "a function's own paths are its own";
}

TEST_F(GatewayTest, NoRouteNoPodNoGuess) {
  start();
  EXPECT_THAT(run(talk("GET / HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n")),
              StartsWith("HTTP/1.1 404 "));
  backend_.timeout = 30ms;
  publish();
  const auto answer = call();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 504 "));
  EXPECT_THAT(answer, HasSubstr("too busy"));
}

}  // namespace
}  // namespace ebb::serving
