#include "base/quote.h"

#include <gtest/gtest.h>

#include <string>

namespace ebb {
namespace {

TEST(Quoted, LeavesWhatCanBeRead) {
  EXPECT_EQ(in_quotes(""), R"("")");
  EXPECT_EQ(in_quotes("a b~!"), R"("a b~!")");
  EXPECT_EQ(in_quotes("gr\u00fc\u00df \u4f60 \U0001F600 \u00a0"),
            "\"gr\u00fc\u00df \u4f60 \U0001F600 \u00a0\"");
}

TEST(Quoted, EscapesQuotesAndControls) {
  EXPECT_EQ(in_quotes("\"\\\n\r\t"), R"("\"\\\n\r\t")");
  EXPECT_EQ(in_quotes(std::string("\0\x1b[2J\x7f", 6)), R"("\x00\x1b[2J\x7f")");
  EXPECT_EQ(in_quotes("\xc2\x9b"), R"("\xc2\x9b")") << "a control beyond ASCII";
}

TEST(Quoted, EscapesEachByteOfMalformedUtf8) {
  EXPECT_EQ(in_quotes("\x80"), R"("\x80")");
  EXPECT_EQ(in_quotes("\xff"
                      "a"),
            R"("\xffa")");
  EXPECT_EQ(in_quotes("\xc3"), R"("\xc3")") << "cut";
  EXPECT_EQ(in_quotes("\xe4\xbd"), R"("\xe4\xbd")") << "cut";
  EXPECT_EQ(in_quotes("\xe4\xbd"
                      "a"),
            R"("\xe4\xbda")");
  EXPECT_EQ(in_quotes("\xc0\xaf"), R"("\xc0\xaf")") << "longer than it must be";
  EXPECT_EQ(in_quotes("\xe0\x80\xaf"), R"("\xe0\x80\xaf")");
  EXPECT_EQ(in_quotes("\xed\xa0\x80"), R"("\xed\xa0\x80")") << "a surrogate";
  EXPECT_EQ(in_quotes("\xf4\x90\x80\x80"), R"("\xf4\x90\x80\x80")") << "beyond Unicode";
}

}  // namespace
}  // namespace ebb
