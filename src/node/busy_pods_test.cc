#include "node/busy_pods.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/packet.h"

namespace ebb::node {
namespace {

TEST(BusyPodsTest, TheTextComesBack) {
  const BusyPods busy{{"node-1", 12}, {"python-0123abcd", 1}};
  EXPECT_EQ(parse_busy_pods(to_text(busy)).value(), busy);
  EXPECT_EQ(parse_busy_pods("").value(), BusyPods());
  for (const char* wrong : {"\n", " 1\n", "pod\n", "pod \n", "pod x\n", "pod 1x\n", "pod 0\n",
                            "pod -1\n", "pod 99999999999\n", "a 1\n\nb 1\n"}) {
    EXPECT_FALSE(parse_busy_pods(wrong)) << wrong;
  }
}

TEST(BusyPodsTest, TheNextOneKnowsWhatWasToldBeforeItCame) {
  net::Executor executor("test");
  auto pair = make_packet_pair();
  ASSERT_TRUE(pair);
  ASSERT_TRUE(send_busy_pods(pair->ours.get(), {{"a", 2}}));
  ASSERT_TRUE(send_busy_pods(pair->ours.get(), {{"b", 1}}));
  int changes = 0;
  PredecessorPods pods(executor, std::move(pair->theirs), [&] { ++changes; });
  EXPECT_EQ(pods.busy(), (BusyPods{{"b", 1}}));
  EXPECT_FALSE(pods.ended());

  const auto turn = [&] { executor.run_until(executor.now() + std::chrono::seconds(10)); };
  ASSERT_TRUE(send_busy_pods(pair->ours.get(), {{"b", 3}}));
  turn();
  EXPECT_EQ(pods.busy(), (BusyPods{{"b", 3}}));
  pair->ours.reset();
  turn();
  EXPECT_EQ(pods.busy(), BusyPods());
  EXPECT_TRUE(pods.ended());
  EXPECT_EQ(changes, 2);
}

TEST(BusyPodsTest, OneThatEndedBeforeHasNothing) {
  net::Executor executor("test");
  auto pair = make_packet_pair();
  ASSERT_TRUE(pair);
  ASSERT_TRUE(send_busy_pods(pair->ours.get(), {{"a", 2}}));
  pair->ours.reset();
  const PredecessorPods pods(executor, std::move(pair->theirs), [] {});
  EXPECT_EQ(pods.busy(), BusyPods());
  EXPECT_TRUE(pods.ended());
}

TEST(BusyPodsTest, WhoIsNotReadIsToldSo) {
  auto pair = make_packet_pair();
  ASSERT_TRUE(pair);
  Result<void> sent;
  for (int i = 0; i < 100'000 && sent; ++i) sent = send_busy_pods(pair->ours.get(), {{"a", 1}});
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, Errc::kExhausted);
}

}  // namespace
}  // namespace ebb::node
