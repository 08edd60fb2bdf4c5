#include "cli/kubeconfig.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cli/connection.h"

namespace ebb::cli {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class KubeconfigTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "ebb-kubeconfig-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    base_ = pattern;
    ::unsetenv("KUBECONFIG");
  }
  void TearDown() override {
    ::unsetenv("KUBECONFIG");
    fs::remove_all(base_);
  }
  [[nodiscard]] std::string path(const std::string& name) const { return (base_ / name).string(); }
  [[nodiscard]] std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(base_ / name) << text;
    return path(name);
  }

  fs::path base_;
};

TEST_F(KubeconfigTest, ReadsWhatItWrote) {
  const Kubeconfig config{.server = "https://[::1]:8081",
                          .ca = "-----BEGIN CERTIFICATE-----\nx\n",
                          .token = "0123",
                          .ns = "team-a"};
  ASSERT_TRUE(write_kubeconfig(path("k"), config));
  const auto read = read_kubeconfig(path("k"));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, config);
  struct stat info{};
  ASSERT_EQ(::stat(path("k").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(KubeconfigTest, FollowsTheCurrentContext) {
  const auto file = write("k", R"(
apiVersion: v1
kind: Config
current-context: b
clusters:
- {name: one, cluster: {server: "http://127.0.0.1:1"}}
- {name: two, cluster: {server: "http://127.0.0.1:2"}}
users:
- {name: me, user: {token: secret}}
contexts:
- {name: a, context: {cluster: one, user: me}}
- {name: b, context: {cluster: two, user: me}}
)");
  const auto config = read_kubeconfig(file);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(*config, (Kubeconfig{"http://127.0.0.1:2", "", "secret", "default"}));
}

TEST_F(KubeconfigTest, SaysWhatIsWrong) {
  EXPECT_EQ(read_kubeconfig(path("none")).error().code, Errc::kNotFound);
  const auto message = [this](const std::string& text) {
    return read_kubeconfig(write("k", text)).error().message;
  };
  EXPECT_THAT(message("[]"), HasSubstr("not a kubeconfig"));
  EXPECT_THAT(message("a: 1"), HasSubstr("no current-context"));
  EXPECT_THAT(message("current-context: x\ncontexts: 5"), HasSubstr("no context named \"x\""));
  EXPECT_THAT(message("current-context: x\ncontexts: [{name: x, context: {cluster: c}}]\n"
                      "clusters: [{name: c, cluster: {a: b}}]"),
              HasSubstr("no server"));
  EXPECT_THAT(message("a: [unclosed"), HasSubstr("is not usable"));
  EXPECT_THAT(message(""), HasSubstr("not a kubeconfig"));
}

TEST_F(KubeconfigTest, TheAuthorityMayBeAFile) {
  (void)write("ca.crt", "a certificate");
  const std::string rest =
      "current-context: x\ncontexts: [{name: x, context: {cluster: c}}]\nclusters:\n"
      "- {name: c, cluster: {server: 'https://127.0.0.1:1', ";
  EXPECT_EQ(read_kubeconfig(write("k", rest + "certificate-authority: ca.crt}}"))->ca,
            "a certificate");
  EXPECT_EQ(read_kubeconfig(write("k", rest + "certificate-authority-data: eA==}}"))->ca, "x");
  EXPECT_THAT(
      read_kubeconfig(write("k", rest + "certificate-authority-data: '?'}}")).error().message,
      HasSubstr("no base64"));
  EXPECT_FALSE(read_kubeconfig(write("k", rest + "certificate-authority: none.crt}}")));
}

TEST_F(KubeconfigTest, TheServerComesFromTheNearestPlace) {
  fs::create_directory(base_ / "data");
  ASSERT_TRUE(write_kubeconfig(path("flag"), {"http://127.0.0.1:1", "", "t1", "n1"}));
  ASSERT_TRUE(write_kubeconfig(path("data/kubeconfig"), {"http://127.0.0.1:2", "", "t2", "n2"}));
  ASSERT_TRUE(write_kubeconfig(path("env"), {"http://127.0.0.1:3", "", "t3", "n3"}));
  ::setenv("KUBECONFIG", (path("missing") + ":" + path("env")).c_str(), 1);
  ConnectionOptions options;
  EXPECT_EQ(find_connection(options)->server, "http://127.0.0.1:3");
  options.data = path("data");
  EXPECT_EQ(find_connection(options)->server, "http://127.0.0.1:2");
  options.kubeconfig = path("flag");
  EXPECT_EQ(find_connection(options)->server, "http://127.0.0.1:1");
  options.server = "http://127.0.0.1:9";
  const auto given = find_connection(options);
  EXPECT_EQ(given->server, "http://127.0.0.1:9");
  EXPECT_EQ(given->token, "t1");
  options.token = "mine";
  options.ns = "ns";
  EXPECT_EQ(find_connection(options)->token, "mine");
  EXPECT_EQ(find_connection(options)->ns, "ns");
}

TEST_F(KubeconfigTest, AServerNeedsNoFile) {
  ConnectionOptions options;
  options.data = path("nowhere");
  EXPECT_THAT(find_connection(options).error().message, HasSubstr("Is `ebb up` running?"));
  options.server = "http://127.0.0.1:9";
  const auto connection = find_connection(options);
  ASSERT_TRUE(connection);
  EXPECT_EQ(connection->token, "");
  EXPECT_EQ(connection->ns, "default");
}

}  // namespace
}  // namespace ebb::cli
