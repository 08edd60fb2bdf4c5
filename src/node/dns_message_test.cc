#include "node/dns_message.h"

#include <gtest/gtest.h>

namespace ebb::node {
namespace {

using namespace std::string_literals;

std::string query(std::string_view name, uint16_t type = 1) {
  std::string out = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"s;
  out += dns_wire_name(name).value();
  out += std::string{static_cast<char>(type >> 8), static_cast<char>(type & 0xff), 0, 1};
  return out;
}

TEST(DnsMessage, ReadsAQuestion) {
  const std::string packet = query("Hello.Default.localhost.");
  const auto question = parse_dns_query(packet);
  ASSERT_TRUE(question);
  EXPECT_EQ(question->id, 0x1234);
  EXPECT_EQ(question->name, "\5hello\7default\11localhost\0"s);
  EXPECT_EQ(question->type, 1);
  EXPECT_EQ(question->klass, 1);
  EXPECT_EQ(question->end, packet.size());
}

TEST(DnsMessage, RefusesWhatIsNoQuery) {
  const std::string good = query("a.example");
  for (size_t n = 0; n < kDnsHeader; ++n) {
    const auto parsed = parse_dns_query(std::string_view(good).substr(0, n));
    ASSERT_FALSE(parsed);
    EXPECT_FALSE(parsed.error()) << "too short to be answered";
  }
  for (size_t n = kDnsHeader; n < good.size(); ++n) {
    const auto parsed = parse_dns_query(std::string_view(good).substr(0, n));
    ASSERT_FALSE(parsed) << n;
    EXPECT_EQ(parsed.error(), DnsCode::kFormat);
  }
  const auto error_with = [&](size_t at, char value) {
    std::string bad = good;
    bad[at] = value;
    const auto parsed = parse_dns_query(bad);
    return parsed ? DnsCode::kOk : parsed.error().value_or(DnsCode::kServerFailure);
  };
  EXPECT_EQ(error_with(2, '\x81'), DnsCode::kServerFailure) << "a reply gets no answer";
  EXPECT_EQ(error_with(2, '\x29'), DnsCode::kNotImplemented);
  EXPECT_EQ(error_with(5, '\2'), DnsCode::kFormat) << "two questions";
  EXPECT_EQ(error_with(5, '\0'), DnsCode::kFormat) << "no question";
  EXPECT_EQ(error_with(12, '\xc0'), DnsCode::kFormat) << "a pointer";
  EXPECT_EQ(error_with(12, '\x40'), DnsCode::kFormat) << "a label of 64";
  EXPECT_EQ(error_with(12, '\x3f'), DnsCode::kFormat) << "a label past the end";
  std::string endless = good.substr(0, kDnsHeader);
  for (int i = 0; i < 200; ++i) endless += "\1a"s;
  EXPECT_FALSE(parse_dns_query(endless + "\0\0\1\0\1"s)) << "a name over 255 bytes";
}

TEST(DnsMessage, AnswersWithAnAddress) {
  const std::string packet = query("hello.default.localhost");
  const auto question = parse_dns_query(packet);
  const std::string answer = dns_answer(packet, *question, 0x0acb0401);
  EXPECT_TRUE(is_dns_reply(answer, *question, 0x1234));
  EXPECT_EQ(answer.substr(0, kDnsHeader), "\x12\x34\x85\x80\x00\x01\x00\x01\x00\x00\x00\x00"s);
  EXPECT_EQ(answer.substr(packet.size()),
            "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\x0a\xcb\x04\x01"s);
  // No IPv6 address, and it says so instead of that the name does not exist.
  const std::string packet6 = query("hello.default.localhost", 28);
  const std::string answer6 = dns_answer(packet6, *parse_dns_query(packet6), 0x0acb0401);
  EXPECT_EQ(answer6.substr(0, kDnsHeader), "\x12\x34\x85\x80\x00\x01\x00\x00\x00\x00\x00\x00"s);
  EXPECT_EQ(answer6.size(), packet6.size());
}

TEST(DnsMessage, KnowsItsReplies) {
  const std::string packet = query("a.example");
  const auto question = parse_dns_query(packet);
  const std::string reply = dns_answer(packet, *question, 1);
  EXPECT_TRUE(is_dns_reply(reply, *question, 0x1234));
  EXPECT_FALSE(is_dns_reply(reply, *question, 0x1235)) << "another id";
  EXPECT_FALSE(is_dns_reply(packet, *question, 0x1234)) << "a query";
  const std::string other = query("b.example");
  EXPECT_FALSE(is_dns_reply(dns_answer(other, *parse_dns_query(other), 1), *question, 0x1234));
  EXPECT_FALSE(is_dns_reply(reply.substr(0, 20), *question, 0x1234));
  EXPECT_FALSE(is_dns_reply("", *question, 0x1234));
}

TEST(DnsMessage, ComparesDomainsByLabels) {
  const auto under = [](std::string_view name, std::string_view domain) {
    return is_under(*dns_wire_name(name), *dns_wire_name(domain));
  };
  EXPECT_TRUE(under("hello.default.localhost", "localhost"));
  EXPECT_TRUE(under("hello.default.faas.example", "faas.example"));
  EXPECT_FALSE(under("localhost", "localhost"));
  EXPECT_FALSE(under("notlocalhost", "localhost"));
  EXPECT_FALSE(under("hello.localhost.example", "localhost"));
  // A label that contains a dot is another name.
  EXPECT_FALSE(is_under("\x0bx.localhost\0"s, *dns_wire_name("localhost")));
}

TEST(DnsMessage, WritesNames) {
  EXPECT_EQ(dns_wire_name("A.b"), "\1a\1b\0"s);
  EXPECT_FALSE(dns_wire_name(""));
  EXPECT_FALSE(dns_wire_name("a..b"));
  EXPECT_FALSE(dns_wire_name(std::string(64, 'a')));
}

}  // namespace
}  // namespace ebb::node
