#include "cli/up_reload.h"

#include <gtest/gtest.h>

namespace ebb::cli {
namespace {

TEST(UpReloadTest, ComesThroughAsItWas) {
  const UpReload sent{.settings = {{"domain", "example.com"}, {"pool", 3}},
                      .certificates = {{"chain\n", "key\n"}, {"\xff remark\nchain\n", "key 2"}}};
  const auto got = UpReload::parse(sent.to_text());
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->settings, sent.settings);
  ASSERT_EQ(got->certificates.size(), 2u);
  EXPECT_EQ(got->certificates[0].certificate_pem, "chain\n");
  EXPECT_EQ(got->certificates[0].key_pem, "key\n");
  EXPECT_TRUE(got->certificates[1].certificate_pem.ends_with(" remark\nchain\n"));
}

TEST(UpReloadTest, BrokenTextsAreRefused) {
  for (const char* text :
       {"", "{", "[]", "{}", R"({"settings":{}})", R"({"settings":{},"certificates":[1]})",
        R"({"settings":{},"certificates":[{"certificate":"x"}]})",
        R"({"settings":{},"certificates":[{"certificate":1,"key":"y"}]})"}) {
    EXPECT_FALSE(UpReload::parse(text)) << text;
  }
}

}  // namespace
}  // namespace ebb::cli
