#include "node/runtime.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace ebb::node {
namespace {

std::string error_of(std::string_view text) {
  const auto runtime = Runtime::parse(text, "/r/x");
  return runtime ? "" : runtime.error().message;
}

TEST(Runtime, AManifestSaysHowPodsCome) {
  const auto zygote = Runtime::parse(
      R"({"name": "py", "command": ["/usr/bin/python3", "z.py"], "entry": "main.py"})", "/r/py");
  ASSERT_TRUE(zygote);
  EXPECT_EQ(zygote->kind, Runtime::Kind::kZygote);
  EXPECT_EQ(zygote->pool, 8u);
  const auto process = Runtime::parse(
      R"({"name": "js", "kind": "process", "programs": ["/no", "/bin/sh"], "command": ["pod.js"],
          "pool": 2, "mounts": ["/lib"]})",
      "/r/js");
  ASSERT_TRUE(process);
  EXPECT_EQ(process->kind, Runtime::Kind::kProcess);
  EXPECT_EQ(process->pool, 2u);
  EXPECT_EQ(process->spawner(), "/r/js/../ebb-spawn");
}

TEST(Runtime, SaysWhatCodeStartsFrom) {
  const auto one =
      Runtime::parse(R"({"name": "x", "command": ["/x"], "entry": "main.py"})", "/r/x");
  EXPECT_EQ(one->starts(), std::vector<std::string>{"main.py"});
  const auto some =
      Runtime::parse(R"({"name": "x", "command": ["/x"], "entries": ["a", "b"]})", "/r/x");
  EXPECT_EQ(some->starts(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(Runtime::parse(R"({"name": "x", "command": ["/x"]})", "/r/x")->starts().size(), 0U);
  EXPECT_THAT(error_of(R"({"name": "x", "command": ["/x"], "entries": ["a/b"]})"),
              testing::HasSubstr("\"a/b\" is not a file name"));
  EXPECT_THAT(error_of(R"({"name": "x", "command": ["/x"], "entry": "a", "entries": ["b"]})"),
              testing::HasSubstr("exclude each other"));
}

TEST(Runtime, AFolderIsListed) {
  namespace fs = std::filesystem;
  std::string pattern = testing::TempDir() + "ebb-runtimes-XXXXXX";
  const fs::path folder = ::mkdtemp(pattern.data());
  const auto add = [&folder](const std::string& name, const std::string& manifest) {
    fs::create_directories(folder / name);
    std::ofstream(folder / name / "manifest.json") << manifest;
  };
  add("py", R"({"name": "py", "command": ["/usr/bin/py"], "entry": "main.py"})");
  add("broken", "{");
  add("absent", R"({"name": "absent", "programs": ["/no/such/program"], "entries": ["x", "y"]})");
  fs::create_directories(folder / "no-manifest");
  const auto listed = list_runtimes(folder);
  ASSERT_EQ(listed.size(), 3U);
  EXPECT_EQ(listed[0].name, "absent");
  EXPECT_EQ(listed[0].starts, (std::vector<std::string>{"x", "y"}));
  EXPECT_THAT(listed[0].problem, testing::HasSubstr("needs one of /no/such/program"));
  EXPECT_EQ(listed[1].name, "broken");
  EXPECT_THAT(listed[1].problem, testing::HasSubstr("not a JSON object"));
  EXPECT_EQ(listed[2].name, "py");
  EXPECT_EQ(listed[2].problem, "");
  EXPECT_TRUE(list_runtimes(folder / "none").empty());
  fs::remove_all(folder);
}

TEST(Runtime, TheFirstProgramThatExistsIsRunAndShown) {
  Runtime runtime;
  runtime.name = "x";
  runtime.programs = {"/no/such/program", "/proc/self/exe"};
  runtime.command = {"pod.js"};
  const auto resolved = runtime.resolved();
  ASSERT_TRUE(resolved);
  ASSERT_EQ(resolved->command.size(), 2u);
  EXPECT_THAT(resolved->command.front(), testing::EndsWith("/node_test"));  // links are followed
  EXPECT_EQ(resolved->mounts, std::vector<std::string>{resolved->command.front()});
  runtime.mounts = {"?/"};
  runtime.programs.pop_back();
  EXPECT_EQ(runtime.resolved().error().code, Errc::kNotFound);
}

TEST(Runtime, WrongManifestsSayWhichField) {
  EXPECT_THAT(error_of("[]"), testing::HasSubstr("/r/x/manifest.json: not a JSON object"));
  EXPECT_THAT(error_of(R"({"name": "x", "commands": []})"), testing::HasSubstr("\"commands\""));
  EXPECT_THAT(error_of(R"({"name": 1})"), testing::HasSubstr("\"name\" must be a string"));
  EXPECT_THAT(error_of(R"({"name": "../x", "command": ["/a"]})"), testing::HasSubstr("\"name\""));
  EXPECT_THAT(error_of(R"({"name": "x", "kind": "vm", "command": ["/a"]})"),
              testing::HasSubstr("\"kind\""));
  EXPECT_THAT(error_of(R"({"name": "x", "command": ["a"]})"), testing::HasSubstr("\"command\""));
  EXPECT_THAT(error_of(R"({"name": "x", "command": ["/a", 1]})"),
              testing::HasSubstr("\"command\""));
  EXPECT_THAT(error_of(R"({"name": "x", "programs": ["a"]})"), testing::HasSubstr("\"programs\""));
  EXPECT_THAT(error_of(R"({"name": "x", "command": ["/a"], "pool": -1})"),
              testing::HasSubstr("\"pool\""));
  EXPECT_THAT(error_of(R"({"name": "x", "command": ["/a"], "entry": "a/b"})"),
              testing::HasSubstr("\"entry\""));
}

}  // namespace
}  // namespace ebb::node
