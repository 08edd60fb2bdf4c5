#include "sim/csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ebb::sim {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Csv, ReadsRowsQuotedFieldsAndBothLineEnds) {
  CsvReader csv(
      "\xEF\xBB\xBF"
      "a,b,c\r\n\"x,\"\"y\"\"\",,\"two\nlines\"\n\n1,2,3",
      "t.csv");
  ASSERT_TRUE(csv.next());
  EXPECT_THAT(csv.fields(), ElementsAre("a", "b", "c"));
  ASSERT_TRUE(csv.next());
  EXPECT_THAT(csv.fields(), ElementsAre("x,\"y\"", "", "two\nlines"));
  EXPECT_EQ(csv.line(), 2);
  ASSERT_TRUE(csv.next());
  EXPECT_THAT(csv.fields(), ElementsAre("1", "2", "3"));
  EXPECT_EQ(csv.line(), 5);
  EXPECT_FALSE(csv.next());
  EXPECT_FALSE(csv.failed());
}

TEST(Csv, SaysWhereAQuoteDoesNotEnd) {
  CsvReader csv("a\n\"b", "t.csv");
  ASSERT_TRUE(csv.next());
  EXPECT_FALSE(csv.next());
  ASSERT_TRUE(csv.failed());
  EXPECT_EQ(csv.error().message, "t.csv:2:1: a quoted field does not end");
  CsvReader after("\"a\"b,c", "t.csv");
  EXPECT_FALSE(after.next());
  EXPECT_EQ(after.error().message, "t.csv:1:1: text after a quoted field");
  CsvReader third("a\n1,\"2\",\"b\n", "t.csv");
  ASSERT_TRUE(third.next());
  EXPECT_FALSE(third.next());
  EXPECT_EQ(third.error().message, "t.csv:2:7: a quoted field does not end");
}

TEST(Csv, NumbersAreCheckedAndErrorsSayWhat) {
  CsvReader csv("1.5, 2 ,x,-3,1e999,nan,", "t.csv");
  ASSERT_TRUE(csv.next());
  EXPECT_EQ(*csv.number(0, 0, 10, "n"), 1.5);
  EXPECT_EQ(*csv.number(1, 0, 10, "n"), 2);
  EXPECT_EQ(csv.number(2, 0, 10, "n").error().message, "t.csv:1:9: n is no number: \"x\"");
  EXPECT_EQ(csv.number(3, 0, 10, "n").error().message, "t.csv:1:11: n must be 0 to 10, not -3");
  EXPECT_THAT(csv.number(4, 0, 10, "n").error().message, HasSubstr("out of range"));
  EXPECT_EQ(csv.number(5, 0, 10, "n").error().message, "t.csv:1:20: n is no number: \"nan\"");
  EXPECT_THAT(csv.number(6, 0, 10, "n").error().message, HasSubstr("is missing"));
  EXPECT_THAT(csv.number(7, 0, 10, "n").error().message, HasSubstr("the row has 7 fields"));
}

TEST(Csv, FindsColumnsByName) {
  CsvReader csv("one, two\n", "t.csv");
  ASSERT_TRUE(csv.next());
  EXPECT_EQ(*column(csv, "two"), 1);
  EXPECT_EQ(column(csv, "three").error().message, "t.csv:1:1: there is no column \"three\"");
}

}  // namespace
}  // namespace ebb::sim
