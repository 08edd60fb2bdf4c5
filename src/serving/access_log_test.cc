#include "serving/access_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"

namespace ebb::serving {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;

class AccessLogTest : public testing::Test {
 protected:
  AccessLogTest() {
    char folder[] = "/tmp/ebb-access-XXXXXX";
    folder_ = ::mkdtemp(folder);
  }
  ~AccessLogTest() override { std::filesystem::remove_all(folder_); }
  [[nodiscard]] std::string path() const { return folder_ + "/access.log"; }
  static std::string content(const std::string& path) {
    return read_file(path, 64u << 20).value_or("");
  }

  std::string folder_;
};

TEST(AccessLine, IsJsonWithMicroseconds) {
  FakeClock clock;
  RequestRecord record;
  record.received_at = clock.now();
  clock.advance(1234567us);
  record.ended_at = clock.now();
  record.waited = 500us;
  record.id = "abc";
  record.status = 200;
  record.bytes_in = 3;
  record.bytes_out = 5;
  record.cold = true;
  Route route;
  route.ns = "default";
  route.name = "hello";
  record.route = std::make_shared<const Route>(std::move(route));
  Backend backend;
  backend.name = "hello-00001";
  record.backend = &backend;
  http::RequestHead head;
  head.method = "GET";
  head.target = "/a?b=\"\\\x01\xff";
  head.authority = "hello.default.localhost";
  const std::string line =
      access_line(record, head, {.host = "192.0.2.1", .port = 7}, clock.now(), clock.wall());
  ASSERT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  const Json json = Json::parse(line);
  EXPECT_EQ(json["time"], "2026-01-01T00:00:00.000000Z");
  EXPECT_EQ(json["duration_us"], 1234567);
  EXPECT_EQ(json["queue_us"], 500);
  EXPECT_EQ(json["service"], "hello");
  EXPECT_EQ(json["revision"], "hello-00001");
  EXPECT_EQ(json["cold"], true);
  EXPECT_EQ(json["path"], "/a?b=\"\\\u0001\u00ff");
  EXPECT_FALSE(json.contains("pod"));
  EXPECT_FALSE(json.contains("tls"));
  record.secure = true;
  EXPECT_EQ(Json::parse(access_line(record, head, {}, clock.now(), clock.wall()))["tls"], true);
}

TEST_F(AccessLogTest, WritesAllAndEndsWell) {
  auto log = AccessLog::open(path());
  ASSERT_TRUE(log);
  (*log)->start();
  for (int i = 0; i < 1000; ++i) (*log)->write("line\n");
  log->reset();
  EXPECT_EQ(content(path()).size(), 5000u);
  struct stat info{};
  ASSERT_EQ(::stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
}

TEST_F(AccessLogTest, GoesOnInANewFileAfterARotation) {
  auto log = AccessLog::open(path());
  ASSERT_TRUE(log);
  (*log)->start();
  (*log)->write("before\n");
  std::filesystem::rename(path(), path() + ".1");
  (*log)->reopen();
  const auto limit = std::chrono::steady_clock::now() + 20s;
  while (!std::filesystem::exists(path()) && std::chrono::steady_clock::now() < limit) {
    ::usleep(1000);
  }
  (*log)->write("after\n");
  log->reset();
  EXPECT_EQ(content(path() + ".1"), "before\n");
  EXPECT_EQ(content(path()), "after\n");
}

TEST_F(AccessLogTest, DropsWhatDoesNotFitAndCountsIt) {
  auto log = AccessLog::open(path());
  ASSERT_TRUE(log);
  const std::string line(1 << 20, 'x');  // not started: nobody takes lines out
  for (int i = 0; i < 6; ++i) (*log)->write(line);
  EXPECT_EQ((*log)->dropped(), 2u);
  (*log)->start();
  log->reset();
  EXPECT_EQ(content(path()).size(), 4u << 20);
}

TEST_F(AccessLogTest, AFullDiskCostsLinesOnly) {
  auto log = AccessLog::open("/dev/full");
  ASSERT_TRUE(log);
  (*log)->start();
  (*log)->write("one\n");
  const auto limit = std::chrono::steady_clock::now() + 20s;
  while ((*log)->dropped() == 0 && std::chrono::steady_clock::now() < limit) ::usleep(1000);
  EXPECT_EQ((*log)->dropped(), 1u);
}

TEST_F(AccessLogTest, SaysWhichFileCannotBeOpened) {
  const auto log = AccessLog::open(folder_ + "/missing/access.log");
  ASSERT_FALSE(log);
  EXPECT_THAT(log.error().message, testing::HasSubstr(folder_ + "/missing/access.log"));
}

}  // namespace
}  // namespace ebb::serving
