#include "node/controller_client.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "node/packet.h"

namespace ebb::node {
namespace {

using namespace std::chrono_literals;

class ControllerClientTest : public testing::Test {
 protected:
  ControllerClientTest() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    controller_.reset(ends[1]);
    client_ = std::make_unique<ControllerClient>(
        executor_, UniqueFd(ends[0]),
        ControllerClient::Events{.on_message = [this](const FromController&) { ++messages_; },
                                 .on_gone = [this] { ++gone_; },
                                 .on_hung = [this] { ++hung_; }});
  }
  // What the front has sent to the Local Controller.
  int pings() {
    std::vector<char> buffer(kMaxMessage);
    int count = 0;
    for (;;) {
      const auto packet = receive_packet(controller_.get(), buffer);
      if (!packet || !*packet || (*packet)->empty()) return count;
      const auto order = decode_to_controller(**packet);
      if (order && std::holds_alternative<Ping>(*order)) ++count;
    }
  }
  void pass(Duration time) {
    const TimePoint end = executor_.now() + time;
    while (executor_.now() < end) executor_.run_until(end);
  }

  net::Executor executor_{"front"};
  UniqueFd controller_;
  int messages_ = 0;
  int gone_ = 0;
  int hung_ = 0;
  std::unique_ptr<ControllerClient> client_;
};

TEST_F(ControllerClientTest, ALocalControllerThatHangsIsNoticedOnceWithinFiveSeconds) {
  pass(2500ms);
  EXPECT_GE(pings(), 2);
  ASSERT_TRUE(send_packet(controller_.get(), encode(FromController(Pong{1}))));
  pass(3s);
  EXPECT_EQ(hung_, 0);
  pass(2100ms);  // 5.1 s after it was heard last
  EXPECT_EQ(hung_, 1);
  pass(1500ms);
  EXPECT_EQ(hung_, 1);
  EXPECT_EQ(messages_, 0);  // a Pong is nobody else's concern
  controller_.reset();
  pass(100ms);
  EXPECT_EQ(gone_, 1);
}

}  // namespace
}  // namespace ebb::node
