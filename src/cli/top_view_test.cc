#include "cli/top_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ebb::cli {
namespace {

using api::Json;
using testing::HasSubstr;
using testing::Not;

Json autoscaler(const std::string& name, int desired, int in_flight, double rps) {
  return {{"metadata", {{"name", name}, {"namespace", "default"}}},
          {"status",
           {{"desiredScale", desired},
            {"actualScale", 1},
            {"inFlight", in_flight},
            {"requestsPerSecond", rps},
            {"panic", in_flight > 100},
            {"reason", "load"}}}};
}

TopFacts facts() {
  TopFacts out;
  out.nodes = {Json::parse(R"({"metadata": {"name": "local", "labels": {"ebb.dev/state":
      "Occupied"}, "annotations": {"ebb.dev/cold-pods": "7", "ebb.dev/warm-pods": "2",
      "ebb.dev/draining-pods": "0"}}})")};
  out.autoscalers = {autoscaler("quiet-1", 1, 0, 0), autoscaler("busy-1", 3, 120, 50.5),
                     autoscaler("some-1", 2, 3, 1)};
  out.autoscalers.push_back(Json::parse(R"({"metadata": {"name": "zero-1"}, "status": {}})"));
  return out;
}

TEST(TopViewTest, TheBusiestComesFirstAndThoseAtZeroAreCounted) {
  EXPECT_EQ(top_text(facts(), {}),
            "NODE    STATE      COLD   WARM   DRAINING\n"
            "local   Occupied   7      2      0\n"
            "\n"
            "FUNCTION   READY   STARTING   DESIRED   IN FLIGHT   WAITING   CONCURRENCY   RPS    "
            "PANIC   REASON\n"
            "busy-1     1       0          3         120         0         0.0           50.5   "
            "yes     load\n"
            "some-1     1       0          2         3           0         0.0           1.0    "
            "no      load\n"
            "quiet-1    1       0          1         0           0         0.0           0.0    "
            "no      load\n"
            "and 1 at zero\n");
}

TEST(TopViewTest, FitsTheScreen) {
  const std::string text = top_text(facts(), {.height = 5, .width = 12, .bold = true});
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 5);
  EXPECT_THAT(text, HasSubstr("\x1b[1mFUNCTION   R\x1b[0m\n"));
  EXPECT_THAT(text, HasSubstr("\nbusy-1     1\n"));
  EXPECT_THAT(text, Not(HasSubstr("some-1")));
}

TEST(TopViewTest, PodsTellWhereNoAutoscalerDoes) {
  TopFacts pods;
  pods.pods = {Json::parse(R"({"metadata": {"namespace": "team", "labels": {"ebb.dev/state": "Warm",
      "serving.knative.dev/revision": "a-1"}}})"),
               Json::parse(R"({"metadata": {"labels": {"ebb.dev/state": "Cold"}}})"), Json(1)};
  const std::string text = top_text(pods, {.namespaces = true});
  EXPECT_THAT(text, HasSubstr("team        a-1        1"));
}

}  // namespace
}  // namespace ebb::cli
