#include "control/policy_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/random.h"

namespace ebb::control {
namespace {

using namespace std::chrono_literals;

class PolicyFolderTest : public testing::Test {
 protected:
  PolicyFolderTest() { std::filesystem::create_directory(path_); }
  ~PolicyFolderTest() override { std::filesystem::remove_all(path_); }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ + "/" + name) << text;
  }

  std::string path_ = testing::TempDir() + "ebb-policies-" + random_hex(8);
  PolicyFolder folder_{path_};
  TimePoint now_{1h};
};

TEST_F(PolicyFolderTest, ReadsAFileWhenItIsNamedAndAgainWhenItChanged) {
  write("a.lua", "one");
  const auto file = folder_.file("a.lua");
  EXPECT_EQ(file->get()->text, "one");
  EXPECT_EQ(folder_.file("a.lua"), file) << "one for all who name it";
  folder_.refresh(now_);
  const auto same = file->get();
  folder_.refresh(now_ += 1s);
  EXPECT_EQ(file->get(), same);
  write("a.lua", "another");
  folder_.refresh(now_ += 500ms);
  EXPECT_EQ(file->get()->text, "one") << "once a second";
  folder_.refresh(now_ += 500ms);
  EXPECT_EQ(file->get()->text, "another");
}

TEST_F(PolicyFolderTest, WhatNobodyUsesIsNotLookedAt) {
  write("a.lua", "one");
  const auto file = folder_.file("a.lua");
  write("a.lua", "another");
  folder_.refresh(now_);
  EXPECT_EQ(file->get()->text, "one");  // and with this it is used
  folder_.refresh(now_ += 1s);
  EXPECT_EQ(file->get()->text, "another");
}

TEST_F(PolicyFolderTest, SaysWhyThereIsNoText) {
  const auto missing = folder_.file("b.lua");
  EXPECT_EQ(missing->get()->error, "b.lua: there is no such file in " + path_);
  EXPECT_EQ(missing->problem(), missing->get()->error);
  write("b.lua", "here");
  folder_.refresh(now_);
  EXPECT_EQ(missing->get()->text, "here");
  EXPECT_EQ(missing->get()->error, "b.lua:1: syntax error near <eof>");
  write("b.lua", "function decide() end");
  folder_.refresh(now_ += 1s);
  EXPECT_EQ(missing->get()->error, "");
  std::filesystem::remove(path_ + "/b.lua");
  folder_.refresh(now_ += 1s);
  EXPECT_THAT(missing->get()->error, testing::HasSubstr("no such file"));

  write("large.lua", std::string(scaling::LuaLimits().source + 1, ' '));
  EXPECT_NE(folder_.file("large.lua")->get()->error, "");
  // One that nobody writes to would be waited for without end.
  ASSERT_EQ(::mkfifo((path_ + "/pipe.lua").c_str(), 0600), 0);
  EXPECT_THAT(folder_.file("pipe.lua")->get()->error, testing::HasSubstr("no such file"));
}

}  // namespace
}  // namespace ebb::control
