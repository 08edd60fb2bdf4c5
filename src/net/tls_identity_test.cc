#include "net/tls_identity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/file.h"
#include "net/test_util.h"
#include "net/tls.h"

namespace ebb::net {
namespace {

using std::chrono::days;
using testing::Contains;

class TlsIdentityTest : public testing::Test {
 protected:
  [[nodiscard]] TlsIdentity load(WallTime at) const {
    auto loaded = load_tls_identity(made_.folder + "/tls", names_, at);
    EXPECT_TRUE(loaded) << loaded.error().message;
    return loaded.value_or(TlsIdentity{});
  }

  std::vector<std::string> names_{"127.0.0.1", "localhost"};
  TestIdentity made_;
  WallTime now_ = std::chrono::system_clock::now();
};

TEST_F(TlsIdentityTest, IsMadeOnce) {
  const TlsIdentity again = load(now_);
  EXPECT_EQ(again.ca_pem, made_.identity.ca_pem);
  EXPECT_EQ(again.certificate_pem, made_.identity.certificate_pem);
  EXPECT_EQ(again.key_pem, made_.identity.key_pem);
  for (const char* file : {"ca.key", "ca.crt", "server.key", "server.crt"}) {
    struct stat info{};
    ASSERT_EQ(::stat((made_.folder + "/tls/" + file).c_str(), &info), 0) << file;
    EXPECT_EQ(info.st_mode & 0777U, 0600U) << file;
  }
}

TEST_F(TlsIdentityTest, FollowsTheNamesAndKeepsTheAuthority) {
  names_ = {"localhost", "10.1.2.3", "::1", "no name, DNS:evil"};
  const TlsIdentity other = load(now_);
  EXPECT_EQ(other.ca_pem, made_.identity.ca_pem);
  EXPECT_NE(other.certificate_pem, made_.identity.certificate_pem);
  EXPECT_EQ(load(now_).certificate_pem, other.certificate_pem);
}

TEST_F(TlsIdentityTest, IsRenewedBeforeItsEnd) {
  const WallTime late = now_ + kServerLifetime - kServerRenew;
  EXPECT_EQ(load(late - days(1)).certificate_pem, made_.identity.certificate_pem);
  const TlsIdentity renewed = load(late + days(1));
  EXPECT_NE(renewed.certificate_pem, made_.identity.certificate_pem);
  EXPECT_EQ(renewed.ca_pem, made_.identity.ca_pem);
  EXPECT_NE(load(now_ + kCaLifetime - kCaRenew + days(1)).ca_pem, made_.identity.ca_pem);
}

TEST_F(TlsIdentityTest, HoldsIfTheClockWasAhead) {
  const TlsIdentity earlier = load(now_ - days(300));
  EXPECT_EQ(earlier.ca_pem, made_.identity.ca_pem);
  EXPECT_EQ(earlier.certificate_pem, made_.identity.certificate_pem);
}

TEST_F(TlsIdentityTest, BrokenFilesAreReplaced) {
  ASSERT_TRUE(write_file_atomic(made_.folder + "/tls/server.key", "broken", 0600));
  const TlsIdentity mended = load(now_);
  EXPECT_TRUE(TlsContext::server({{mended.certificate_pem, mended.key_pem}}, {}));
  EXPECT_EQ(mended.ca_pem, made_.identity.ca_pem);
  ASSERT_TRUE(write_file_atomic(made_.folder + "/tls/ca.crt", "broken", 0600));
  const TlsIdentity other = load(now_);
  EXPECT_NE(other.ca_pem, made_.identity.ca_pem);
  EXPECT_NE(other.certificate_pem, mended.certificate_pem) << "signed by the new authority";
}

TEST_F(TlsIdentityTest, SaysWhenTheFolderCannotBeMade) {
  EXPECT_FALSE(load_tls_identity(made_.folder + "/none/tls", names_, now_));
}

TEST(TlsNames, AreThoseThatAClientMayUse) {
  auto local = tls_names_of({Address::Kind::kIp, "127.0.0.1", 1});
  EXPECT_THAT(local, Contains("localhost"));
  EXPECT_THAT(local, Contains("::1"));
  EXPECT_THAT(tls_names_of({Address::Kind::kIp, "10.1.2.3", 1}), Contains("10.1.2.3"));
  EXPECT_THAT(tls_names_of({Address::Kind::kIp, "0.0.0.0", 1}), Contains("127.0.0.1"));
}

}  // namespace
}  // namespace ebb::net
