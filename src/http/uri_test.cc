#include "http/uri.h"

#include <gtest/gtest.h>

namespace ebb::http {
namespace {

TEST(Uri, OriginForm) {
  EXPECT_EQ(origin_form("http://h:80/a/b?c=%20"), "/a/b?c=%20");
  EXPECT_EQ(origin_form("https://h"), "/");
  EXPECT_EQ(origin_form("http://h?q"), "/?q");
  EXPECT_EQ(origin_form("/a?b"), "/a?b");
  EXPECT_EQ(origin_form("*"), "*");
}

TEST(Uri, SplitsOriginForm) {
  const auto t = split_target("/a/b%20c?x=1&y=?");
  ASSERT_TRUE(t);
  EXPECT_EQ(t->path, "/a/b%20c");
  EXPECT_EQ(t->query, "x=1&y=?");
  EXPECT_EQ(t->authority, "");
  EXPECT_EQ(split_target("/")->path, "/");
  EXPECT_EQ(split_target("*")->path, "*");
  EXPECT_EQ(split_target("//x/y")->path, "//x/y");
}

TEST(Uri, SplitsAbsoluteForm) {
  const auto t = split_target("HTTP://Example.com:8080/a?b");
  ASSERT_TRUE(t);
  EXPECT_EQ(t->authority, "Example.com:8080");
  EXPECT_EQ(t->path, "/a");
  EXPECT_EQ(t->query, "b");
  EXPECT_EQ(split_target("http://h")->path, "/");
  EXPECT_EQ(split_target("http://h?q")->path, "/");
  EXPECT_EQ(split_target("http://h?q")->query, "q");
  EXPECT_EQ(split_target("https://[::1]:1/")->authority, "[::1]:1");
}

TEST(Uri, RefusesOtherTargets) {
  for (const char* bad : {"", "a", "a/b", "h:443", "ftp://h/", "http:///x", "http://u@h/", "/a#f",
                          "/a b", "/\x01", "/\x7f", "/\xc3\xa4", "http://h:x/", "**"}) {
    EXPECT_FALSE(split_target(bad)) << bad;
  }
}

TEST(Uri, ChecksAuthorities) {
  for (const char* good :
       {"a", "a.b-c_d", "127.0.0.1:80", "[::1]", "[::ffff:1.2.3.4]:65535", "a%20b", "a."}) {
    EXPECT_TRUE(is_authority(good)) << good;
  }
  for (const char* bad : {"",    ":80",  "a:",      "a:b", "a:65536", "a:000080", "a:1:2", "u@h",
                          "a b", "a/b",  "[::1",    "[]",  "[x]",     "[::1]80",  "::1",   "a\tb",
                          "a%2", "a%zz", "a,b\x80", "a\"", "a?b",     "a#b"}) {
    EXPECT_FALSE(is_authority(bad)) << bad;
  }
  EXPECT_FALSE(is_authority(std::string(256, 'a')));
}

TEST(Uri, HostOfLowersAndStripsPortBracketsAndDot) {
  EXPECT_EQ(host_of("Example.COM:80"), "example.com");
  EXPECT_EQ(host_of("Example.COM.:80"), "example.com");
  EXPECT_EQ(host_of("[::AB]:80"), "::ab");
  EXPECT_EQ(host_of("[::1]"), "::1");
  EXPECT_EQ(host_of("h"), "h");
  EXPECT_EQ(host_of(""), "");
}

TEST(Uri, PercentDecodes) {
  EXPECT_EQ(percent_decode("a%2Fb%c3%A4+"), "a/b\xc3\xa4+");
  EXPECT_EQ(percent_decode("a+b", true), "a b");
  for (const char* bad : {"%", "%1", "%g0", "%0g", "a%", "%00"})
    EXPECT_FALSE(percent_decode(bad)) << bad;
}

TEST(Uri, ParsesQueries) {
  const auto pairs = parse_query("a=1&b&&c=x%3Dy+z&a=2&=e&d=");
  ASSERT_TRUE(pairs);
  const QueryPairs expected = {{"a", "1"}, {"b", ""}, {"c", "x=y z"},
                               {"a", "2"}, {"", "e"}, {"d", ""}};
  EXPECT_EQ(*pairs, expected);
  EXPECT_TRUE(parse_query("")->empty());
  EXPECT_FALSE(parse_query("a=%"));
}

}  // namespace
}  // namespace ebb::http
