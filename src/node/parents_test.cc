#include "node/parents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ebb::node {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using State = Parents::State;

bool childless(const std::string& /*pod*/) { return false; }

class ParentsTest : public testing::Test {
 protected:
  void add(const std::string& pod, const std::string& revision) {
    Assign order;
    order.revision = revision;
    order.pod = "the one that was seen to load slowly";
    parents_.add(pod, order, now_);
  }
  void serve(const std::string& pod, const std::string& revision) {
    add(pod, revision);
    EXPECT_THAT(parents_.loaded(pod), IsEmpty());
  }

  TimePoint now_{std::chrono::hours(1)};
  Parents parents_;
};

TEST_F(ParentsTest, IsAskedOnceItHasLoadedUntilItIsRetired) {
  add("p", "r");
  EXPECT_EQ(parents_.find("p")->order.pod, "p") << "it is told to load as itself";
  EXPECT_EQ(parents_.serving("r"), std::nullopt);
  EXPECT_TRUE(parents_.any_of("r")) << "no second is started meanwhile";
  EXPECT_THAT(parents_.loaded("p"), IsEmpty());
  EXPECT_EQ(parents_.serving("r"), "p");
  EXPECT_EQ(parents_.serving("other"), std::nullopt);
  EXPECT_EQ(parents_.retire("p"), State::kServing);
  EXPECT_EQ(parents_.retire("p"), std::nullopt) << "once";
  EXPECT_EQ(parents_.serving("r"), std::nullopt);
  EXPECT_FALSE(parents_.any_of("r"));
  EXPECT_TRUE(parents_.contains("p")) << "until its last fork has ended";
  EXPECT_THAT(parents_.loaded("p"), IsEmpty()) << "what is retired serves no more";
  EXPECT_EQ(parents_.serving("r"), std::nullopt);
  parents_.erase("p");
  EXPECT_TRUE(parents_.empty());
}

TEST_F(ParentsTest, WithoutForksItGoes) {
  serve("p", "r");
  now_ += Parents::kIdle - seconds(1);
  EXPECT_THAT(parents_.look(now_, childless).retire, IsEmpty());
  parents_.used("p", now_);
  now_ += Parents::kIdle - seconds(1);
  EXPECT_THAT(parents_.look(now_, childless).retire, IsEmpty());
  now_ += seconds(1);
  EXPECT_THAT(parents_.look(now_, childless).retire, ElementsAre("p"));
}

TEST_F(ParentsTest, WhileAForkLivesItIsInUse) {
  serve("p", "r");
  now_ += Parents::kIdle;
  EXPECT_THAT(parents_.look(now_, [](const std::string& pod) { return pod == "p"; }).retire,
              IsEmpty());
  now_ += Parents::kIdle - seconds(1);
  EXPECT_THAT(parents_.look(now_, childless).retire, IsEmpty());
}

TEST_F(ParentsTest, AnOldOneHasOneSuccessorThatRetiresItOnceItHasLoaded) {
  serve("old", "r");
  const auto all_have = [](const std::string& /*pod*/) { return true; };
  now_ += Parents::kLife - seconds(1);
  EXPECT_THAT(parents_.look(now_, all_have).succeed, IsEmpty());
  now_ += seconds(1);
  EXPECT_THAT(parents_.look(now_, all_have).succeed, ElementsAre("old"));
  add("new", "r");
  EXPECT_THAT(parents_.look(now_, all_have).succeed, IsEmpty()) << "while one loads";
  EXPECT_EQ(parents_.serving("r"), "old");
  EXPECT_THAT(parents_.loaded("new"), ElementsAre("old"));
  parents_.retire("old");
  EXPECT_EQ(parents_.serving("r"), "new");
  const auto due = parents_.look(now_, all_have);
  EXPECT_THAT(due.succeed, IsEmpty());
  EXPECT_THAT(due.retire, IsEmpty());
}

TEST_F(ParentsTest, ASuccessorThatDiesIsTriedAgainAndInTheEndTheOldOneGoes) {
  serve("old", "r");
  const auto all_have = [](const std::string& /*pod*/) { return true; };
  now_ += Parents::kLife;
  add("new", "r");
  parents_.erase("new");
  now_ += Parents::kLook;
  EXPECT_THAT(parents_.look(now_, all_have).succeed, ElementsAre("old"));
  now_ += Parents::kLife - Parents::kLook;
  const auto due = parents_.look(now_, all_have);
  EXPECT_THAT(due.retire, ElementsAre("old")) << "no new pod has code that is older";
  EXPECT_THAT(due.succeed, IsEmpty());
}

TEST_F(ParentsTest, OfTooManyTheOneUsedLongestAgoMakesRoom) {
  for (size_t i = 0; i < Parents::kMost; ++i) {
    EXPECT_TRUE(parents_.room("new", now_).is_there);
    EXPECT_EQ(parents_.room("new", now_).retires, std::nullopt);
    serve("p" + std::to_string(i), "r" + std::to_string(i));
    now_ += seconds(1);
  }
  EXPECT_FALSE(parents_.room("new", now_).is_there) << "all are in use";
  parents_.used("p0", now_);
  now_ += Parents::kLook;
  const auto room = parents_.room("new", now_);
  EXPECT_TRUE(room.is_there);
  EXPECT_EQ(room.retires, "p1");
  parents_.retire("p1");
  EXPECT_EQ(parents_.room("new", now_).retires, std::nullopt) << "a retired one takes no place";
  EXPECT_TRUE(parents_.room("new", now_).is_there);
}

TEST_F(ParentsTest, WhereAllPlacesAreTakenOneIsSucceededAtATime) {
  for (size_t i = 0; i < Parents::kMost; ++i) {
    serve("p" + std::to_string(i), "r" + std::to_string(i));
  }
  EXPECT_TRUE(parents_.room("r0", now_).is_there);
  EXPECT_EQ(parents_.room("r0", now_).retires, std::nullopt) << "not before it serves";
  add("next", "r0");
  EXPECT_FALSE(parents_.room("r1", now_).is_there);
  for (const auto& earlier : parents_.loaded("next")) parents_.retire(earlier);
  EXPECT_TRUE(parents_.room("r1", now_).is_there);
}

TEST_F(ParentsTest, AllOfARevisionAreForgotten) {
  serve("a", "r");
  add("b", "r");
  serve("c", "other");
  EXPECT_THAT(parents_.of("r"), ElementsAre("a", "b"));
}

TEST_F(ParentsTest, OthersAreNone) {
  EXPECT_EQ(parents_.find("p"), nullptr);
  EXPECT_EQ(parents_.retire("p"), std::nullopt);
  EXPECT_THAT(parents_.loaded("p"), IsEmpty());
  parents_.used("p", now_);
  EXPECT_TRUE(parents_.empty());
}

}  // namespace
}  // namespace ebb::node
