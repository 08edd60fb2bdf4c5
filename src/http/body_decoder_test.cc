#include "http/body_decoder.h"

#include <gtest/gtest.h>

namespace ebb::http {
namespace {

struct Decoded {
  std::string data;
  std::string rest;
  bool done = false;
  std::string error;
};

// Decodes in reads of `step` bytes.
Decoded decode(BodyLength length, std::string text, size_t step) {
  Decoded out;
  BodyDecoder decoder(length);
  std::span<char> left(text);
  while (!left.empty() && !decoder.done()) {
    const auto bytes = left.subspan(0, std::min(step, left.size()));
    const auto got = decoder.decode(bytes);
    if (!got) {
      out.error = got.error().what;
      EXPECT_FALSE(decoder.done());
      return out;
    }
    out.data.append(got->data);
    EXPECT_TRUE(got->consumed == bytes.size() || decoder.done());
    left = left.subspan(got->consumed);
  }
  out.done = decoder.done();
  out.rest.assign(left.begin(), left.end());
  EXPECT_EQ(decoder.received(), out.data.size());
  return out;
}

Decoded chunked(const std::string& text) {
  const Decoded whole = decode(BodyLength::chunked(), text, text.size());
  const Decoded bytes = decode(BodyLength::chunked(), text, 1);
  EXPECT_EQ(whole.error, bytes.error);
  if (whole.error.empty()) {
    EXPECT_EQ(whole.data, bytes.data);
    EXPECT_EQ(whole.rest, bytes.rest);
    EXPECT_EQ(whole.done, bytes.done);
  }
  return whole;
}

TEST(BodyDecoder, Sized) {
  const auto out = decode(BodyLength::sized(5), "helloNEXT", 3);
  EXPECT_EQ(out.data, "hello");
  EXPECT_EQ(out.rest, "NEXT");
  EXPECT_TRUE(out.done);
  EXPECT_TRUE(BodyDecoder(BodyLength::sized(0)).done());
  EXPECT_TRUE(BodyDecoder(BodyLength::none()).done());
  BodyDecoder partial(BodyLength::sized(5));
  EXPECT_EQ(partial.wanted(100), 5u);
  EXPECT_EQ(partial.wanted(3), 3u);
  EXPECT_FALSE(partial.end_of_stream());
}

TEST(BodyDecoder, UntilClose) {
  BodyDecoder decoder(BodyLength::until_close());
  std::string text = "abc";
  EXPECT_EQ(decoder.decode(text)->data, "abc");
  EXPECT_FALSE(decoder.done());
  EXPECT_TRUE(decoder.end_of_stream());
  EXPECT_TRUE(decoder.done());
}

TEST(BodyDecoder, JoinsChunksOfOneRead) {
  std::string text = "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nNEXT";
  BodyDecoder decoder(BodyLength::chunked());
  const auto step = decoder.decode(text);
  EXPECT_EQ(step->data, "abcde");
  EXPECT_EQ(step->consumed, text.size() - 4);
  EXPECT_TRUE(decoder.done());
  EXPECT_EQ(text.substr(step->consumed), "NEXT");
}

TEST(BodyDecoder, TakesExtensionsAndTrailers) {
  const auto out = chunked("3;a;b=\"c d\"\r\nabc\r\n000\r\nX-T: v\r\nY:\r\n\r\nNEXT");
  EXPECT_EQ(out.error, "");
  EXPECT_EQ(out.data, "abc");
  EXPECT_EQ(out.rest, "NEXT");
}

TEST(BodyDecoder, IncompleteIsNotDone) {
  for (const char* text :
       {"", "3", "3\r\nab", "3\r\nabc", "3\r\nabc\r\n", "0\r\n", "0\r\nA: b\r\n", "0\r\n\r"}) {
    const auto out = decode(BodyLength::chunked(), text, 1);
    EXPECT_FALSE(out.done) << text;
    EXPECT_EQ(out.error, "") << text;
  }
  EXPECT_FALSE(BodyDecoder(BodyLength::chunked()).end_of_stream());
}

TEST(BodyDecoder, RefusesEachTrickByName) {
  const std::pair<const char*, std::string> tricks[] = {
      {"bare LF after the size", "3\nabc\r\n0\r\n\r\n"},
      {"bare CR after the size", "3\rabc\r\n0\r\n\r\n"},
      {"bare LF after the data", "3\r\nabc\n0\r\n\r\n"},
      {"longer than its size", "3\r\nabcd\r\n0\r\n\r\n"},
      {"shorter than its size", "3\r\nab\r\n0\r\n\r\n"},
      {"missing size", "\r\nabc\r\n"},
      {"extension without size", ";a\r\n"},
      {"negative size", "-3\r\nabc\r\n"},
      {"plus size", "+3\r\nabc\r\n"},
      {"0x size", "0x3\r\nabc\r\n"},
      {"space before the size", " 3\r\nabc\r\n"},
      {"space after the size", "3 \r\nabc\r\n"},
      {"space before the extension", "3 ;a\r\nabc\r\n"},
      {"underscore in the size", "1_0\r\nabc\r\n"},
      {"overflow to zero", "10000000000000000\r\n\r\n"},
      {"overflow to three", "10000000000000003\r\nabc\r\n"},
      {"largest 64 bit size", "ffffffffffffffff\r\nabc\r\n"},
      {"too many digits", "00000000000000003\r\nabc\r\n"},
      {"bare LF in an extension", "3;a\nabc\r\n0\r\n\r\n"},
      {"bare CR in an extension", "3;a\rb\r\nabc\r\n0\r\n\r\n"},
      {"NUL in an extension", std::string("3;a\0\r\nabc\r\n", 10)},
      {"bare LF ends the trailers", "0\r\n\n"},
      {"bare CR ends the trailers", "0\r\n\rX"},
      {"bare LF in a trailer", "0\r\nA: b\n\r\n"},
      {"trailer without colon", "0\r\nGET\r\n\r\n"},
      {"a request as trailer", "0\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"},
      {"folded trailer", "0\r\nA: b\r\n c\r\n\r\n"},
      {"space before a trailer's colon", "0\r\nA : b\r\n\r\n"},
      {"empty trailer name", "0\r\n: b\r\n\r\n"},
      {"NUL in a trailer", std::string("0\r\nA: \0\r\n\r\n", 11)},
  };
  for (const auto& [name, text] : tricks) EXPECT_NE(chunked(text).error, "") << name;
}

TEST(BodyDecoder, BoundsExtensionsAndTrailers) {
  const auto with_extension = [](size_t n) { return "1;" + std::string(n, 'x') + "\r\nz\r\n"; };
  EXPECT_EQ(chunked(with_extension(BodyDecoder::kMaxExtensionBytes - 1)).error, "");
  EXPECT_NE(chunked(with_extension(BodyDecoder::kMaxExtensionBytes)).error, "");
  std::string many;  // small ones add up
  for (size_t i = 0; i <= BodyDecoder::kMaxExtensionBytes / 100; ++i) many += with_extension(100);
  EXPECT_NE(chunked(many).error, "");
  const auto with_trailer = [](size_t n) { return "0\r\nA:" + std::string(n, 'x') + "\r\n\r\n"; };
  EXPECT_TRUE(chunked(with_trailer(BodyDecoder::kMaxTrailerBytes - 6)).done);
  EXPECT_NE(chunked(with_trailer(BodyDecoder::kMaxTrailerBytes - 5)).error, "");
}

}  // namespace
}  // namespace ebb::http
