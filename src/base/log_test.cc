#include "base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

namespace ebb {
namespace {

class Log : public testing::Test {
 protected:
  void TearDown() override {
    log::init("", log::Level::kInfo);
    log::set_format(log::Format::kText);
  }
};

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> out;
  size_t from = 0;
  for (size_t end = 0; (end = text.find('\n', from)) != std::string::npos; from = end + 1) {
    out.push_back(text.substr(from, end - from));
  }
  EXPECT_EQ(from, text.size()) << "the last line has no end";
  return out;
}

TEST_F(Log, OneLineWithTimeLevelComponent) {
  log::init("", log::Level::kInfo);
  testing::internal::CaptureStderr();
  log::info("gateway", "listening on {}", "[::1]:80");
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              testing::MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
                                    "\\.[0-9]{3}Z INFO gateway: listening on \\[::1\\]:80\n"));
}

TEST_F(Log, NamesTheProcessAndHidesLowerLevels) {
  log::init("front", log::Level::kWarn);
  EXPECT_FALSE(log::enabled(log::Level::kInfo));
  testing::internal::CaptureStderr();
  log::info("api", "hidden");
  log::write(log::Level::kDebug, "api", "hidden");
  log::warn("api", "shown");
  log::error("api", "shown too");
  const auto out = lines(testing::internal::GetCapturedStderr());
  ASSERT_EQ(out.size(), 2U);
  EXPECT_THAT(out[0], testing::EndsWith("Z WARN front/api: shown"));
  EXPECT_THAT(out[1], testing::EndsWith("Z ERROR front/api: shown too"));
}

TEST_F(Log, JsonHasAllInFields) {
  log::init("front", log::Level::kInfo);
  log::set_format(log::Format::kJson);
  testing::internal::CaptureStderr();
  log::warn("api", "a \"quote\",\n\x1b and \xff");
  log::info("api", "{}", std::string(10'000, 'x'));
  log::info("api", "{}", std::string(10'000, '\n'));
  log::info("api", "{}", std::string(10'000, '\xff'));
  const auto out = lines(testing::internal::GetCapturedStderr());
  ASSERT_EQ(out.size(), 4U);
  for (const auto& line : out) {
    EXPECT_LE(line.size(), 4096U);
    EXPECT_TRUE(nlohmann::json::accept(line)) << line;
  }
  const auto first = nlohmann::json::parse(out[0]);
  EXPECT_THAT(first["time"].get<std::string>(),
              testing::MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{3}Z"));
  EXPECT_EQ(first["level"], "WARN");
  EXPECT_EQ(first["process"], "front");
  EXPECT_EQ(first["component"], "api");
  EXPECT_EQ(first["message"], "a \"quote\",\n\x1b and \xef\xbf\xbd");
  EXPECT_THAT(nlohmann::json::parse(out[2])["message"].get<std::string>(),
              testing::EndsWith("\n..."));
}

TEST_F(Log, EscapesControlCharactersAndKeepsUtf8) {
  testing::internal::CaptureStderr();
  log::info("x", "{}", std::string("a\nb\r\t\x1b[31m\x7f\0z \xc3\xa9 {}", 19));
  const auto out = lines(testing::internal::GetCapturedStderr());
  ASSERT_EQ(out.size(), 1U);
  EXPECT_THAT(out[0], testing::EndsWith("a\\nb\\r\\t\\x1b[31m\\x7f\\x00z \xc3\xa9 {}"));
}

TEST_F(Log, CutsEndlessMessages) {
  testing::internal::CaptureStderr();
  log::info("x", "{}", std::string(1 << 20, 'a'));
  const auto text = testing::internal::GetCapturedStderr();
  EXPECT_LT(text.size(), 9000U);
  EXPECT_THAT(text, testing::EndsWith("aaa...\n"));
}

TEST_F(Log, LinesOfThreadsDoNotMix) {
  testing::internal::CaptureStderr();
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([] {
      for (int i = 0; i < 50; ++i) log::info("t", "{}", std::string(200, 'x'));
    });
  }
  for (auto& thread : threads) thread.join();
  const auto out = lines(testing::internal::GetCapturedStderr());
  EXPECT_EQ(out.size(), 200U);
  EXPECT_THAT(out, testing::Each(testing::EndsWith(" INFO t: " + std::string(200, 'x'))));
}

}  // namespace
}  // namespace ebb
