#include "base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/random.h"
#include "base/unique_fd.h"

namespace ebb {
namespace {

class File : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directory(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::string path(const std::string& name) const { return folder_ / name; }

  std::filesystem::path folder_ = std::filesystem::path(testing::TempDir()) / random_hex(8);
};

TEST_F(File, WritesReplacesAndReadsBack) {
  ASSERT_TRUE(write_file_atomic(path("a"), "first", 0600));
  const std::string big(300'000, 'x');
  ASSERT_TRUE(write_file_atomic(path("a"), big, 0644));
  EXPECT_EQ(read_file(path("a"), big.size()).value(), big);
  struct stat info{};
  ASSERT_EQ(::stat(path("a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0644U);
  // Nothing else is left in the folder.
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

TEST_F(File, RefusesMoreThanTheBound) {
  ASSERT_TRUE(write_file_atomic(path("a"), "12345", 0600));
  EXPECT_EQ(read_file(path("a"), 5).value(), "12345");
  const auto over = read_file(path("a"), 4);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code, Errc::kExhausted);
}

TEST_F(File, SaysWhichFileIsMissing) {
  const auto missing = read_file(path("none"), 10);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Errc::kNotFound);
  EXPECT_NE(missing.error().message.find(path("none")), std::string::npos);
}

TEST_F(File, ReadsFilesWhoseSizeIsUnknown) {
  const auto status = read_file("/proc/self/status", 1 << 20);
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->starts_with("Name:"));
}

TEST_F(File, ARegularOneIsAskedForWhereAnotherCouldKeepUsWaiting) {
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(read_regular_file(path("pipe"), 100).error().code, Errc::kInvalid);
  EXPECT_EQ(read_regular_file("/dev/zero", 100).error().code, Errc::kInvalid);
  ASSERT_TRUE(write_file_atomic(path("file"), "text", 0600));
  EXPECT_EQ(read_regular_file(path("file"), 100).value(), "text");
}

TEST_F(File, AFailedWriteLeavesNothing) {
  ASSERT_TRUE(std::filesystem::create_directory(path("taken")));
  ASSERT_TRUE(write_file_atomic(path("taken/inside"), "x", 0600));
  EXPECT_FALSE(write_file_atomic(path("taken"), "x", 0600));  // a folder cannot be replaced
  EXPECT_FALSE(write_file_atomic(path("none/a"), "x", 0600));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

TEST(UniqueFd, ClosesOnceAndMoves) {
  UniqueFd a(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(a);
  const int number = a.get();
  UniqueFd b = std::move(a);
  EXPECT_FALSE(a);  // NOLINT(bugprone-use-after-move): what the move leaves is the point
  EXPECT_EQ(b.get(), number);
  EXPECT_NE(::fcntl(number, F_GETFD), -1);
  b.reset();
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
}

}  // namespace
}  // namespace ebb
