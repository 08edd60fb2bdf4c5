// The scripts in the shells themselves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/options.h"
#include "cli/tool.h"

namespace ebb::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsSupersetOf;

class CompletionTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "ebb-completion-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    const auto script = parse({"completion", "bash"});
    ASSERT_FALSE(script);
    ASSERT_EQ(script.error().code, kExitOk);
    std::ofstream(folder_ + "/completion.bash") << script.error().out;
    // Stands for the program where names are asked for.
    std::ofstream(folder_ + "/ebb") << R"(#!/bin/sh
case "$*" in
  "runtimes") printf 'NAME     STARTS FROM\npython   main.py\nnode     main.mjs\n' ;;
  "get services -A") printf 'NAMESPACE   NAME\nteam        a\ndefault     b\nteam        c\n' ;;
  "get revisions -l serving.knative.dev/service=hello -o name") echo "x.y/hello-00001" ;;
  "get "*" -o name -n team") echo "x.y/$2-of-team" ;;
  "get "*" -o name --namespace=team") echo "x.y/$2-of-team" ;;
  "get "*" -o name") echo "x.y/$2-a"; echo "x.y/$2-b" ;;
esac
)";
    std::filesystem::permissions(folder_ + "/ebb", std::filesystem::perms::owner_all);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // What bash offers for the last of the words.
  std::vector<std::string> offers(const std::vector<std::string>& words) {
    std::string line = "PATH=" + folder_ + ":$PATH; source completion.bash; COMP_WORDS=(";
    for (const auto& word : words) line += " '" + word + "'";
    line += "); COMP_CWORD=" + std::to_string(words.size() - 1) +
            "; _ebb 2>/dev/null; printf '%s\\n' \"${COMPREPLY[@]}\"";
    const auto run = run_tool(
        {"bash", "--norc", "-c", line}, folder_, [](std::string_view) {},
        std::chrono::steady_clock::now() + std::chrono::seconds(20));
    EXPECT_TRUE(run) << run.error().message;
    std::vector<std::string> out;
    std::istringstream lines(run ? run->output : "");
    for (std::string word; std::getline(lines, word);) {
      if (!word.empty()) out.push_back(word);
    }
    return out;
  }

  std::string folder_;
};

TEST_F(CompletionTest, CommandsFlagsAndValues) {
  EXPECT_THAT(offers({"ebb", "de"}), ElementsAre("deploy", "describe", "delete"));
  EXPECT_THAT(offers({"ebb", "deploy", "--n"}),
              IsSupersetOf({"--network", "--no-wait", "--npm-option"}));
  EXPECT_THAT(offers({"ebb", "deploy", "x", "--network", ""}), ElementsAre("none", "egress"));
  EXPECT_THAT(offers({"ebb", "get", "-o", "y"}), ElementsAre("yaml"));
  EXPECT_THAT(offers({"ebb", "get", "ser"}), ElementsAre("services"));
  EXPECT_THAT(offers({"ebb", "completion", ""}), ElementsAre("bash", "zsh"));
  EXPECT_THAT(offers({"ebb", "-n", "team", "rol"}), ElementsAre("rollback"));
  EXPECT_THAT(offers({"ebb", "deploy", "--env", ""}), IsEmpty());
}

TEST_F(CompletionTest, NamesAreAskedFor) {
  EXPECT_THAT(offers({"ebb", "get", "routes", ""}), ElementsAre("routes-a", "routes-b"));
  EXPECT_THAT(offers({"ebb", "delete", "pods", "pods-a", ""}), ElementsAre("pods-a", "pods-b"));
  EXPECT_THAT(offers({"ebb", "logs", "-f", ""}), ElementsAre("services-a", "services-b"));
  EXPECT_THAT(offers({"ebb", "rollback", "hello", "--to", ""}), ElementsAre("hello-00001"));
  EXPECT_THAT(offers({"ebb", "traffic", "hello", "--revision", ""}),
              ElementsAre("hello-00001", "@latest"));
  EXPECT_THAT(offers({"ebb", "rollback", "--to", ""}), ElementsAre("revisions-a", "revisions-b"));
}

TEST_F(CompletionTest, RuntimesAndNamespacesToo) {
  EXPECT_THAT(offers({"ebb", "deploy", "x", "--runtime", ""}), ElementsAre("python", "node"));
  EXPECT_THAT(offers({"ebb", "deploy", "x", "--runtime", "=", "p"}), ElementsAre("python"));
  EXPECT_THAT(offers({"ebb", "-n", "t"}), ElementsAre("team"));
}

TEST_F(CompletionTest, NamesAreThoseOfTheNamespaceThatIsTyped) {
  EXPECT_THAT(offers({"ebb", "-n", "team", "logs", ""}), ElementsAre("services-of-team"));
  EXPECT_THAT(offers({"ebb", "describe", "routes", "--namespace=team", ""}),
              ElementsAre("routes-of-team"));
}

TEST_F(CompletionTest, FilesAreOfferedWhereFilesAreMeant) {
  EXPECT_THAT(offers({"ebb", "apply", "-f", "comp"}), ElementsAre("completion.bash"));
  EXPECT_THAT(offers({"ebb", "backup", "comp"}), ElementsAre("completion.bash"));
}

TEST(CompletionScriptTest, ZshAndOthers) {
  EXPECT_THAT(parse({"completion", "zsh"}).error().out, HasSubstr("compdef _ebb ebb"));
  EXPECT_EQ(parse({"completion", "fish"}).error().code, kExitUsage);
}

}  // namespace
}  // namespace ebb::cli
