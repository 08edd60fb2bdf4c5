#include "cli/package.h"

#include <archive.h>
#include <archive_entry.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

#include "base/unique_fd.h"

namespace ebb::cli {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

// What an archive holds, by name.
struct Member {
  mode_t mode = 0;
  int64_t mtime = -1;
  int64_t owner = -1;
  std::string link;
  std::string content;
};

std::map<std::string, Member> unpack(const std::string& tar, std::vector<std::string>* order) {
  std::map<std::string, Member> out;
  archive* in = archive_read_new();
  archive_read_support_format_tar(in);
  EXPECT_EQ(archive_read_open_memory(in, tar.data(), tar.size()), ARCHIVE_OK);
  archive_entry* entry = nullptr;
  while (archive_read_next_header(in, &entry) == ARCHIVE_OK) {
    const std::string name = archive_entry_pathname(entry);
    if (order != nullptr) order->push_back(name);
    Member& member = out[name];
    member.mode = archive_entry_mode(entry);
    member.mtime = archive_entry_mtime(entry);
    member.owner = archive_entry_uid(entry) + archive_entry_gid(entry);
    if (const char* link = archive_entry_symlink(entry)) member.link = link;
    std::string buffer(static_cast<size_t>(archive_entry_size(entry)), '\0');
    EXPECT_EQ(archive_read_data(in, buffer.data(), buffer.size()),
              static_cast<la_ssize_t>(buffer.size()));
    member.content = buffer;
  }
  archive_read_free(in);
  return out;
}

class PackageTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "ebb-package-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    base_ = pattern;
    root_ = base_ / "code";
    fs::create_directory(root_);
  }
  void TearDown() override { fs::remove_all(base_); }

  void write(const fs::path& name, const std::string& content) const {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name, std::ios::binary) << content;
  }
  [[nodiscard]] Result<Package> pack_it(std::string_view runtime = "python") const {
    return pack(root_.string(), runtime);
  }
  void expect_refused(const std::string& why) const {
    const auto package = pack_it();
    ASSERT_FALSE(package);
    EXPECT_THAT(package.error().message, HasSubstr(why));
  }

  fs::path base_;
  fs::path root_;
};

TEST_F(PackageTest, HoldsTheFilesAndNothingOfTheirHistory) {
  write("main.py", "def handle(r): pass\n");
  write("lib/b.py", "b");
  write("lib/a.py", "a");
  write("run.sh", "#!/bin/sh\n");
  fs::permissions(root_ / "run.sh", fs::perms::owner_all | fs::perms::set_uid);
  fs::create_symlink("lib/a.py", root_ / "link.py");
  const auto package = pack_it();
  ASSERT_TRUE(package) << package.error().message;
  std::vector<std::string> order;
  auto members = unpack(package->tar, &order);
  EXPECT_THAT(order, ElementsAre("lib/", "lib/a.py", "lib/b.py", "link.py", "main.py", "run.sh"));
  EXPECT_EQ(members["main.py"].content, "def handle(r): pass\n");
  EXPECT_EQ(members["main.py"].mode, S_IFREG | 0644U);
  EXPECT_EQ(members["run.sh"].mode, S_IFREG | 0755U);
  EXPECT_EQ(members["link.py"].link, "lib/a.py");
  for (const auto& [name, member] : members) {
    EXPECT_EQ(member.mtime, 0) << name;
    EXPECT_EQ(member.owner, 0) << name;
  }
  EXPECT_EQ(package->files, 4U);
  EXPECT_EQ(package->sha256.size(), 64U);
}

TEST_F(PackageTest, TheSameFilesGiveTheSameBytes) {
  write("main.py", "1");
  write("z.py", "2");
  write("a/b/c.py", "3");
  const auto first = pack_it();
  ASSERT_TRUE(first);
  fs::rename(root_, base_ / "old");
  fs::create_directory(root_);
  write("a/b/c.py", "3");
  write("z.py", "2");
  write("main.py", "1");
  fs::last_write_time(root_ / "z.py", fs::file_time_type::clock::now() - std::chrono::hours(5));
  fs::permissions(root_ / "z.py", fs::perms::owner_read);
  const auto second = pack_it();
  ASSERT_TRUE(second);
  EXPECT_EQ(first->tar, second->tar);
  EXPECT_EQ(first->digest(), second->digest());
  write("z.py2", "");
  EXPECT_NE(pack_it()->digest(), first->digest());
}

TEST_F(PackageTest, LeavesOutGitAndCaches) {
  write("main.py", "");
  write(".git/config", "secret");
  write("lib/__pycache__/a.pyc", "x");
  write("lib/a.py", "");
  std::vector<std::string> order;
  unpack(pack_it()->tar, &order);
  EXPECT_THAT(order, ElementsAre("lib/", "lib/a.py", "main.py"));
}

TEST_F(PackageTest, TakesLongAndForeignNames) {
  write("main.py", "");
  std::string name(200, 'x');
  name.append("\xc3\xa9\xff");  // UTF-8 and not
  write(name, "content");
  const auto package = pack_it();
  ASSERT_TRUE(package) << package.error().message;
  EXPECT_EQ(unpack(package->tar, nullptr)[name].content, "content");
}

TEST_F(PackageTest, SaysWhatIsWrongWithTheFolder) {
  expect_refused("is empty");
  write("other.py", "");
  expect_refused("has no main.py");
  EXPECT_TRUE(pack_it("node"));
  EXPECT_THAT(pack((base_ / "nowhere").string(), "python").error().message,
              HasSubstr("does not exist"));
  EXPECT_THAT(pack((root_ / "other.py").string(), "python").error().message,
              HasSubstr("is not a folder"));
  fs::create_directory(root_ / "main.py");
  expect_refused("has no main.py");
}

TEST_F(PackageTest, AFolderOfOnlySkippedFilesIsEmpty) {
  write(".git/config", "");
  expect_refused("is empty");
}

TEST_F(PackageTest, RefusesUnreadableFiles) {
  if (::geteuid() == 0) GTEST_SKIP() << "root reads everything";
  write("main.py", "");
  write("secret.py", "");
  fs::permissions(root_ / "secret.py", fs::perms::none);
  const auto package = pack_it();
  ASSERT_FALSE(package);
  EXPECT_EQ(package.error().code, Errc::kPermission);
  EXPECT_THAT(package.error().message, HasSubstr("secret.py"));
}

TEST_F(PackageTest, RefusesLinksThatLeadOutside) {
  write("main.py", "");
  const auto refused = [this](const std::string& target) {
    fs::create_symlink(target, root_ / "bad");
    expect_refused("outside");
    fs::remove(root_ / "bad");
  };
  refused("/etc/passwd");
  refused("../other");
  refused("sub/../../other");
  refused(root_.string() + "/main.py");  // leads elsewhere once unpacked
}

TEST_F(PackageTest, RefusesLinksThatLeadOutsideThroughOthers) {
  write("main.py", "");
  write("deep/er/x.py", "");
  // As written "here/../.." stays at the root; through "here" it is above it.
  fs::create_directory_symlink(".", root_ / "deep" / "here");
  fs::create_symlink("here/../../up", root_ / "deep" / "bad");
  expect_refused("outside");
}

TEST_F(PackageTest, KeepsLinksInside) {
  write("main.py", "");
  write("lib/a.py", "");
  fs::create_symlink("../main.py", root_ / "lib" / "main.py");
  fs::create_directory_symlink("lib", root_ / "library");  // not walked twice
  fs::create_symlink("not-there", root_ / "dangling");
  std::vector<std::string> order;
  const auto package = pack_it();
  ASSERT_TRUE(package) << package.error().message;
  unpack(package->tar, &order);
  EXPECT_THAT(order,
              ElementsAre("dangling", "lib/", "lib/a.py", "lib/main.py", "library", "main.py"));
}

TEST_F(PackageTest, RefusesLinksInACircle) {
  write("main.py", "");
  fs::create_symlink("b", root_ / "a");
  fs::create_symlink("a", root_ / "b");
  EXPECT_FALSE(pack_it());
}

TEST_F(PackageTest, RefusesSocketsAndPipes) {
  write("main.py", "");
  ASSERT_EQ(::mkfifo((root_ / "pipe").c_str(), 0600), 0);
  expect_refused("a pipe");
  fs::remove(root_ / "pipe");
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = (root_ / "sock").string();
  if (path.size() >= sizeof address.sun_path) GTEST_SKIP() << "the test folder's path is too long";
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  ASSERT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  expect_refused("a socket");
}

TEST_F(PackageTest, RefusesTooMuch) {
  write("main.py", "");
  write("huge.bin", "");
  fs::resize_file(root_ / "huge.bin", kMaxPackageBytes + 1);  // sparse
  expect_refused("limit of 100 MiB");
}

TEST_F(PackageTest, RefusesEndlessFolders) {
  write("main.py", "");
  fs::path deep = root_;
  for (int i = 0; i < kMaxPackageDepth + 2; ++i) deep /= "d";
  fs::create_directories(deep);
  expect_refused("folders deep");
}

}  // namespace
}  // namespace ebb::cli
