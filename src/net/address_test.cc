#include "net/address.h"

#include <gtest/gtest.h>

namespace ebb::net {
namespace {

TEST(Address, ParsesWhatUsersWrite) {
  const auto v4 = Address::parse("127.0.0.1:8080").value();
  EXPECT_EQ(v4, (Address{Address::Kind::kIp, "127.0.0.1", 8080}));
  EXPECT_EQ(Address::parse(":80").value(), (Address{Address::Kind::kIp, "0.0.0.0", 80}));
  EXPECT_EQ(Address::parse("localhost:0").value(), (Address{Address::Kind::kIp, "127.0.0.1", 0}));
  EXPECT_EQ(Address::parse("[0:0::1]:65535").value(), (Address{Address::Kind::kIp, "::1", 65535}));
  EXPECT_EQ(Address::parse("unix:/run/a.sock").value(), Address::unix_path("/run/a.sock"));
  EXPECT_EQ(Address::parse("unix:a:b").value(), Address::unix_path("a:b"));
}

TEST(Address, TextIsWhatParseTakes) {
  for (const char* text :
       {"127.0.0.1:8080", "0.0.0.0:1", "[::1]:443", "[fe80::1]:0", "unix:/a/b"}) {
    EXPECT_EQ(Address::parse(text).value().to_string(), text);
  }
}

TEST(Address, RefusesTheRestWithAReason) {
  using namespace std::string_view_literals;
  for (const std::string_view text : {""sv,
                                      "8080"sv,
                                      "127.0.0.1"sv,
                                      "127.0.0.1:"sv,
                                      "127.0.0.1:65536"sv,
                                      "127.0.0.1:-1"sv,
                                      "127.0.0.1:+1"sv,
                                      "127.0.0.1:8080 "sv,
                                      "127.0.0.1:0x50"sv,
                                      "127.1:80"sv,
                                      "1.2.3.4.5:80"sv,
                                      "example.com:80"sv,
                                      "::1:80"sv,
                                      "[::1]"sv,
                                      "[::1]:"sv,
                                      "[127.0.0.1]:80"sv,
                                      "[]:80"sv,
                                      "[::1:80"sv,
                                      "[fe80::1%eth0]:80"sv,
                                      "unix:"sv,
                                      "unix:/a/"sv,
                                      "unix:/a\0b"sv,
                                      "127.0.0.1\0x:80"sv}) {
    const auto parsed = Address::parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, Errc::kInvalid);
    EXPECT_FALSE(parsed.error().message.empty());
  }
}

TEST(Address, AllAddressesAreReachedThroughTheLoopback) {
  EXPECT_EQ(reachable(*Address::parse(":80")).to_string(), "127.0.0.1:80");
  EXPECT_EQ(reachable(*Address::parse("[::]:80")).to_string(), "[::1]:80");
  EXPECT_EQ(reachable(*Address::parse("10.0.0.1:80")).to_string(), "10.0.0.1:80");
}

}  // namespace
}  // namespace ebb::net
