#include "http/message.h"

#include <gtest/gtest.h>

#include "http/head_writer.h"

namespace ebb::http {
namespace {

TEST(Fields, CompareWithoutCaseAndKeepOrder) {
  Fields fields;
  fields.add("Set-Cookie", "a");
  fields.add("Connection", "close , Upgrade");
  fields.add("set-cookie", "b");
  EXPECT_EQ(fields.get("SET-COOKIE"), "a");
  EXPECT_EQ(fields.count("set-cookie"), 2u);
  EXPECT_EQ(fields.get("cookie"), std::nullopt);
  EXPECT_TRUE(fields.has_token("connection", "upgrade"));
  EXPECT_TRUE(fields.has_token("connection", "CLOSE"));
  EXPECT_FALSE(fields.has_token("connection", "clos"));
  EXPECT_FALSE(list_has_token("", "x"));
  EXPECT_TRUE(list_has_token(",,x", "x"));
}

TEST(Message, KnowsHopByHopFields) {
  for (const char* name : {"Connection", "keep-alive", "TE", "Trailer", "Transfer-Encoding",
                           "upgrade", "Proxy-Connection"}) {
    EXPECT_TRUE(is_hop_by_hop(name)) << name;
  }
  for (const char* name : {"Content-Length", "Host", "Date", "X-Te"})
    EXPECT_FALSE(is_hop_by_hop(name)) << name;
}

TEST(HeadWriter, RefusesWhatWouldBreakTheFraming) {
  std::string out;
  EXPECT_TRUE(append_field(out, "X-A", "b\tc \xc3\xa4"));
  EXPECT_EQ(out, "X-A: b\tc \xc3\xa4\r\n");
  for (const std::string& value :
       std::vector<std::string>{"a\r\nB: c", "a\n", "\r", std::string("a\0", 2), "\x7f"}) {
    EXPECT_FALSE(append_field(out, "X", value));
  }
  for (const std::string_view name : {"", "a b", "a:", "a\r\n", "\xc3\xa4"})
    EXPECT_FALSE(append_field(out, name, "x"));
  EXPECT_FALSE(append_status_line(out, 200, "OK\r\nX: y"));
  EXPECT_EQ(out, "X-A: b\tc \xc3\xa4\r\n");
}

TEST(HeadWriter, WritesStatusLineAndFraming) {
  std::string out;
  EXPECT_TRUE(append_status_line(out, 404, ""));
  append_framing(out, FramingField::kContentLength, 12345678901234567890u);
  append_framing(out, FramingField::kChunked, 0);
  append_framing(out, FramingField::kOmit, 0);
  append_hex(out, 0xBEEF);
  EXPECT_EQ(out,
            "HTTP/1.1 404 Not Found\r\nContent-Length: 12345678901234567890\r\nTransfer-Encoding: "
            "chunked\r\nbeef");
}

TEST(HeadWriter, DateIsImfFixdate) {
  DateCache date;
  EXPECT_EQ(date.at(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(date.at(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(date.at(0), "Thu, 01 Jan 1970 00:00:00 GMT");
}

}  // namespace
}  // namespace ebb::http
