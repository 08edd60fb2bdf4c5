#include "node/pod_log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "base/file.h"
#include "base/random.h"

namespace ebb::node {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

std::string cut(std::initializer_list<std::string_view> pieces) {
  LineCutter cutter;
  std::string out;
  for (const auto piece : pieces) cutter.feed(piece, "> ", out);
  cutter.finish("> ", out);
  return out;
}

TEST(LineCutter, LinesMayComeInPieces) {
  EXPECT_EQ(cut({"a\nb", "c\n", "\n", "d"}), "> a\n> bc\n> \n> d\n");
  EXPECT_EQ(cut({"windows\r\n"}), "> windows\n");
  EXPECT_EQ(cut({}), "");
}

TEST(LineCutter, ALongLineGoesOnInTheNext) {
  const std::string full(kMaxLogLine, 'x');
  EXPECT_EQ(cut({full + full + "y\n"}), "> " + full + "\n> " + full + "\n> y\n");
  EXPECT_EQ(cut({full.substr(1), "xy"}), "> " + full + "\n> y\n");
}

TEST(TokenBucket, LetsABurstThroughAndThenItsRate) {
  const TimePoint start{1h};
  TokenBucket bucket(100, 50);
  EXPECT_EQ(bucket.wait(start), 0s);
  bucket.take(50, start);
  EXPECT_EQ(bucket.wait(start), 0s);
  bucket.take(20, start);
  EXPECT_EQ(bucket.wait(start), 200ms);
  EXPECT_EQ(bucket.wait(start + 201ms), 0s);
  bucket.take(60, start + 1h);  // a long silence gives no more than a burst
  EXPECT_EQ(bucket.wait(start + 1h), 100ms);
}

TEST(LogPrefix, HasMicrosecondsAndThePod) {
  const WallTime time = std::chrono::sys_days{std::chrono::year{2026} / 2 / 3} + 4h + 5min + 6s +
                        std::chrono::microseconds(70);
  EXPECT_EQ(log_prefix(time, "python-1"), "2026-02-03T04:05:06.000070Z python-1 ");
}

class LogFolderTest : public testing::Test {
 protected:
  LogFolderTest() : path_(fs::temp_directory_path() / ("ebb-logs-" + random_hex(6))) {
    fs::create_directory(path_);
    folder_ = std::make_unique<LogFolder>(
        UniqueFd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)), ::getuid());
  }
  ~LogFolderTest() override { fs::remove_all(path_); }
  std::string read(const std::string& name) {
    const auto text = read_file(path_ / name, 64 << 20);
    return text ? *text : "no file";
  }
  fs::path path_;
  std::unique_ptr<LogFolder> folder_;
};

TEST_F(LogFolderTest, AppendsAndKeepsOneOldFile) {
  folder_->append("uid", "first\n");
  folder_->append("uid", "second\n");
  EXPECT_EQ(read("uid.log"), "first\nsecond\n");
  struct stat info = {};
  ASSERT_EQ(::stat((path_ / "uid.log").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  for (const char letter : {'a', 'b'}) {
    folder_->append("uid", std::string(kMaxLogFile - 1, letter) + "\n");
  }
  EXPECT_EQ(read("uid.log").substr(0, 3), "bbb");
  EXPECT_EQ(read("uid.log.1").substr(0, 3), "aaa");
  EXPECT_EQ(folder_->dropped(), 0u);
}

// A limit on the size of files behaves like a full disk: the write is cut, then fails.
TEST_F(LogFolderTest, OnAFullDiskWholeLinesAreDroppedAndCounted) {
  folder_->append("uid", "first\n");
  rlimit before = {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  const rlimit full = {10, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
  folder_->append("uid", "second\nthird\n");
  folder_->append("uid", "fourth\n");
  EXPECT_EQ(folder_->dropped(), 3u);
  EXPECT_EQ(read("uid.log"), "first\n");
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, handler);
  folder_->append("uid", "fifth\n");
  EXPECT_EQ(folder_->dropped(), 0u);
  EXPECT_EQ(read("uid.log"), "first\nfifth\n");
}

TEST_F(LogFolderTest, NothingButAPlainFileIsWritten) {
  fs::create_symlink("/dev/null", path_ / "link.log");
  ASSERT_EQ(::mkfifo((path_ / "pipe.log").c_str(), 0600), 0);
  folder_->append("other", "kept\n");
  fs::create_hard_link(path_ / "other.log", path_ / "hard.log");
  for (const char* name : {"link", "pipe", "hard", "../up", ""}) folder_->append(name, "x\ny\n");
  EXPECT_EQ(folder_->dropped(), 6u);
  EXPECT_EQ(read("other.log"), "kept\n");
  fs::remove(path_ / "hard.log");
  folder_->append("other", "again\n");
  EXPECT_EQ(folder_->dropped(), 0u);
  EXPECT_EQ(read("other.log"), "kept\nagain\n");
}

}  // namespace
}  // namespace ebb::node
