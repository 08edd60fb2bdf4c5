#include "cli/new_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"

namespace ebb::cli {
namespace {

namespace fs = std::filesystem;

TEST(NewFileTest, AppearsWholeOrNotAtAll) {
  std::string folder = testing::TempDir() + "ebb-new-file-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/backup.tar";
  const auto names = [&folder] {
    return std::distance(fs::directory_iterator(folder), fs::directory_iterator());
  };
  {
    auto file = NewFile::make(path);
    ASSERT_TRUE(file) << file.error().message;
    ASSERT_TRUE(file->write("half"));
    EXPECT_FALSE(fs::exists(path));
  }
  EXPECT_EQ(names(), 0);
  for (const char* text : {"first", "second"}) {  // the second takes the first one's place
    auto file = NewFile::make(path);
    ASSERT_TRUE(file && file->write(text));
    ASSERT_TRUE(file->publish());
    EXPECT_EQ(*read_file(path, 100), text);
  }
  EXPECT_EQ(names(), 1);
  struct stat info{};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_FALSE(NewFile::make(folder));
  EXPECT_FALSE(NewFile::make(folder + "/no/such/folder"));
  fs::remove_all(folder);
}

TEST(NewFileTest, TakesOnlyThePlaceOfRegularFiles) {
  std::string folder = testing::TempDir() + "ebb-new-file-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const std::string pipe = folder + "/pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  fs::create_symlink("pipe", folder + "/to-pipe");
  for (const std::string& path : {pipe, folder + "/to-pipe", std::string("/dev/full")}) {
    const auto file = NewFile::make(path);
    ASSERT_FALSE(file) << path;
    EXPECT_EQ(file.error().code, Errc::kInvalid);
    EXPECT_EQ(file.error().message, path + " is no regular file: name the file to write");
  }
  struct stat info{};
  ASSERT_EQ(::stat(pipe.c_str(), &info), 0);
  EXPECT_TRUE(S_ISFIFO(info.st_mode));
  fs::remove_all(folder);
}

// As the kernel itself follows them where fs.protected_symlinks is set.
TEST(NewFileTest, FollowsNoStrangersLinkInAFolderForEveryone) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to give a link away";
  std::string folder = testing::TempDir() + "ebb-new-file-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  ASSERT_EQ(::chmod(folder.c_str(), 01777), 0);
  fs::create_symlink("target", folder + "/own");
  fs::create_symlink("target", folder + "/strange");
  ASSERT_EQ(::lchown((folder + "/strange").c_str(), 65534, 65534), 0);
  EXPECT_TRUE(NewFile::make(folder + "/own"));
  const auto refused = NewFile::make(folder + "/strange");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kPermission);
  ASSERT_EQ(::chmod(folder.c_str(), 0755), 0);
  EXPECT_TRUE(NewFile::make(folder + "/strange")) << "whose folder is it, then?";
  fs::remove_all(folder);
}

TEST(NewFileTest, WritesThroughLinks) {
  std::string folder = testing::TempDir() + "ebb-new-file-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  fs::create_directory(folder + "/disk");
  fs::create_symlink("disk/second", folder + "/first");
  fs::create_symlink(folder + "/disk/backup.tar", folder + "/disk/second");
  for (const char* text : {"new", "again"}) {  // the target is not there yet, then it is
    auto file = NewFile::make(folder + "/first");
    ASSERT_TRUE(file) << file.error().message;
    ASSERT_TRUE(file->write(text) && file->publish());
    EXPECT_EQ(*read_file(folder + "/disk/backup.tar", 100), text);
  }
  EXPECT_TRUE(fs::is_symlink(folder + "/first"));
  EXPECT_TRUE(fs::is_symlink(folder + "/disk/second"));
  fs::create_symlink("turn", folder + "/turn");
  EXPECT_FALSE(NewFile::make(folder + "/turn"));
  fs::remove_all(folder);
}

}  // namespace
}  // namespace ebb::cli
