#include "http/tunnel.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <optional>

#include "net/test_util.h"

namespace ebb::http {
namespace {

using namespace std::chrono_literals;

// A tunnel between two sockets whose other ends the test holds.
class TunnelTest : public testing::Test {
 protected:
  TunnelTest() {
    auto client = net::socket_pair();
    auto server = net::socket_pair();
    client_ = std::move(client.first);
    server_ = std::move(server.first);
    to_client_.emplace(executor_, std::move(client.second));
    to_server_.emplace(executor_, std::move(server.second));
  }
  void start(Duration idle = {}) {
    tunnel_.emplace(TunnelEnd{&*to_client_, {}}, TunnelEnd{&*to_server_, {}}, idle);
    executor_.spawn(run());
  }
  net::Task<void> run() { outcome_ = co_await tunnel_->run(); }
  std::optional<TunnelOutcome> outcome() {
    net::run_until_true(executor_, [&] { return outcome_.has_value(); });
    return outcome_;
  }
  static void send(const UniqueFd& fd, std::string_view text) {
    ASSERT_EQ(::write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  // Until that much has been moved.
  void until_moved(uint64_t up, uint64_t down) {
    net::run_until_true(executor_,
                        [&] { return tunnel_->to_server() == up && tunnel_->to_client() == down; });
  }

  net::Executor executor_{"test"};
  UniqueFd client_;
  UniqueFd server_;
  std::optional<net::Stream> to_client_;
  std::optional<net::Stream> to_server_;
  std::optional<Tunnel> tunnel_;
  std::optional<TunnelOutcome> outcome_;
};

TEST_F(TunnelTest, EndsWellWhenBothSidesHave) {
  start();
  send(client_, "ping");
  send(server_, "pong!");
  until_moved(4, 5);
  ::shutdown(client_.get(), SHUT_WR);
  ::shutdown(server_.get(), SHUT_WR);
  EXPECT_EQ(outcome(), TunnelOutcome::kEnded);
  char buffer[8];
  EXPECT_EQ(::read(client_.get(), buffer, sizeof buffer), 5);
  EXPECT_EQ(::read(client_.get(), buffer, sizeof buffer), 0) << "the end is passed on";
}

TEST_F(TunnelTest, AClientThatVanishesWhenTheServerHasEndedIsNotIdle) {
  start(30ms);
  ::shutdown(server_.get(), SHUT_WR);
  EXPECT_EQ(outcome(), TunnelOutcome::kClientBroke);
  EXPECT_TRUE(tunnel_->server_ended_first());
}

TEST_F(TunnelTest, SaysWhoEndedFirst) {
  start();
  ::shutdown(server_.get(), SHUT_WR);
  executor_.run_until(executor_.now() + 10ms);
  ::shutdown(client_.get(), SHUT_WR);
  EXPECT_EQ(outcome(), TunnelOutcome::kEnded);
  EXPECT_TRUE(tunnel_->server_ended_first());
}

TEST_F(TunnelTest, WhenOneSideHasEndedTheOtherMayJustGo) {
  start();
  send(server_, "bye");
  until_moved(0, 3);
  ::shutdown(server_.get(), SHUT_WR);
  executor_.run_until(executor_.now() + 10ms);
  client_.reset();  // with "bye" unread: a reset
  EXPECT_EQ(outcome(), TunnelOutcome::kEnded);
}

TEST_F(TunnelTest, AResetOfOneThatTheOtherWaitsForIsACut) {
  start();
  send(server_, "data");
  until_moved(0, 4);
  client_.reset();
  EXPECT_EQ(outcome(), TunnelOutcome::kClientBroke);
  char buffer[8];
  EXPECT_EQ(::read(server_.get(), buffer, sizeof buffer), 0) << "both are closed";
}

TEST_F(TunnelTest, SaysWhichSideBroke) {
  start();
  send(client_, "data");
  until_moved(4, 0);
  server_.reset();
  EXPECT_EQ(outcome(), TunnelOutcome::kServerBroke);
  EXPECT_FALSE(tunnel_->server_ended_first());
}

TEST_F(TunnelTest, WhatIsClosedOnThisSideIsACutEvenIfOneHasEnded) {
  start();
  ::shutdown(server_.get(), SHUT_WR);
  executor_.run_until(executor_.now() + 10ms);
  to_client_->close();  // as a drain does
  EXPECT_EQ(outcome(), TunnelOutcome::kClosedHere);
}

TEST_F(TunnelTest, CutIsNoGoodEnd) {
  start();
  tunnel_->cut();
  EXPECT_EQ(outcome(), TunnelOutcome::kClosedHere);
}

TEST_F(TunnelTest, SilenceIsNoGoodEnd) {
  start(20ms);
  const TimePoint begun = executor_.now();
  EXPECT_EQ(outcome(), TunnelOutcome::kSilent);
  EXPECT_GE(executor_.now() - begun, 20ms);
}

}  // namespace
}  // namespace ebb::http
