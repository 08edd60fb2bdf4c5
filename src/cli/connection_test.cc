#include "cli/connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "cli/kubeconfig.h"

namespace ebb::cli {
namespace {

using testing::HasSubstr;

class ConnectionTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    const Kubeconfig config{
        .server = "https://127.0.0.1:1", .ca = "of the file", .token = "t", .ns = "team"};
    ASSERT_TRUE(write_kubeconfig(folder_ + "/kubeconfig", config));
    std::ofstream(folder_ + "/ca.crt") << "given";
    std::ofstream(folder_ + "/empty.crt").flush();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] ConnectionOptions of_folder() const {
    ConnectionOptions options;
    options.data = folder_;
    return options;
  }

  std::string folder_ = testing::TempDir() + "ebb-connection-XXXXXX";
};

TEST_F(ConnectionTest, AKubeconfigSaysAll) {
  const auto found = find_connection(of_folder());
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->server, "https://127.0.0.1:1");
  EXPECT_EQ(found->ca, "of the file");
  EXPECT_EQ(found->token, "t");
  EXPECT_EQ(found->ns, "team");
}

TEST_F(ConnectionTest, FlagsAloneAreEnough) {
  ConnectionOptions options;
  options.server = "https://127.0.0.1:2";
  options.token = "x";
  options.certificate_authority = folder_ + "/ca.crt";
  const auto found = find_connection(options);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->server, "https://127.0.0.1:2");
  EXPECT_EQ(found->ca, "given");
  EXPECT_EQ(found->token, "x");
  EXPECT_EQ(found->ns, "default");
}

TEST_F(ConnectionTest, FlagsWinOverTheKubeconfig) {
  ConnectionOptions options = of_folder();
  options.certificate_authority = folder_ + "/ca.crt";
  options.ns = "n";
  const auto found = find_connection(options);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->ca, "given");
  EXPECT_EQ(found->token, "t");
  EXPECT_EQ(found->ns, "n");
}

TEST_F(ConnectionTest, AnAuthorityThatCannotBeReadIsSaid) {
  const auto why = [this](const std::string& name) {
    ConnectionOptions options = of_folder();
    options.certificate_authority = folder_ + name;
    return find_connection(options).error().message;
  };
  EXPECT_THAT(why("/none.crt"), HasSubstr("--certificate-authority: "));
  EXPECT_THAT(why("/none.crt"), HasSubstr("none.crt"));
  EXPECT_THAT(why("/empty.crt"), HasSubstr("empty.crt is empty"));
}

}  // namespace
}  // namespace ebb::cli
