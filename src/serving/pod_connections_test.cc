// Connections to pods, and what becomes of requests when there are no descriptors for them.
#include "serving/gateway_fixture.h"

namespace ebb::serving {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;

class ShortGatewayTest : public GatewayTest {
 protected:
  // Sends a request on `stream`; the answer's head and body.
  std::string ask(net::Stream& stream) {
    (void)run(send(stream, "GET / HTTP/1.1\r\nHost: hello\r\n\r\n"));
    auto reading = read_up_to(stream, "\n\r\n");
    const std::string head = run(std::move(reading));
    const size_t at = head.find("Content-Length: ");
    if (at == std::string::npos) return head;
    std::string body(std::stoul(head.substr(at + 16)), '\0');
    for (char& byte : body) (void)run(read_byte(stream, byte));
    return head + body;
  }
  net::Task<net::Stream> dial_and_be_accepted() {
    auto stream = co_await dial();
    static constexpr std::string_view kUnknown = "GET / HTTP/1.1\r\nHost: nobody\r\n\r\n";
    (void)co_await stream.write_all(kUnknown, soon());
    (void)co_await read_up_to(stream, "there are\n");
    co_return stream;
  }
  net::Task<bool> read_byte(net::Stream& stream, char& byte) {
    const auto n = co_await stream.read_some({&byte, 1}, executor.now() + 10s);
    co_return n.has_value();
  }
};

TEST_F(ShortGatewayTest, AShortageIsWaitedOutAndSaysNothingOfThePod) {
  start();
  auto stream = run(dial_and_be_accepted());
  FakePod& pod = add_pod("a", {Act::kAnswer});
  std::optional<net::NoDescriptors> shortage(std::in_place);
  net::Timer ends;
  ends.fire = [&] { shortage.reset(); };
  executor.arm(ends, executor.now() + 100ms);
  EXPECT_THAT(ask(stream), StartsWith("HTTP/1.1 200 ")) << "it ended within a second";
  EXPECT_EQ(pod.connections, 1);
}

TEST_F(ShortGatewayTest, AShortageThatLastsIsNamed) {
  backend_.timeout = 2s;
  start();
  auto stream = run(dial_and_be_accepted());
  FakePod& pod = add_pod("a");
  std::optional<net::NoDescriptors> shortage(std::in_place);
  const std::string answer = ask(stream);
  shortage.reset();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(answer, HasSubstr("retry-after: 1"));
  EXPECT_THAT(answer, HasSubstr("short of file descriptors"));
  EXPECT_EQ(pod.connections, 0);
  EXPECT_EQ(throttler_->counts().ready, 1) << "the pod is as good as before";
  EXPECT_THAT(ask(stream), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(metrics_.exposition(),
              HasSubstr("revision=\"hello-00001\",reason=\"short_of_descriptors\"} 1"));
}

TEST_F(ShortGatewayTest, AShortageClosesIdleConnectionsAtOnce) {
  start();
  FakePod& other = add_pod("a");
  auto stream = run(dial());
  EXPECT_THAT(ask(stream), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(other.connections, 1);
  throttler_->pod_gone("a", {.reason = "Stopped", .message = ""});
  FakePod& pod = add_pod("b");
  const net::NoDescriptors shortage;
  // The idle connection to the first pod has one for it, and the pod's side another.
  EXPECT_THAT(ask(stream), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(pod.connections, 1);
}

TEST(PodConnections, ConnectionsThatAreNotUsedAreClosedInTime) {
  net::Executor executor("test");
  PodConnections connections(executor);
  auto pod = std::make_shared<QueueProxy>("a", net::Address::unix_path("/nowhere"));
  auto [ours, theirs] = net::socket_pair();
  auto one = connections.open(pod, net::Stream(executor, std::move(ours)));
  connections.put(pod, std::move(one));
  EXPECT_EQ(connections.idle(), 1u);
  connections.close_unused_since(executor.now() - PodConnections::kIdleTime);
  EXPECT_EQ(connections.idle(), 1u) << "it was used lately";
  EXPECT_EQ(connections.pods(), 1u);
  connections.close_idle();
  EXPECT_EQ(connections.idle(), 0u);
  char byte = 0;
  EXPECT_EQ(::recv(theirs.get(), &byte, 1, 0), 0) << "and its peer knows";
}

}  // namespace
}  // namespace ebb::serving
