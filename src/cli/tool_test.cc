#include "cli/tool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <thread>

namespace ebb::cli {
namespace {

using testing::ElementsAre;

TimePoint soon(Duration time) { return std::chrono::steady_clock::now() + time; }

TEST(ToolTest, GivesLinesOutputAndCode) {
  std::vector<std::string> lines;
  const auto run = run_tool(
      {"sh", "-c", "echo one; echo two >&2; pwd; cat; printf end; exit 3"}, "/",
      [&lines](std::string_view line) { lines.emplace_back(line); },
      soon(std::chrono::seconds(20)));
  ASSERT_TRUE(run) << run.error().message;
  EXPECT_EQ(run->exit_code, 3);
  EXPECT_EQ(run->output, "one\ntwo\n/\nend");
  EXPECT_THAT(lines, ElementsAre("one", "two", "/"));
}

TEST(ToolTest, KeepsOnlyTheEndOfMuchOutput) {
  const auto run = run_tool(
      {"sh", "-c", "yes x | head -c 1000000; echo last"}, "/", [](std::string_view) {},
      soon(std::chrono::seconds(20)));
  ASSERT_TRUE(run);
  EXPECT_EQ(run->output.size(), kMaxToolOutput);
  EXPECT_TRUE(run->output.ends_with("last\n"));
}

TEST(ToolTest, AMissingProgramIsSaid) {
  const auto run =
      run_tool({"ebb-no-such-tool"}, "/", [](std::string_view) {}, soon(std::chrono::seconds(20)));
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().code, Errc::kNotFound);
}

TEST(ToolTest, EndsAtTheDeadlineWithWhatItStarted) {
  std::string pid;
  const auto run = run_tool(
      {"sh", "-c", "sleep 600 & echo $!; wait"}, "/", [&pid](std::string_view line) { pid = line; },
      soon(std::chrono::milliseconds(500)));
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().code, Errc::kTimeout);
  ASSERT_NE(pid, "");
  // Ended; init may still have to reap it, which is when kill stops to find it.
  for (int i = 0; i < 200 && ::kill(std::stoi(pid), 0) == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_NE(::kill(std::stoi(pid), 0), 0);
}

TEST(ToolTest, EndsWhenInterrupted) {
  const auto run = run_tool(
      {"sh", "-c", "echo ready; sleep 600"}, "/", [](std::string_view) { ::raise(SIGINT); },
      soon(std::chrono::seconds(20)));
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().code, Errc::kCanceled);
}

}  // namespace
}  // namespace ebb::cli
