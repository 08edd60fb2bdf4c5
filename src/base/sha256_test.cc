#include "base/sha256.h"

#include <gtest/gtest.h>

#include <array>

#include "base/hex.h"

namespace ebb {
namespace {

// FIPS 180-2, appendix B.
constexpr auto kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr auto kEmpty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr auto kMillionA = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

TEST(Hex, TwoLowerCaseDigitsPerByte) {
  EXPECT_EQ(to_hex(std::array<unsigned char, 3>{0x00, 0x0f, 0xa0}), "000fa0");
  EXPECT_EQ(to_hex({}), "");
}

TEST(Sha256, KnownVectors) {
  EXPECT_EQ(sha256_hex("abc"), kAbc);
  EXPECT_EQ(sha256_hex(""), kEmpty);
}

TEST(Sha256, PiecesEqualTheWholeAndHexStartsAnew) {
  Sha256 hash;
  const std::string piece(1000, 'a');
  for (int i = 0; i < 1000; ++i) hash.update(piece);
  EXPECT_EQ(hash.hex(), kMillionA);
  EXPECT_EQ(hash.hex(), kEmpty);
  hash.update("abc");
  EXPECT_EQ(hash.hex(), kAbc);
}

}  // namespace
}  // namespace ebb
