#include "net/resolve.h"

#include <gmock/gmock.h>

#include "net/test_util.h"

namespace ebb::net {
namespace {

Result<std::vector<Address>> found(Executor& executor, const std::string& host) {
  Result<std::vector<Address>> out = fail(Errc::kInternal, "nothing came");
  const auto task = [](Executor* e, std::string name, auto* into) -> Task<void> {
    auto looking = resolve(*e, std::move(name), 80, soon());
    *into = co_await looking;
  };
  run_to_end(executor, task(&executor, host, &out));
  return out;
}

TEST(Resolve, AddressesAreTakenAsTheyAre) {
  Executor executor("test");
  const auto v4 = found(executor, "10.1.2.3");
  ASSERT_TRUE(v4);
  EXPECT_EQ(v4->at(0).to_string(), "10.1.2.3:80");
  EXPECT_EQ(found(executor, "::1")->at(0).to_string(), "[::1]:80");
  EXPECT_EQ(found(executor, "localhost")->at(0).to_string(), "127.0.0.1:80");
}

TEST(Resolve, ANameThatCannotBeSaysWhy) {
  Executor executor("test");
  // Refused by the resolver itself, without asking anybody.
  const auto none = found(executor, std::string(300, 'a').append(".invalid"));
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Errc::kNotFound);
  EXPECT_THAT(none.error().message, testing::HasSubstr("cannot find the host aaa"));
}

}  // namespace
}  // namespace ebb::net
