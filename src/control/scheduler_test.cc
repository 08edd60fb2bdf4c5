#include "control/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace ebb::control {
namespace {

using scheduling::NodeState;
using scheduling::PodState;
using scheduling::PoolSize;
using testing::ElementsAre;
using testing::IsEmpty;

// What the request path of one revision is told.
struct FakeListener final : scheduling::PodListener {
  void pod_added(const scheduling::PodEndpoint& endpoint) override { pods.push_back(endpoint.pod); }
  void pod_ready(const std::string& pod, Duration /*load*/) override { ready.push_back(pod); }
  void pod_gone(const std::string& pod, const scheduling::PodExit& exit) override {
    std::erase(pods, pod);
    exits.push_back(exit.reason);
    whys.push_back(exit.message);
  }
  void pods_unavailable(const std::string& message) override { complaints.push_back(message); }
  Drain begin_drain(int count) override {
    Drain drain;
    for (; count > 0 && !pods.empty(); --count) {
      drain.chosen.push_back(pods.back());
      if (!busy) drain.idle.push_back(pods.back());
      pods.pop_back();
    }
    return drain;
  }
  bool pod_busy(const std::string& pod, int requests) override {
    told_busy.emplace_back(pod, requests);
    return drained;
  }
  [[nodiscard]] std::optional<TimePoint> oldest_waiting() const override { return oldest; }
  std::optional<TimePoint> oldest;
  std::vector<std::string> pods, ready, exits, whys, complaints;
  bool busy = false;
  std::vector<std::pair<std::string, int>> told_busy;
  bool drained = false;  // what pod_busy() says
};

class SchedulerTest : public testing::Test {
 protected:
  SchedulerTest() {
    add_node();
    tell(node::Welcome{
        .node = "local", .slots = 100, .pods = {}, .node_address = {}, .network_problem = {}});
    auto what = std::make_shared<scheduling::PodTemplate>();
    what->revision = "uid";
    what->runtime = "python";
    scheduler_.subscribe(what, listener_);
  }
  // Another revision of the runtime python.
  std::shared_ptr<FakeListener> add(const std::string& revision) {
    auto listener = std::make_shared<FakeListener>();
    auto what = std::make_shared<scheduling::PodTemplate>();
    what->revision = revision;
    what->runtime = "python";
    scheduler_.subscribe(what, listener);
    return listener;
  }
  void add_node() {
    scheduler_.add_node("local", [this](const node::ToController& message) -> Result<void> {
      if (!reachable_) return fail(Errc::kUnavailable, "gone");
      sent_.push_back(message);
      return {};
    });
  }
  void tell(const node::FromController& message) { scheduler_.on_message("local", message); }
  void cold(const std::string& pod) { tell(node::PodCold{pod, "python"}); }
  template <class M>
  std::vector<M> sent() {
    std::vector<M> out;
    for (const auto& message : sent_) {
      if (const auto* m = std::get_if<M>(&message)) out.push_back(*m);
    }
    return out;
  }
  static PoolSize pool_of(const std::string& runtime) {
    if (runtime == "learning") return {.least = 2, .most = 8};
    return runtime == "node" ? PoolSize{7, 7} : PoolSize{4, 4};
  }
  NodeState node_state() { return scheduler_.nodes().at(0).state; }

  FakeClock clock_;
  EventRecorder events_{clock_};
  Scheduler scheduler_{{.pods_folder = "/run/pods", .pool_of = pool_of, .events = &events_},
                       clock_};
  std::shared_ptr<FakeListener> listener_ = std::make_shared<FakeListener>();
  std::vector<node::ToController> sent_;
  bool reachable_ = true;
};

TEST_F(SchedulerTest, ThePoolStartsWithTheFirstRevisionOfItsRuntime) {
  ASSERT_EQ(sent<node::SetPool>().size(), 1u);
  EXPECT_EQ(sent<node::SetPool>()[0].cold, 4u);
}

TEST_F(SchedulerTest, AColdPodIsGivenAtOnceAndTheNodeIsOccupied) {
  cold("a");
  EXPECT_EQ(node_state(), NodeState::kIdle);
  scheduler_.scale("uid", 1);
  EXPECT_THAT(listener_->pods, ElementsAre("a"));
  ASSERT_EQ(sent<node::Assign>().size(), 1u);
  EXPECT_EQ(sent<node::Assign>()[0].pod, "a");
  EXPECT_EQ(node_state(), NodeState::kOccupied);
  EXPECT_EQ(scheduler_.pods().at(0).view.state, PodState::kWarm);
  scheduler_.scale("uid", 1);
  EXPECT_EQ(sent<node::Assign>().size(), 1u);
}

TEST_F(SchedulerTest, WithoutColdPodsThePoolGrowsAndTheNextOneIsGiven) {
  scheduler_.scale("uid", 2);
  EXPECT_THAT(listener_->pods, IsEmpty());
  EXPECT_EQ(sent<node::SetPool>().back().cold, 6u);
  cold("a");
  cold("b");
  cold("c");
  EXPECT_THAT(listener_->pods, ElementsAre("a", "b"));
  EXPECT_EQ(sent<node::SetPool>().back().cold, 4u);
}

TEST_F(SchedulerTest, APoolGrowsToTheBurstsThatItSees) {
  auto what = std::make_shared<scheduling::PodTemplate>();
  what->revision = "burst";
  what->runtime = "learning";
  scheduler_.subscribe(what, listener_);
  EXPECT_EQ(sent<node::SetPool>().back().cold, 2u);
  for (const char* pod : {"a", "b"}) tell(node::PodCold{pod, "learning"});
  scheduler_.scale("burst", 6);
  EXPECT_EQ(sent<node::SetPool>().back().cold, 6u);  // 2, and the 4 that are missing
  clock_.advance(std::chrono::milliseconds(50));
  for (const char* pod : {"c", "d", "e", "f"}) tell(node::PodCold{pod, "learning"});
  EXPECT_EQ(listener_->pods.size(), 6u);
  EXPECT_EQ(sent<node::SetPool>().back().cold, 6u);  // as many at once may come again
}

TEST_F(SchedulerTest, AnIdlePodIsStoppedAndTheNodeIdleOnceItHasEnded) {
  cold("a");
  scheduler_.scale("uid", 1);
  scheduler_.scale("uid", 0);
  ASSERT_EQ(sent<node::Stop>().size(), 1u);
  EXPECT_EQ(scheduler_.pods().at(0).view.state, PodState::kDraining);
  EXPECT_EQ(node_state(), NodeState::kOccupied);
  tell(node::PodGone{"a", "Stopped", ""});
  EXPECT_EQ(node_state(), NodeState::kIdle);
}

TEST_F(SchedulerTest, ABusyPodIsStoppedWhenItHasDrained) {
  cold("a");
  scheduler_.scale("uid", 1);
  listener_->busy = true;
  scheduler_.scale("uid", 0);
  EXPECT_THAT(sent<node::Stop>(), IsEmpty());
  scheduler_.pod_drained("a");
  EXPECT_EQ(sent<node::Stop>().size(), 1u);
}

TEST_F(SchedulerTest, TellsTheNodeWhichPodsStandStill) {
  cold("a");
  scheduler_.scale("uid", 1);
  scheduler_.set_frozen("a", true, 1);
  scheduler_.set_frozen("a", false, 2);
  scheduler_.set_frozen("unknown", true, 1);
  EXPECT_THAT(sent<node::Freeze>(), ElementsAre(node::Freeze{"a", 1, 1}, node::Freeze{"a", 0, 2}));
}

TEST_F(SchedulerTest, AHungPodIsReplacedAtOnceAndEndsWhenItHasDrained) {
  cold("a");
  cold("b");
  scheduler_.scale("uid", 1);
  tell(node::PodReady{"a", 100});
  scheduler_.pod_hung("a");
  scheduler_.pod_hung("a");  // nothing more happens
  EXPECT_THAT(listener_->pods, ElementsAre("a", "b")) << "the listener has put it out of use";
  EXPECT_THAT(sent<node::Stop>(), IsEmpty());
  scheduler_.pod_drained("a");
  ASSERT_EQ(sent<node::Stop>().size(), 1u);
  EXPECT_EQ(sent<node::Stop>()[0].pod, "a");
  tell(node::PodGone{"a", "Stopped", ""});
  EXPECT_THAT(listener_->pods, ElementsAre("b"));
  int told = 0;
  for (const auto& one : events_.list()) told += one.event.reason == "PodHung" ? 1 : 0;
  EXPECT_EQ(told, 1);
}

TEST_F(SchedulerTest, ANodeWithoutANetworkForItsPodsIsTold) {
  EXPECT_EQ(scheduler_.network_problem("local"), "");
  scheduler_.remove_node("local");
  add_node();
  tell(node::Welcome{.node = "local",
                     .slots = 100,
                     .pods = {},
                     .node_address = {},
                     .network_problem = "no bridge"});
  EXPECT_EQ(scheduler_.network_problem("local"), "no bridge");
  const auto events = events_.list();
  const auto told = std::find_if(events.begin(), events.end(), [](const auto& one) {
    return one.event.reason == "NetworkUnavailable";
  });
  ASSERT_NE(told, events.end());
  EXPECT_EQ(told->event.involved.kind, "Node");
  EXPECT_EQ(told->event.message, "pods reach only themselves: no bridge");
}

TEST_F(SchedulerTest, APodThatServedIsReplacedOneThatNeverStartedIsNot) {
  cold("a");
  cold("b");
  cold("c");
  scheduler_.scale("uid", 1);
  tell(node::PodReady{"a", 100});
  EXPECT_THAT(listener_->ready, ElementsAre("a"));
  tell(node::PodGone{"a", "Exited", "exited with code 1"});
  EXPECT_THAT(listener_->pods, ElementsAre("b"));
  tell(node::PodGone{"b", "LoadFailed", "SyntaxError"});
  EXPECT_THAT(listener_->pods, IsEmpty());
  scheduler_.scale("uid", 1);  // somebody asks again
  EXPECT_THAT(listener_->pods, ElementsAre("c"));
}

TEST_F(SchedulerTest, APodThatSomebodyKillsIsReplacedAFewTimes) {
  for (const char* pod : {"a", "b", "c", "d", "e", "f"}) cold(pod);
  const auto kill = [&](const char* pod) {
    tell(node::PodGone{pod, "KilledFromOutside", "killed"});
  };
  scheduler_.scale("uid", 1);
  kill("a");
  kill("b");
  EXPECT_THAT(listener_->pods, ElementsAre("c"));
  EXPECT_THAT(listener_->exits, ElementsAre("KilledFromOutside", "KilledFromOutside"));
  tell(node::PodReady{"c", 100});  // and it is not the code
  tell(node::PodGone{"c", "Exited", "exited with code 1"});
  kill("d");
  kill("e");
  EXPECT_THAT(listener_->pods, ElementsAre("f"));
  kill("f");
  EXPECT_EQ(listener_->exits.back(), "Killed") << "a failed start, with its back-off";
  EXPECT_THAT(listener_->pods, IsEmpty());
}

TEST_F(SchedulerTest, AnOrderThatNobodyReadsIsNoFaultOfTheFunction) {
  cold("a");
  reachable_ = false;
  scheduler_.scale("uid", 1);
  EXPECT_THAT(listener_->exits, ElementsAre("NodeLost"));
  EXPECT_THAT(listener_->pods, IsEmpty());
}

TEST_F(SchedulerTest, WhoWantsPodsWhenItsNodeGoesGetsThemWhenItComesBack) {
  cold("a");
  scheduler_.scale("uid", 2);
  EXPECT_THAT(listener_->pods, ElementsAre("a"));
  reachable_ = false;
  scheduler_.remove_node("local");
  EXPECT_THAT(listener_->exits, ElementsAre("NodeLost"));
  scheduler_.scale("uid", 2);  // the AutoScaler goes on deciding
  sent_.clear();
  reachable_ = true;
  add_node();
  tell(node::Welcome{
      .node = "local", .slots = 100, .pods = {}, .node_address = {}, .network_problem = {}});
  ASSERT_EQ(sent<node::SetPool>().size(), 1u);
  EXPECT_EQ(sent<node::SetPool>()[0].cold, 6u);
  cold("b");
  cold("c");
  EXPECT_THAT(listener_->pods, ElementsAre("b", "c"));
}

TEST_F(SchedulerTest, AColdPodThatEndedBeforeItsOrderCameIsReplacedWithoutBlame) {
  cold("a");
  scheduler_.scale("uid", 1);
  cold("b");
  tell(node::PodGone{"a", "NotFound", "the pod no longer exists"});
  EXPECT_THAT(listener_->pods, ElementsAre("b"));
}

TEST_F(SchedulerTest, APoolFillsAsSoonAsARevisionIsAnnounced) {
  scheduler_.announce("other", "node");
  EXPECT_EQ(sent<node::SetPool>().back().runtime, "node");
  EXPECT_EQ(sent<node::SetPool>().back().cold, 7u);  // its own size
  const size_t told = sent<node::SetPool>().size();
  auto what = std::make_shared<scheduling::PodTemplate>();
  what->revision = "other";
  what->runtime = "node";
  scheduler_.subscribe(what, listener_);
  EXPECT_EQ(sent<node::SetPool>().size(), told);
  scheduler_.unsubscribe("other");
  EXPECT_EQ(sent<node::SetPool>().back().cold, 0u);
  scheduler_.announce("third", "node");
  EXPECT_EQ(sent<node::SetPool>().back().cold, 7u);
  scheduler_.unsubscribe("third");  // it never came
  EXPECT_EQ(sent<node::SetPool>().back().cold, 0u);
}

TEST_F(SchedulerTest, PodsOfDeletedRevisionsAndPoolsOfNobodyEndWhenAllIsClaimed) {
  Scheduler second({.pods_folder = "/run/pods", .pool_of = pool_of}, clock_);
  second.add_node("local", [this](const node::ToController& message) -> Result<void> {
    sent_.push_back(message);
    return {};
  });
  second.on_message(
      "local", node::Welcome{.node = "local",
                             .slots = 10,
                             .pods = {{"a", "python", "deleted", 3, 0}, {"b", "node", "", 1, 0}},
                             .node_address = {},
                             .network_problem = {}});
  EXPECT_FALSE(second.code_in_use().complete);
  sent_.clear();
  second.end_unclaimed();
  ASSERT_EQ(sent<node::Stop>().size(), 1u);
  EXPECT_EQ(sent<node::Stop>()[0].pod, "a");
  ASSERT_EQ(sent<node::SetPool>().size(), 1u);
  EXPECT_EQ(sent<node::SetPool>()[0].runtime, "node");
  EXPECT_EQ(sent<node::SetPool>()[0].cold, 0u);
}

TEST_F(SchedulerTest, TheLongestWaitingRevisionGetsTheNextPod) {
  auto later = add("a-later-one");
  scheduler_.scale("uid", 1);
  scheduler_.scale("a-later-one", 1);
  cold("a");
  EXPECT_THAT(listener_->pods, ElementsAre("a"));
  EXPECT_THAT(later->pods, IsEmpty());
  cold("b");
  EXPECT_THAT(later->pods, ElementsAre("b"));
}

TEST_F(SchedulerTest, ManyThatAreWantedAheadOfNeedDoNotHoldUpAFirst) {
  auto other = add("other");
  scheduler_.scale("uid", 100);
  cold("a");
  scheduler_.scale("other", 1);
  cold("b");
  cold("c");
  cold("d");
  EXPECT_THAT(listener_->pods, ElementsAre("a", "b", "d"));
  EXPECT_THAT(other->pods, ElementsAre("c"));
}

TEST_F(SchedulerTest, PodsThatAreShortGoOneAtATimeToWhoeverHasTheOldestRequest) {
  auto other = add("other");
  listener_->oldest = clock_.now() + std::chrono::seconds(1);
  other->oldest = clock_.now() + std::chrono::seconds(2);
  scheduler_.scale("uid", 3);
  scheduler_.scale("other", 2);
  listener_->oldest = clock_.now() + std::chrono::seconds(3);  // that one is being served
  cold("a");
  EXPECT_THAT(other->pods, ElementsAre("a"));
  other->oldest.reset();  // its second pod is wanted ahead of need
  cold("b");
  cold("c");
  EXPECT_THAT(listener_->pods, ElementsAre("b", "c"));
  listener_->oldest.reset();
  cold("d");  // now those who asked first
  EXPECT_THAT(listener_->pods, ElementsAre("b", "c", "d"));
  cold("e");
  EXPECT_THAT(other->pods, ElementsAre("a", "e"));
}

TEST_F(SchedulerTest, CallersSeeTheOutputOfAFailedStartNotThatOfAPodThatServed) {
  cold("a");
  scheduler_.scale("uid", 1);
  tell(node::PodGone{"a", "Exited", "exited with code 3", "no module x"});
  cold("b");
  scheduler_.scale("uid", 1);
  tell(node::PodReady{"b", 1});
  tell(node::PodGone{"b", "Exited", "exited with code 4", "secret of another request"});
  EXPECT_THAT(listener_->whys, ElementsAre("exited with code 3\nits last output:\nno module x",
                                           "exited with code 4"));
  const auto events = events_.list();
  EXPECT_TRUE(std::any_of(events.begin(), events.end(), [](const auto& one) {
    return one.event.message.find("secret of another request") != std::string::npos;
  })) << "its owner sees it";
}

TEST_F(SchedulerTest, EventsTellOfFailuresAndOfTheNode) {
  cold("a");
  scheduler_.scale("uid", 1);
  tell(node::PodGone{"a", "LoadFailed", "SyntaxError in main.py"});
  cold("b");
  scheduler_.scale("uid", 1);
  tell(node::PodReady{"b", 1});
  tell(node::PodGone{"b", "OOMKilled", "it used more than 128 MiB"});
  tell(node::PoolFailed{"python", "no python3"});
  scheduler_.remove_node("local");
  std::vector<std::string> told;
  for (const auto& one : events_.list()) {
    told.push_back(one.event.involved.kind + " " + one.event.reason);
  }
  EXPECT_THAT(told, testing::IsSupersetOf({"Node NodeReady", "Node NodeOccupied", "Node NodeIdle",
                                           "Revision StartFailed", "Revision OOMKilled",
                                           "Node PoolFailed", "Node NodeLost"}));
}

TEST_F(SchedulerTest, APoolThatCannotBeFilledIsToldToWhoWaits) {
  scheduler_.scale("uid", 1);
  tell(node::PoolFailed{"python", "no python3"});
  EXPECT_THAT(listener_->complaints, ElementsAre("no python3"));
}

TEST_F(SchedulerTest, PodsOfAnEarlierFrontAreTakenOver) {
  Scheduler second({.pods_folder = "/run/pods", .pool_of = pool_of}, clock_);
  second.add_node("local", [](const node::ToController& /*m*/) -> Result<void> { return {}; });
  second.on_message("local", node::Welcome{.node = "local",
                                           .slots = 10,
                                           .pods = {{"a", "python", "uid", 3 /* ready */, 0},
                                                    {"b", "python", "", 1, 0}},
                                           .node_address = {},
                                           .network_problem = {}});
  auto what = std::make_shared<scheduling::PodTemplate>();
  what->revision = "uid";
  what->runtime = "python";
  second.subscribe(what, listener_);
  EXPECT_THAT(listener_->pods, ElementsAre("a"));
  EXPECT_EQ(second.nodes().at(0).cold, 1);
  EXPECT_EQ(second.nodes().at(0).state, NodeState::kOccupied);
}

TEST_F(SchedulerTest, ALostNodeTakesItsPodsWithIt) {
  cold("a");
  scheduler_.scale("uid", 1);
  scheduler_.remove_node("local");
  EXPECT_THAT(listener_->exits, ElementsAre("NodeLost"));
  EXPECT_THAT(scheduler_.pods(), IsEmpty());
  EXPECT_THAT(scheduler_.nodes(), IsEmpty());
}

TEST_F(SchedulerTest, ADeletedRevisionsPodsEnd) {
  cold("a");
  scheduler_.scale("uid", 1);
  scheduler_.unsubscribe("uid");
  EXPECT_EQ(sent<node::Stop>().size(), 1u);
  EXPECT_EQ(sent<node::SetPool>().back().cold, 0u);  // the last of its runtime
}

// --- A front before that answers what it had in flight ---

node::PodReport ready_pod(const std::string& pod, const std::string& revision) {
  node::PodReport report;
  report.pod = pod;
  report.runtime = "python";
  report.revision = revision;
  report.state = static_cast<uint8_t>(node::PodState::kReady);
  return report;
}

class SchedulerAfterAnotherTest : public SchedulerTest {
 protected:
  // The node is found with these pods.
  void find(std::vector<node::PodReport> pods) {
    scheduler_.remove_node("local");
    add_node();
    node::Welcome welcome;
    welcome.node = "local";
    welcome.slots = 100;
    welcome.pods = std::move(pods);
    tell(welcome);
    sent_.clear();
  }
  std::vector<std::string> stopped() const {
    std::vector<std::string> out;
    for (const auto& message : sent_) {
      if (const auto* stop = std::get_if<node::Stop>(&message)) out.push_back(stop->pod);
    }
    return out;
  }
};

TEST_F(SchedulerAfterAnotherTest, TellsWhoseRequestsArePods) {
  scheduler_.set_busy({{"a", 2}, {"b", 1}});
  find({ready_pod("a", "uid"), ready_pod("b", "later"), ready_pod("c", "uid")});
  EXPECT_THAT(listener_->told_busy, ElementsAre(std::pair("a", 2)));
  const auto later = add("later");
  EXPECT_THAT(later->told_busy, ElementsAre(std::pair("b", 1)));
  scheduler_.set_busy({{"a", 1}, {"b", 1}});  // only what changed is told
  scheduler_.set_busy({});
  EXPECT_THAT(listener_->told_busy,
              ElementsAre(std::pair("a", 2), std::pair("a", 1), std::pair("a", 0)));
  EXPECT_THAT(later->told_busy, ElementsAre(std::pair("b", 1), std::pair("b", 0)));
  EXPECT_THAT(stopped(), IsEmpty());
}

TEST_F(SchedulerAfterAnotherTest, EndsPodsOfDeletedRevisionsAfterTheirRequests) {
  scheduler_.set_busy({{"busy", 1}});
  find({ready_pod("busy", "deleted"), ready_pod("idle", "deleted")});
  scheduler_.end_unclaimed();
  EXPECT_THAT(stopped(), ElementsAre("idle"));
  scheduler_.set_busy({});
  EXPECT_THAT(stopped(), ElementsAre("idle", "busy"));
}

TEST_F(SchedulerAfterAnotherTest, ARevisionDeletedMeanwhileIsAskedWhetherItsPodIsFree) {
  scheduler_.set_busy({{"a", 1}});
  find({ready_pod("a", "uid")});
  listener_->busy = true;
  scheduler_.unsubscribe("uid");
  scheduler_.set_busy({});  // but a request of its own is there
  EXPECT_THAT(stopped(), IsEmpty());
  scheduler_.pod_drained("a");
  EXPECT_THAT(stopped(), ElementsAre("a"));
}

// Requests of one function wait in it: another function's code must not get them.
TEST_F(SchedulerAfterAnotherTest, AColdPodWithRequestsEnds) {
  scheduler_.set_busy({{"asked", 1}});
  find({});
  cold("asked");
  EXPECT_THAT(stopped(), ElementsAre("asked"));
  scheduler_.scale("uid", 1);
  EXPECT_THAT(listener_->pods, IsEmpty());
  cold("fresh");
  EXPECT_THAT(listener_->pods, ElementsAre("fresh"));
}

TEST_F(SchedulerAfterAnotherTest, OneThatRetiredGivesNoPodsAndOrdersNothing) {
  find({ready_pod("a", "uid")});
  cold("b");
  cold("c");
  sent_.clear();
  scheduler_.retire();
  scheduler_.scale("uid", 3);
  scheduler_.pod_hung("a");
  scheduler_.scale("uid", 0);
  scheduler_.pod_drained("a");
  add_node();
  cold("d");
  scheduler_.scale("uid", 1);
  EXPECT_THAT(sent_, IsEmpty());
  EXPECT_THAT(listener_->pods, ElementsAre("a"));
}

TEST_F(SchedulerAfterAnotherTest, ADrainingPodEndsWithTheLastRequestOfTheOther) {
  scheduler_.set_busy({{"a", 1}});
  find({ready_pod("a", "uid")});
  listener_->busy = true;
  scheduler_.scale("uid", 0);
  EXPECT_THAT(stopped(), IsEmpty());
  listener_->drained = true;
  scheduler_.set_busy({});
  EXPECT_THAT(stopped(), ElementsAre("a"));
}

}  // namespace
}  // namespace ebb::control
