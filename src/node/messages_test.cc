#include "node/messages.h"

#include <gtest/gtest.h>

namespace ebb::node {
namespace {

Assign some_assign() {
  return {.pod = "python-1",
          .revision = "uid",
          .code = std::string(64, 'a'),
          .env = {{"K_SERVICE", "hello"}, {"X", ""}},
          .memory_bytes = 1ull << 40,
          .cpu_millis = 500,
          .concurrency = 7,
          .start_deadline_ms = 30000,
          .network = static_cast<uint8_t>(PodNetwork::kNone),
          .command = {"run", ""},
          .args = {"--fast"},
          .port = 8081,
          .probe_path = "/healthz",
          .preload = static_cast<uint8_t>(Preload::kNever)};
}

TEST(Messages, RoundTripToController) {
  const auto decoded = decode_to_controller(encode(ToController(some_assign())));
  ASSERT_TRUE(decoded);
  const auto& assign = std::get<Assign>(*decoded);
  EXPECT_EQ(assign.pod, "python-1");
  EXPECT_EQ(assign.env, some_assign().env);
  EXPECT_EQ(assign.memory_bytes, 1ull << 40);
  EXPECT_EQ(assign.start_deadline_ms, 30000u);
  EXPECT_EQ(assign.command, some_assign().command);
  EXPECT_EQ(assign.args, some_assign().args);
  EXPECT_EQ(assign.port, 8081u);
  EXPECT_EQ(assign.probe_path, "/healthz");
  EXPECT_EQ(assign.preload, static_cast<uint8_t>(Preload::kNever));
  EXPECT_EQ(assign.network, static_cast<uint8_t>(PodNetwork::kNone));
  const auto ports = decode_to_controller(
      encode(ToController(ServePods{.gateway = 1, .public_gateway = 65535, .dns = 53})));
  ASSERT_TRUE(ports);
  EXPECT_EQ(std::get<ServePods>(*ports).public_gateway, 65535);
  const auto leaves = decode_to_controller(encode(ToController(HandOver{})));
  ASSERT_TRUE(leaves);
  EXPECT_TRUE(std::holds_alternative<HandOver>(*leaves));
  const Freeze freeze{.pod = "python-1", .frozen = 1, .turn = 7};
  EXPECT_EQ(std::get<Freeze>(*decode_to_controller(encode(ToController(freeze)))), freeze);
  const Forget forget{.revision = "uid-1"};
  EXPECT_EQ(std::get<Forget>(*decode_to_controller(encode(ToController(forget)))), forget);
  EXPECT_TRUE(
      std::holds_alternative<Shutdown>(*decode_to_controller(encode(ToController(Shutdown{})))));
}

TEST(Messages, RoundTripFromController) {
  const Welcome welcome{.node = "local",
                        .slots = 9,
                        .pods = {{"p", "python", "r", 3, 4}, {}},
                        .node_address = "10.203.0.1",
                        .network_problem = ""};
  const auto decoded = decode_from_controller(encode(FromController(welcome)));
  ASSERT_TRUE(decoded);
  const auto& back = std::get<Welcome>(*decoded);
  ASSERT_EQ(back.pods.size(), 2u);
  EXPECT_EQ(back.pods[0].revision, "r");
  EXPECT_EQ(back.pods[0].concurrency, 4u);
  EXPECT_EQ(back.slots, 9u);
  EXPECT_EQ(back.node_address, "10.203.0.1");
}

TEST(Messages, TheOutputOfAPodThatEndedIsApartFromWhy) {
  const PodGone gone{
      .pod = "p", .reason = "Exited", .message = "exited with code 3", .output = "last words\n"};
  const auto decoded = decode_from_controller(encode(FromController(gone)));
  ASSERT_TRUE(decoded);
  const auto& back = std::get<PodGone>(*decoded);
  EXPECT_EQ(back.message, "exited with code 3");
  EXPECT_EQ(back.output, "last words\n");
  EXPECT_EQ(whole_message(back), "exited with code 3\nits last output:\nlast words\n");
  EXPECT_EQ(whole_message({.pod = "p", .reason = "Exited", .message = "why"}), "why");
}

TEST(Messages, UsageRoundTripsAndIsBounded) {
  const PodSample sample{.pod = "python-1",
                         .revision = "uid",
                         .ready = 1,
                         .age_ms = 1234,
                         .state_age_ms = 1000,
                         .at_ns = 1ull << 60,
                         .cpu_ns = 15'000'000'000,
                         .memory_bytes = 1 << 24};
  PodUsage two;
  two.pods.push_back(sample);
  two.pods.emplace_back();
  const auto pods = decode_from_controller(encode(FromController(two)));
  ASSERT_TRUE(pods);
  EXPECT_EQ(std::get<PodUsage>(*pods).pods, two.pods);
  const NodeUsage node{.at_ns = 5,
                       .cpu_ns = 6,
                       .cores = 2,
                       .memory_bytes = 7,
                       .memory_total = 8,
                       .pressure = {{"cpu", 9, 10}}};
  const auto back = decode_from_controller(encode(FromController(node)));
  ASSERT_TRUE(back);
  EXPECT_EQ(std::get<NodeUsage>(*back).pressure, node.pressure);
  EXPECT_EQ(std::get<NodeUsage>(*back).memory_total, 8u);
  std::string many = encode(FromController(PodUsage{}));
  many[12] = 1;  // says that there is one, and has none
  EXPECT_FALSE(decode_from_controller(many));
}

TEST(Messages, EveryTruncationAndExtensionIsRefused) {
  const std::string packet = encode(ToController(some_assign()));
  for (size_t n = 0; n < packet.size(); ++n) {
    EXPECT_FALSE(decode_to_controller(std::string_view(packet).substr(0, n))) << n;
  }
  EXPECT_FALSE(decode_to_controller(packet + "x"));
}

TEST(Messages, OtherVersionsTypesAndDirectionsAreRefused) {
  std::string packet = encode(ToController(Shutdown{}));
  std::string version = packet;
  version[2] = 9;
  EXPECT_FALSE(decode_to_controller(version));
  std::string type = packet;
  type[4] = 77;
  EXPECT_FALSE(decode_to_controller(type));
  EXPECT_FALSE(decode_from_controller(packet));
  EXPECT_FALSE(decode_to_controller(encode(FromController(PodCold{"p", "python"}))));
}

TEST(Messages, NamesThatMayBecomePaths) {
  EXPECT_TRUE(is_safe_name("python-3f9c2a"));
  for (const char* bad : {"", "..", "a/b", "A", "a.b"}) EXPECT_FALSE(is_safe_name(bad)) << bad;
  EXPECT_TRUE(is_code_hash(std::string(64, '0')));
  EXPECT_FALSE(is_code_hash(std::string(63, '0')));
  EXPECT_FALSE(is_code_hash(std::string(63, '0').append("G")));
}

}  // namespace
}  // namespace ebb::node
