// Connections that leave HTTP.
#include "serving/gateway_fixture.h"

namespace ebb::serving {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

constexpr const char* kUpgrade =
    "GET / HTTP/1.1\r\nHost: hello\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";

TEST_F(GatewayTest, AnUpgradeIsATunnelThatHoldsItsSlot) {
  backend_.response_start = 50ms;
  backend_.timeout = 100ms;
  start();
  FakePod& pod = add_pod("a", {Act::kUpgrade});
  auto stream = run(dial());
  (void)run(send(stream, kUpgrade));
  const auto head = run(read_up_to(stream, "early"));  // what came with the head is not lost
  EXPECT_THAT(head, StartsWith("HTTP/1.1 101 Switching Protocols\r\n"));
  EXPECT_THAT(head, HasSubstr("Upgrade: echo\r\n"));
  EXPECT_THAT(pod.requests[0], HasSubstr("upgrade: echo\r\n"));
  EXPECT_THAT(pod.requests[0], HasSubstr("connection: Upgrade\r\n"));
  executor.run_until(executor.now() + 1ms);
  const TimePoint later = executor.now() + 150ms;  // beyond both timeouts
  run_until(later);
  EXPECT_EQ(throttler_->counts().in_flight, 1);
  EXPECT_THAT(metrics_.exposition(), HasSubstr("ebb_upgraded_connections 1\n"));
  (void)run(send(stream, "ping"));
  EXPECT_EQ(run(read_up_to(stream, "ping")), "ping");
  stream.shutdown_write();  // the end is passed on, and the pod's end back
  EXPECT_EQ(run(read_to_end(stream)), "");
  while (throttler_->counts().in_flight > 0) executor.run_until(executor.now() + 10ms);
  EXPECT_THAT(metrics_.exposition(), HasSubstr("code=\"1xx\"} 1\n"));
  EXPECT_THAT(cuts(), IsEmpty()) << "both have ended it";
}

TEST_F(GatewayTest, ATunnelMovesMuchWithBackPressure) {
  start();
  add_pod("a", {Act::kUpgrade});
  auto stream = run(dial());
  EXPECT_EQ(run(flood(stream)), 16u << 20);
}

TEST_F(GatewayTest, ASilentTunnelEndsIfAskedTo) {
  backend_.idle = 30ms;
  start();
  add_pod("a", {Act::kUpgrade});
  EXPECT_TRUE(run(talk(kUpgrade)).find("early") != std::string::npos);
  EXPECT_EQ(throttler_->counts().in_flight, 0);
  EXPECT_THAT(cuts(), ElementsAre("idle_timeout"));
}

TEST_F(GatewayTest, ATunnelOutlivesItsPodsDrainByTheTimeout) {
  backend_.timeout = 200ms;
  start();
  add_pod("a", {Act::kUpgrade});
  auto stream = run(dial());
  (void)run(send(stream, kUpgrade));
  (void)run(read_up_to(stream, "early"));
  const TimePoint begun = executor.now();
  EXPECT_EQ(throttler_->begin_drain(1).chosen.size(), 1u);
  (void)run(send(stream, "ping"));
  EXPECT_EQ(run(read_up_to(stream, "ping")), "ping");
  EXPECT_EQ(run(read_to_end(stream)), "");
  EXPECT_GE(executor.now() - begun, 200ms);
  run_while([&] { return throttler_->counts().in_flight > 0; });
  EXPECT_THAT(cuts(), ElementsAre("pod_drained"));
}

TEST_F(GatewayTest, APodThatDiesDoesNotEndATunnelWell) {
  start();
  const auto upgrade = [&](const std::string& pod, const char* end) {
    add_pod(pod, {Act::kUpgradeEnd});
    auto stream = run(dial());
    (void)run(send(stream, kUpgrade));
    (void)run(read_up_to(stream, "early"));
    if (end != nullptr) throttler_->pod_gone(pod, {.reason = end, .message = ""});
    EXPECT_EQ(run(read_to_end(stream)), "");
    stream.close();
    const uint64_t before = backend_.metrics->on(0).by_class[0].value();
    run_while([&] { return backend_.metrics->on(0).by_class[0].value() == before; });
  };
  upgrade("told", "Stopped");
  EXPECT_THAT(cuts(), IsEmpty());
  upgrade("died", "Error");
  EXPECT_THAT(cuts(), ElementsAre("pod_failed"));
  upgrade("lives", nullptr);
  EXPECT_THAT(cuts(), ElementsAre("pod_failed"));
}

TEST_F(GatewayTest, AServersDrainEndsATunnel) {
  start();
  add_pod("a", {Act::kUpgrade});
  auto stream = run(dial());
  (void)run(send(stream, kUpgrade));
  (void)run(read_up_to(stream, "early"));
  EXPECT_EQ(run(server->drain(executor.now() + 50ms)), 0u);
  EXPECT_EQ(throttler_->counts().in_flight, 0);
  EXPECT_THAT(cuts(), ElementsAre("shutdown"));
  server.reset();
}

TEST_F(GatewayTest, AnUpgradeNobodyAskedForIsNoAnswer) {
  start();
  add_pod("a", {Act::kUpgrade});
  EXPECT_THAT(call(), StartsWith("HTTP/1.1 502 "));
}

TEST_F(GatewayTest, Http2IsNotSmuggledInByAnUpgrade) {
  start();
  FakePod& pod = add_pod("a");
  // With a body it stays HTTP/1.1; without one the gateway itself speaks HTTP/2 from there on.
  EXPECT_THAT(call("POST", "abc",
                   "Upgrade: h2c\r\nConnection: close, Upgrade, HTTP2-Settings\r\n"
                   "HTTP2-Settings: AAMAAABkAARAAAAA\r\n"),
              StartsWith("HTTP/1.1 200 "));
  auto stream = run(dial());
  (void)run(
      send(stream,
           "GET / HTTP/1.1\r\nHost: hello\r\nUpgrade: h2c\r\n"
           "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAA\r\n\r\n"));
  EXPECT_THAT(run(read_up_to(stream, "\r\n\r\n")), StartsWith("HTTP/1.1 101 "));
  run_while([&] { return pod.requests.size() < 2; });
  ASSERT_EQ(pod.requests.size(), 2u);
  for (const auto& request : pod.requests) {
    EXPECT_THAT(request, Not(HasSubstr("h2c")));
    EXPECT_THAT(request, Not(HasSubstr("HTTP2")));
  }
  stream.close();
}

TEST_F(GatewayTest, AnUpgradeMayHaveAnEmptyBody) {
  start();
  add_pod("a", {Act::kUpgrade});
  auto stream = run(dial());
  (void)run(send(stream,
                 "GET / HTTP/1.1\r\nHost: hello\r\nConnection: Upgrade\r\nUpgrade: echo\r\n"
                 "Content-Length: 0\r\n\r\n"));
  EXPECT_THAT(run(read_up_to(stream, "early")), StartsWith("HTTP/1.1 101 "));
}

}  // namespace
}  // namespace ebb::serving
