#include "base/result.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace ebb {
namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return fail(Errc::kInvalid, "{} is odd", n);
  return n / 2;
}

TEST(Result, CarriesAValueOrAFormattedError) {
  EXPECT_EQ(half(8).value(), 4);
  const auto bad = half(7);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, Errc::kInvalid);
  EXPECT_EQ(bad.error().message, "7 is odd");
}

TEST(Result, ErrnoKeepsItsTextAndKind) {
  const Result<void> missing = fail_errno(ENOENT, "cannot open /x");
  EXPECT_EQ(missing.error().code, Errc::kNotFound);
  EXPECT_EQ(missing.error().message, "cannot open /x: No such file or directory (errno 2)");
  const Result<void> unknown = fail_errno(99999, "odd");
  EXPECT_EQ(unknown.error().code, Errc::kInternal);
  EXPECT_EQ(unknown.error().message, "odd: unknown error (errno 99999)");
}

TEST(Result, CodesHaveNames) { EXPECT_STREQ(to_string(Errc::kNotFound), "not found"); }

}  // namespace
}  // namespace ebb
