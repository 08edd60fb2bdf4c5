#include "cli/new_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

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

}  // namespace
}  // namespace ebb::cli
