#include "http/head_parser.h"

#include <gtest/gtest.h>

#include <random>

#include "http/codec_feed.h"

namespace ebb::http {
namespace {

Fed requests(std::string_view text, HeadLimits limits = {}) {
  return feed(text, true, limits, all_at_once);
}
Fed responses(std::string_view text) { return feed(text, false, {}, all_at_once); }

// The text after the request line and Host; says what became of it.
Fed with_fields(const std::string& fields) {
  return requests("POST / HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n");
}

struct Case {
  const char* name;
  std::string text;
};
void PrintTo(const Case& c, std::ostream* os) { *os << c.name; }

const std::vector<Case>& valid_requests() {
  static const std::vector<Case> cases = {
      {"get", "GET / HTTP/1.1\r\nHost: h\r\n\r\n"},
      {"empty line before", "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"},
      {"http/1.0", "GET / HTTP/1.0\r\n\r\n"},
      {"http/1.0 keep-alive", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"},
      {"absolute form", "GET http://h:80/x?y HTTP/1.1\r\nHost: H:80\r\n\r\n"},
      {"absolute form with the default port", "GET http://h:80/x HTTP/1.1\r\nHost: h\r\n\r\n"},
      {"options *", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"},
      {"no space, many spaces, tabs, empty value",
       "GET / HTTP/1.1\r\nHost:h\r\na:  \t b c \t\r\nb:\r\nc: \r\nd: \xc3\xa4\r\n\r\n"},
      {"sized", "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"},
      {"sized 0", "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"},
      {"chunked",
       "PUT /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"
       "5\r\nhello\r\n00A;x=\"y z\";q\r\n0123456789\r\n1\r\n!\r\n0\r\nT: 1\r\nU:\r\n\r\n"},
      {"pipelined",
       "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nHost: "
       "h\r\n\r\n"
       "POST /3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n"
       "GET /4 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"},
      {"expect",
       "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-Continue\r\n\r\nx"},
      {"upgrade",
       "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: "
       "websocket\r\n\r\n"},
      {"m-search", "M-SEARCH / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"},
  };
  return cases;
}

TEST(HeadParser, ReadsARequest) {
  HeadParser parser({});
  RequestHead head;
  const std::string text =
      "GET /p?q HTTP/1.1\r\nHost: Example.com:80\r\nX-A:  b \r\nConnection: Close, X\r\n\r\nrest";
  const auto size = parser.request(text, head);
  ASSERT_TRUE(size) << size.error().what;
  EXPECT_EQ(*size, text.size() - 4);
  EXPECT_EQ(head.method, "GET");
  EXPECT_EQ(head.target, "/p?q");
  EXPECT_EQ(head.authority, "Example.com:80");
  EXPECT_EQ(head.minor_version, 1);
  EXPECT_EQ(head.fields.size(), 3u);
  EXPECT_EQ(head.fields.get("x-a"), "b");
  EXPECT_EQ(head.body, BodyLength::none());
  EXPECT_FALSE(head.keep_alive);
  // Views, not copies.
  EXPECT_EQ(head.target.data(), text.data() + 4);
}

TEST(HeadParser, ReadsWhatTheFieldsMean) {
  const auto head_of = [](std::string_view text) { return requests(text).messages.at(0).head; };
  using testing::Test;
  EXPECT_NE(head_of("GET / HTTP/1.0\r\n\r\n").find("keep=false"), std::string::npos);
  EXPECT_NE(head_of("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").find("keep=true"),
            std::string::npos);
  EXPECT_NE(head_of("GET / HTTP/1.1\r\nHost: h\r\n\r\n").find("keep=true"), std::string::npos);
  const std::string expects = "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n";
  EXPECT_NE(head_of(expects + "Content-Length: 1\r\n\r\n").find("cont=true"), std::string::npos);
  EXPECT_NE(head_of(expects + "Content-Length: 0\r\n\r\n").find("cont=false"), std::string::npos);
  EXPECT_NE(head_of("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
                .find("cont=false"),
            std::string::npos);
  EXPECT_NE(head_of("GET http://a/ HTTP/1.0\r\n\r\n").find("@a "), std::string::npos);
}

TEST(HeadParser, ValidRequestsReadTheSameByteByByte) {
  for (const Case& c : valid_requests()) {
    const Fed whole = requests(c.text);
    EXPECT_EQ(whole.error, "") << c.name;
    ASSERT_FALSE(whole.messages.empty()) << c.name;
    for (const auto& m : whole.messages) EXPECT_TRUE(m.whole) << c.name;
    EXPECT_EQ(whole.text(), feed(c.text, true, {}, byte_by_byte).text()) << c.name;
  }
}

TEST(HeadParser, AnySplitReadsTheSame) {
  std::mt19937 random(1);
  std::string all;
  for (const Case& c : valid_requests()) all += c.text;
  const Fed expected = requests(all);
  ASSERT_EQ(expected.error, "");
  ASSERT_EQ(expected.messages.size(), valid_requests().size() + 3);
  for (int round = 0; round < 300; ++round) {
    const size_t most = 1 + random() % 200;
    const Cut cut = [&](size_t) { return 1 + random() % most; };
    ASSERT_EQ(feed(all, true, {}, cut).text(), expected.text());
  }
}

TEST(HeadParser, PipelinedBytesBelongToTheNextMessage) {
  const Fed fed = requests(valid_requests()[11].text);
  ASSERT_EQ(fed.messages.size(), 4u);
  EXPECT_EQ(fed.messages[0].body, "abc");
  EXPECT_EQ(fed.messages[2].body, "xyz");
  EXPECT_TRUE(fed.messages[3].head.starts_with("GET /4 "));
}

TEST(HeadParser, EveryPrefixOfAHeadNeedsMore) {
  const std::string text = "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n";
  HeadParser parser({});
  RequestHead head;
  for (size_t n = 0; n < text.size(); ++n) {
    const std::string moved = text.substr(0, n);  // elsewhere each time
    const auto size = parser.request(moved, head);
    ASSERT_TRUE(size);
    ASSERT_EQ(*size, 0u) << n;
  }
  EXPECT_EQ(parser.request(text, head).value(), text.size());
}

// Each trick by the name it is known under; all must be 400 at latest when the
// head is complete.
class Smuggling : public testing::TestWithParam<Case> {};

TEST_P(Smuggling, IsRefusedHoweverItIsSplit) {
  const Fed whole = requests(GetParam().text);
  EXPECT_NE(whole.error, "");
  EXPECT_EQ(whole.code, HttpError::kMalformed) << whole.error;
  EXPECT_EQ(whole.text(), feed(GetParam().text, true, {}, byte_by_byte).text());
}

std::string post(const std::string& fields) {
  return "POST / HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n";
}
const std::string kTe = "Transfer-Encoding: chunked\r\n";

INSTANTIATE_TEST_SUITE_P(
    Request, Smuggling,
    testing::Values(
        Case{"CL.TE", post("Content-Length: 4\r\n" + kTe)},
        Case{"TE.CL", post(kTe + "Content-Length: 4\r\n")}, Case{"TE.TE", post(kTe + kTe)},
        Case{"TE.TE identity", post(kTe + "Transfer-Encoding: identity\r\n")},
        Case{"TE.TE other first", post("Transfer-Encoding: x\r\n" + kTe)},
        Case{"TE chunked twice", post("Transfer-Encoding: chunked, chunked\r\n")},
        Case{"TE chunked not last", post("Transfer-Encoding: chunked, gzip\r\n")},
        Case{"TE empty element", post("Transfer-Encoding: chunked,\r\n")},
        Case{"TE leading comma", post("Transfer-Encoding: ,chunked\r\n")},
        Case{"TE empty", post("Transfer-Encoding:\r\n")},
        Case{"TE quoted", post("Transfer-Encoding: \"chunked\"\r\n")},
        Case{"TE parameter", post("Transfer-Encoding: chunked;q=1\r\n")},
        Case{"TE vertical tab", post("Transfer-Encoding: \vchunked\r\n")},
        Case{"TE form feed", post("Transfer-Encoding: chunked\f\r\n")},
        Case{"TE NUL", post(std::string("Transfer-Encoding: chunked\0\r\n", 29))},
        Case{"TE folded", post("Transfer-Encoding:\r\n chunked\r\n")},
        Case{"TE space before colon", post("Transfer-Encoding : chunked\r\n")},
        Case{"TE tab before colon", post("Transfer-Encoding\t: chunked\r\n")},
        Case{"TE after bare LF", post("X: y\nTransfer-Encoding: chunked\r\n")},
        Case{"TE after bare CR", post("X: y\rTransfer-Encoding: chunked\r\n")},
        Case{"TE after CR CR LF", post("X: y\r\r\nTransfer-Encoding: chunked\r\n")},
        Case{"TE in a header name", post("X\r: y\r\n")},
        Case{"TE in HTTP/1.0", "POST / HTTP/1.0\r\n" + kTe + "\r\n"},
        Case{"CL twice, same", post("Content-Length: 4\r\nContent-Length: 4\r\n")},
        Case{"CL twice, different", post("Content-Length: 4\r\nContent-Length: 5\r\n")},
        Case{"CL list", post("Content-Length: 4, 4\r\n")},
        Case{"CL plus", post("Content-Length: +4\r\n")},
        Case{"CL minus", post("Content-Length: -4\r\n")},
        Case{"CL hex", post("Content-Length: 0x4\r\n")},
        Case{"CL inner space", post("Content-Length: 4 4\r\n")},
        Case{"CL empty", post("Content-Length:\r\n")},
        Case{"CL overflow", post("Content-Length: 18446744073709551620\r\n")},
        Case{"CL letters", post("Content-Length: 4a\r\n")},
        Case{"CL decimal point", post("Content-Length: 4.0\r\n")},
        Case{"CL folded", post("Content-Length: 4\r\n 2\r\n")},
        Case{"CL space before colon", post("Content-Length : 4\r\n")},
        Case{"CL underscore prefix byte", post("\x01"
                                               "Content-Length: 4\r\n")},
        Case{"obs-fold", post("X: a\r\n b\r\n")},
        Case{"obs-fold with tab", post("X: a\r\n\tb\r\n")},
        Case{"first field folded", "GET / HTTP/1.1\r\n Host: h\r\n\r\n"},
        Case{"bare LF everywhere", "GET / HTTP/1.1\nHost: h\n\n"},
        Case{"bare LF ends the request line", "GET / HTTP/1.1\nHost: h\r\n\r\n"},
        Case{"bare LF ends the head", "GET / HTTP/1.1\r\nHost: h\r\n\n"},
        Case{"bare CR in the request line", "GET /\r HTTP/1.1\r\nHost: h\r\n\r\n"},
        Case{"bare CR ends the head", "GET / HTTP/1.1\r\nHost: h\r\n\rX\r\n\r\n"},
        Case{"two empty lines before", "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"},
        Case{"NUL in a value", post(std::string("X: a\0b\r\n", 8))},
        Case{"DEL in a value", post("X: a\x7f\r\n")},
        Case{"escape in a value", post("X: \x1b[0m\r\n")}, Case{"empty name", post(": x\r\n")},
        Case{"no colon", post("X\r\n")}, Case{"bad byte in a name", post("X(y): z\r\n")},
        Case{"high byte in a name", post("X\xc3\xa4: z\r\n")},
        Case{"space in a name", post("X y: z\r\n")},
        Case{"space before the name", "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n X: z\r\n\r\n"}));

INSTANTIATE_TEST_SUITE_P(
    RequestLineAndHost, Smuggling,
    testing::Values(Case{"missing Host", "GET / HTTP/1.1\r\n\r\n"},
                    Case{"Host twice", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"},
                    Case{"Host twice in 1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"},
                    Case{"Host empty", "GET / HTTP/1.1\r\nHost:\r\n\r\n"},
                    Case{"Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
                    Case{"Host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"},
                    Case{"Host list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"},
                    Case{"Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"},
                    Case{"Host bad port", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"},
                    Case{"Host differs from target", "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n"},
                    Case{"Host of another port", "GET http://a/ HTTP/1.1\r\nHost: a:8080\r\n\r\n"},
                    Case{"absolute form without Host", "GET http://a/ HTTP/1.1\r\n\r\n"},
                    Case{"absolute form with user", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n"},
                    Case{"HTTP/0.9", "GET /\r\n\r\n"},
                    Case{"two spaces", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n"},
                    Case{"space in target", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n"},
                    Case{"tab as separator", "GET\t/\tHTTP/1.1\r\nHost: h\r\n\r\n"},
                    Case{"space after version", "GET / HTTP/1.1 \r\nHost: h\r\n\r\n"},
                    Case{"fragment", "GET /#a HTTP/1.1\r\nHost: h\r\n\r\n"},
                    Case{"high byte in target", "GET /\xc3\xa4 HTTP/1.1\r\nHost: h\r\n\r\n"},
                    Case{"no slash", "GET a HTTP/1.1\r\nHost: h\r\n\r\n"},
                    Case{"GET *", "GET * HTTP/1.1\r\nHost: h\r\n\r\n"},
                    Case{"RTSP", "OPTIONS rtsp://h/ RTSP/1.0\r\n\r\n"},
                    Case{"ICE", "SOURCE /x ICE/1.0\r\n\r\n"},
                    Case{"lower case http", "GET / http/1.1\r\nHost: h\r\n\r\n"},
                    Case{"long minor", "GET / HTTP/1.10\r\nHost: h\r\n\r\n"},
                    Case{"no dot", "GET / HTTP/11\r\nHost: h\r\n\r\n"},
                    Case{"bad method", "G(T / HTTP/1.1\r\nHost: h\r\n\r\n"},
                    Case{"leading space", " GET / HTTP/1.1\r\nHost: h\r\n\r\n"},
                    Case{"TLS", "\x16\x03\x01\x02"}, Case{"a response", "HTTP/1.1 200 OK\r\n\r\n"},
                    Case{"SSH", "SSH-2.0-OpenSSH_9\r\n"}));

TEST(HeadParser, PassesEveryMethodOnAsItIs) {
  for (const char* method : {"BREW", "PROPFIND", "get", "a!~"}) {
    const Fed fed = requests(fmt::format("{} / HTTP/1.1\r\nHost: h\r\n\r\n", method));
    EXPECT_EQ(fed.error, "");
    EXPECT_TRUE(fed.messages[0].head.starts_with(fmt::format("{} / 1.1", method)));
  }
}

TEST(HeadParser, LooksAtEveryByteOfAValue) {
  for (size_t at = 0; at < 40; ++at) {
    for (const char byte : {'\x01', '\x1f', '\x7f', '\r', '\0'}) {
      std::string value(40, 'x');
      value[at] = byte;
      EXPECT_EQ(with_fields("A: y" + value + "z\r\n").code, HttpError::kMalformed) << at;
    }
    for (const char byte : {'\t', ' ', '~', '\x80', '\xff'}) {
      std::string value(40, 'x');
      value[at] = byte;
      EXPECT_EQ(with_fields("A: y" + value + "z\r\n").error, "") << at;
    }
  }
}

TEST(HeadParser, SaysUnsupportedAndVersion) {
  const auto code = [](std::string_view text) { return requests(text).code; };
  EXPECT_EQ(code("CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n"), HttpError::kUnsupported);
  EXPECT_EQ(code("PRI /x HTTP/1.1\r\nHost: h\r\n\r\n"), HttpError::kUnsupported);
  EXPECT_EQ(code("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), HttpError::kVersion);
  EXPECT_EQ(code("GET / HTTP/2.0\r\n\r\n"), HttpError::kVersion);
  EXPECT_EQ(code("GET / HTTP/1.2\r\n\r\n"), HttpError::kVersion);
  EXPECT_EQ(code("GET / HTTP/0.9\r\n\r\n"), HttpError::kVersion);
  EXPECT_EQ(with_fields("Transfer-Encoding: gzip\r\n").code, HttpError::kUnsupported);
  EXPECT_EQ(with_fields("Transfer-Encoding: gzip, chunked\r\n").code, HttpError::kUnsupported);
  EXPECT_EQ(with_fields("Transfer-Encoding: xchunked\r\n").code, HttpError::kUnsupported);
}

TEST(HeadParser, BoundsBytesAndFields) {
  const HeadLimits limits{.bytes = 256, .fields = 3};
  const auto sized = [](size_t total) {
    std::string text = "GET / HTTP/1.1\r\nHost: h\r\nA: ";
    text.append(total - text.size() - 4, 'x');
    return text + "\r\n\r\n";
  };
  EXPECT_EQ(requests(sized(256), limits).error, "");
  EXPECT_EQ(requests(sized(257), limits).code, HttpError::kHeadTooLarge);
  EXPECT_EQ(feed(sized(257), true, limits, byte_by_byte).code, HttpError::kHeadTooLarge);
  EXPECT_EQ(requests(std::string(300, 'A'), limits).code, HttpError::kHeadTooLarge);
  const std::string three = "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\n";
  EXPECT_EQ(requests(three + "\r\n", limits).error, "");
  EXPECT_EQ(requests(three + "C: 3\r\n\r\n", limits).code, HttpError::kHeadTooLarge);
}

const std::vector<Case>& valid_responses() {
  static const std::vector<Case> cases = {
      {"sized", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"},
      {"no reason", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"},
      {"no reason, no space", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"},
      {"continue", "HTTP/1.1 100 Continue\r\n\r\n"},
      {"204", "HTTP/1.1 204 No Content\r\n\r\n"},
      {"304 with length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"},
      {"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"},
      {"odd status", "HTTP/1.1 999 Denied \xc3\xa4\r\nContent-Length: 0\r\n\r\n"},
      {"until close", "HTTP/1.0 200 OK\r\nA: b\r\n\r\neverything"},
  };
  return cases;
}

TEST(HeadParser, ValidResponsesReadTheSameByteByByte) {
  for (const Case& c : valid_responses()) {
    const Fed whole = responses(c.text);
    EXPECT_EQ(whole.error, "") << c.name;
    ASSERT_EQ(whole.messages.size(), 1u) << c.name;
    EXPECT_TRUE(whole.messages[0].whole) << c.name;
    EXPECT_EQ(whole.text(), feed(c.text, false, {}, byte_by_byte).text()) << c.name;
  }
}

TEST(HeadParser, ResponseBodyFollowsRfc9112) {
  const auto read = [](std::string_view text, bool to_head) {
    HeadParser parser({});
    ResponseHead head;
    const auto size = parser.response(text, to_head, head);
    EXPECT_TRUE(size && *size > 0) << text;
    head.fields.clear();
    return head;
  };
  const std::string sized = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
  EXPECT_EQ(read(sized, false).body, BodyLength::sized(5));
  EXPECT_EQ(read(sized, true).body, BodyLength::none());
  EXPECT_FALSE(read(sized, true).keep_alive);
  EXPECT_EQ(read("HTTP/1.1 200 OK\r\n\r\n", false).body, BodyLength::until_close());
  EXPECT_FALSE(read("HTTP/1.1 200 OK\r\n\r\n", false).keep_alive);
  EXPECT_TRUE(read("HTTP/1.1 200 OK\r\n\r\n", true).keep_alive);
  EXPECT_EQ(read("HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n", false).body, BodyLength::none());
  EXPECT_FALSE(read("HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n", false).keep_alive);
  EXPECT_EQ(read("HTTP/1.1 204 X\r\nContent-Length: 5\r\n\r\n", false).body, BodyLength::none());
  EXPECT_FALSE(read("HTTP/1.1 204 X\r\nContent-Length: 5\r\n\r\n", false).keep_alive);
  EXPECT_FALSE(
      read("HTTP/1.1 200 X\r\nConnection: close\r\nContent-Length: 5\r\n\r\n", false).keep_alive);
  EXPECT_FALSE(read("HTTP/1.0 200 X\r\nContent-Length: 5\r\n\r\n", false).keep_alive);
  EXPECT_FALSE(read("HTTP/1.1 101 X\r\n\r\n", false).keep_alive);
}

TEST(HeadParser, RefusesResponses) {
  for (const std::string text :
       {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\nA: b\n\n", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: \x01\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n", "HTTP/1.1 099 OK\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n", "ICY 200 OK\r\n\r\n", "HTTP/1.1 200\tOK\r\n\r\n",
        "HTTP/1.1 200 O\rK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"}) {
    EXPECT_EQ(responses(text).code, HttpError::kMalformed) << text;
    EXPECT_EQ(responses(text).text(), feed(text, false, {}, byte_by_byte).text()) << text;
  }
  EXPECT_EQ(responses("HTTP/2 200\r\n\r\n").code, HttpError::kMalformed);
  EXPECT_EQ(responses("HTTP/2.0 200\r\n\r\n").code, HttpError::kVersion);
  EXPECT_EQ(responses("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n").code,
            HttpError::kUnsupported);
}

}  // namespace
}  // namespace ebb::http
