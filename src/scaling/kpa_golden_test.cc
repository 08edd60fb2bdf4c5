// Replays series that Knative's own autoscaler has answered (golden/kpa in the folder
// that EBB_SHARED names), and checks that the replay itself finds what is wrong.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "scaling/kpa_replay.h"

namespace ebb::scaling {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

TEST(KpaGoldenTest, EveryAnswerIsKnatives) {
  const char* shared = std::getenv("EBB_SHARED");
  if (shared == nullptr) GTEST_SKIP() << "set EBB_SHARED to the folder that holds golden/kpa";
  const auto pairs = find_vectors(fs::path(shared) / "golden" / "kpa");
  ASSERT_TRUE(pairs) << pairs.error().message;
  EXPECT_GE(pairs->size(), 28);
  int answers = 0;
  for (const auto& pair : *pairs) {
    const VectorReport report = check_vector(pair);
    EXPECT_EQ(report.difference, "");
    answers += report.answers;
  }
  EXPECT_GE(answers, 2750);
  RecordProperty("answers", answers);
}

// Checks one pair written into a folder of its own.
class KpaReplayTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "ebb-replay-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string check(const std::string& in, const std::string& out) {
    std::ofstream(folder_ / "x.in.jsonl") << in;
    std::ofstream(folder_ / "x.out.jsonl") << out;
    const auto pairs = find_vectors(folder_);
    return pairs && pairs->size() == 1 ? check_vector(pairs->front()).difference : "no pair";
  }

  fs::path folder_;
};

constexpr const char* kInit =
    R"({"init":{"activation_scale":0,"aggregation":"","initial_desired":-1,"initial_ebc":-111,)"
    R"("initial_scale":1,"max":0,"max_down":2,"max_up":1000,"metric":"concurrency","min":0,)"
    R"("panic_threshold":2,"panic_window_s":6,"reachable":true,"scale_down_delay_s":0,)"
    R"("stable_window_s":60,"target":70,"tbc":211,"total":100}})"
    "\n";
constexpr const char* kConfig = "{\"config\":{\"start_ready\":1}}\n";

TEST_F(KpaReplayTest, FindsTheFirstDifferenceWithFileAndLine) {
  EXPECT_EQ(check("{\"sample_size\":10}\n\n{\"sample_size\":20}\n",
                  "{\"n\":7,\"sample_size_of\":10}\n{\"n\":9,\"sample_size_of\":20}\n"),
            "");
  EXPECT_EQ(check("{\"sample_size\":10}\n\n{\"sample_size\":20}\n",
                  "{\"n\":7,\"sample_size_of\":10}\n{\"n\":8,\"sample_size_of\":20}\n"),
            "x.in.jsonl:3 (x.out.jsonl:2): n: expected 8, got 9");
  EXPECT_EQ(check("{\"sample_size\":10}\n", "{\"n\":7}\n"),
            "x.in.jsonl:1 (x.out.jsonl:1): sample_size_of: expected nothing, got 10");
  EXPECT_EQ(check("{\"sample_size\":10}\n", "{\"n\":7,\"sample_size_of\":10,\"more\":1}\n"),
            "x.in.jsonl:1 (x.out.jsonl:1): more: expected 1, got nothing");
}

TEST_F(KpaReplayTest, CountsTheAnswers) {
  const std::string one = "{\"n\":7,\"sample_size_of\":10}\n";
  EXPECT_THAT(check("{\"sample_size\":10}\n{\"sample_size\":10}\n", one), HasSubstr("no answer"));
  EXPECT_THAT(check("{\"sample_size\":10}\n", one + one), HasSubstr("nobody asked"));
  EXPECT_THAT(check("", ""), HasSubstr("asks for nothing"));
  fs::remove(folder_ / "x.out.jsonl");
  const auto pairs = find_vectors(folder_);
  ASSERT_TRUE(pairs);
  EXPECT_THAT(check_vector(pairs->front()).difference, HasSubstr("x.out.jsonl: cannot be read"));
}

TEST_F(KpaReplayTest, SaysWhatIsMalformedAndWhere) {
  EXPECT_EQ(check("{\"sample", ""), "x.in.jsonl:1: not JSON");
  EXPECT_EQ(check("[1]\n", ""), "x.in.jsonl:1: not a JSON object");
  EXPECT_EQ(check("{\"t\":1,\"tick\":true}\n", ""),
            "x.in.jsonl:1: the first line must be a \"config\"");
  const auto after_config = [&](const std::string& line) { return check(kConfig + line, kInit); };
  EXPECT_THAT(after_config("{\"t\":\"x\",\"tick\":true}"), HasSubstr("\"t\" must be a number"));
  EXPECT_THAT(after_config("{\"t\":1e300,\"tick\":true}"), HasSubstr("out of range"));
  EXPECT_THAT(after_config("{\"t\":1,\"ready\":1.5}"), HasSubstr("whole number"));
  EXPECT_THAT(after_config("{\"t\":1,\"stat\":3}"), HasSubstr("must be an object"));
  EXPECT_THAT(after_config("{\"t\":1}"), HasSubstr("nothing known"));
  EXPECT_THAT(after_config("{\"s2z\":{\"active\":\"Maybe\"}}"), HasSubstr("True, False or"));
  EXPECT_THAT(check("{\"config\":{\"annotations\":{\"x\":1}}}", ""), HasSubstr("must be a string"));
  EXPECT_THAT(check(R"({"buckets":{"window_s":5,"records":[[1]],"queries":[]}})", ""),
              HasSubstr("[time, value]"));
  EXPECT_THAT(check(R"({"buckets":{"window_s":1e9,"granularity_s":0,"records":[]}})", ""),
              HasSubstr("no window"));
}

TEST_F(KpaReplayTest, AWholeSecondMayStandForATimeThatAClockMeasured) {
  const std::string in = fmt::format(
      "{}{}", kConfig, R"({"s2z":{"desired":0,"active":"True","for_s":10.3,"sks_mode":"Serve"}})");
  const auto out = [](const char* requeue) {
    return fmt::format(
        "{}{{\"apply\":true,\"async_probe\":false,\"probed\":false,\"requeue_s\":[{}],"
        "\"s2z_desired\":1}}",
        kInit, requeue);
  };
  EXPECT_EQ(check(in, out("50")), "");
  EXPECT_EQ(check(in, out("49.7")), "");
  EXPECT_THAT(check(in, out("49")), HasSubstr("requeue_s[0]: expected 49"));
}

TEST_F(KpaReplayTest, WhatKnativeRefusedWeRefuseToo) {
  const std::string in = R"({"config":{"config_autoscaler":{"stable-window":"2s"}}})";
  EXPECT_EQ(check(in, R"({"err":"stable-window = 2s, must be in [6s; 1h0m0s] range"})"), "");
  EXPECT_THAT(check(kConfig, R"({"err":"any"})"), HasSubstr("err: expected"));
}

TEST_F(KpaReplayTest, AMetricMayChangeMidWayWithItsHistory) {
  const std::string in =
      R"({"config":{"annotations":{"autoscaling.knative.dev/target-burst-capacity":"0"}}})"
      "\n"
      R"({"t":1,"ready":1,"stat":{"c":35,"r":350}})"
      "\n"
      R"({"config":{"annotations":{"autoscaling.knative.dev/metric":"rps",)"
      R"("autoscaling.knative.dev/target-burst-capacity":"0"}},"t":2})"
      "\n"
      R"({"t":2,"tick":true})"
      "\n";
  const std::string init =
      R"({"init":{"activation_scale":0,"aggregation":"","initial_desired":-1,"initial_ebc":0,)"
      R"("initial_scale":1,"max":0,"max_down":2,"max_up":1000,"metric":"METRIC","min":0,)"
      R"("panic_threshold":2,"panic_window_s":6,"reachable":true,"scale_down_delay_s":0,)"
      R"("stable_window_s":60,"target":TARGET,"tbc":0,"total":TOTAL}})"
      "\n";
  const auto with = [&init](const char* metric, const char* target, const char* total) {
    std::string text = init;
    for (const auto& [key, value] :
         {std::pair{"METRIC", metric}, std::pair{"TARGET", target}, std::pair{"TOTAL", total}}) {
      text.replace(text.find(key), std::string(key).size(), value);
    }
    return text;
  };
  const std::string tick =
      R"({"bounded":3,"desired":3,"ebc":0,"max_panic_pods":3,"num_activators":2,"panic":350,)"
      R"("panicking":true,"ready":1,"stable":350,"status_desired":3,"status_ebc":0,"t":2,)"
      R"("valid":true})";
  EXPECT_EQ(check(in, with("concurrency", "70", "100") + with("rps", "140", "200") + tick), "");
}

}  // namespace
}  // namespace ebb::scaling
