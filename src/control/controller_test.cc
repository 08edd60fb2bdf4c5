#include "control/controller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "net/test_util.h"

namespace ebb::control {
namespace {

using resources::ObjectKey;
using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

const ObjectKey kA{"default", "a"};
const ObjectKey kB{"default", "b"};

// A reconcile whose every run lasts until the test lets it go on.
class ControllerTest : public ::testing::Test {
 protected:
  net::Task<Result<void>> reconcile(ObjectKey key) {
    runs_.push_back(key.name);
    times_.push_back(executor_.now());
    most_ = std::max(most_, ++inside_[key.name]);
    while (hold_) {
      auto nap = executor_.sleep_until(executor_.now() + milliseconds(1));
      co_await nap;
    }
    --inside_[key.name];
    if (throw_) throw std::runtime_error("thrown");
    if (failures_ > 0) {
      --failures_;
      co_return fail(errc_, "not now");
    }
    co_return Result<void>();
  }
  Controller::Reconcile function() {
    return [this](ObjectKey key) { return reconcile(std::move(key)); };
  }
  template <class Done>
  void until(Done done) {
    net::run_until_true(executor_, done);
  }
  void quiet(Duration time) {  // nothing more happens
    const size_t before = runs_.size();
    for (TimePoint end = executor_.now() + time; executor_.now() < end;) executor_.run_until(end);
    EXPECT_EQ(runs_.size(), before);
  }

  std::vector<std::string> runs_;
  std::vector<TimePoint> times_;
  std::map<std::string, int> inside_;
  int most_ = 0;
  bool hold_ = false;
  bool throw_ = false;
  int failures_ = 0;
  Errc errc_ = Errc::kUnavailable;
  net::Executor executor_{"controller-test"};
};

TEST_F(ControllerTest, ManyChangesAreOneRun) {
  Controller controller(executor_, "test", function());
  controller.start();
  for (int i = 0; i < 10; ++i) controller.add(kA);
  controller.add(kB);
  EXPECT_TRUE(runs_.empty()) << "a reconcile ran inside add()";
  until([&] { return controller.idle(); });
  EXPECT_THAT(runs_, ElementsAre("a", "b"));
  quiet(milliseconds(20));
}

TEST_F(ControllerTest, CollectsUntilItStarts) {
  Controller controller(executor_, "test", function());
  controller.add(kA);
  quiet(milliseconds(20));
  controller.start();
  until([&] { return controller.idle(); });
  EXPECT_THAT(runs_, ElementsAre("a"));
}

TEST_F(ControllerTest, AChangeDuringTheRunMakesOneMore) {
  Controller controller(executor_, "test", function());
  controller.start();
  hold_ = true;
  controller.add(kA);
  until([&] { return runs_.size() == 1; });
  for (int i = 0; i < 5; ++i) controller.add(kA);
  quiet(milliseconds(20));
  hold_ = false;
  until([&] { return controller.idle(); });
  EXPECT_THAT(runs_, ElementsAre("a", "a"));
  EXPECT_EQ(most_, 1);
}

TEST_F(ControllerTest, RunsKeysSideBySideUpToItsBound) {
  Controller controller(executor_, "test", function(), {.parallel = 2});
  controller.start();
  hold_ = true;
  for (const char* name : {"a", "b", "c"}) controller.add({"default", name});
  until([&] { return runs_.size() == 2; });
  quiet(milliseconds(20));
  hold_ = false;
  until([&] { return controller.idle(); });
  EXPECT_THAT(runs_, UnorderedElementsAre("a", "b", "c"));
}

TEST_F(ControllerTest, FailuresAreRetriedLaterAndLater) {
  Controller controller(executor_, "test", function(), {.first_retry = milliseconds(20)});
  controller.start();
  failures_ = 4;
  controller.add(kA);
  until([&] { return runs_.size() == 5; });
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_GE(times_[i + 1] - times_[i], milliseconds(20 << i)) << i;
  }
  quiet(milliseconds(30));
  // A success forgets them: not 320 ms.
  failures_ = 1;
  controller.add(kA);
  until([&] { return runs_.size() == 7; });
  EXPECT_GE(times_[6] - times_[5], milliseconds(20));
  EXPECT_LT(times_[6] - times_[5], milliseconds(300));
}

TEST_F(ControllerTest, ButNotLaterThanItsBound) {
  Controller controller(executor_, "test", function(),
                        {.first_retry = milliseconds(4), .last_retry = milliseconds(8)});
  controller.start();
  failures_ = 9;
  controller.add(kA);
  until([&] { return runs_.size() == 10; });
  EXPECT_LT(times_[9] - times_[8], milliseconds(900));  // doubled on: 1024 ms
}

TEST_F(ControllerTest, ConflictsAreRetriedAtOnceAFewTimes) {
  Controller controller(executor_, "test", function(),
                        {.first_retry = std::chrono::hours(1), .conflicts_at_once = 3});
  controller.start();
  failures_ = 100;
  errc_ = Errc::kConflict;
  controller.add(kA);
  until([&] { return runs_.size() == 4; });
  quiet(milliseconds(30));
}

TEST_F(ControllerTest, AnExceptionEndsOneRunOnly) {
  Controller controller(executor_, "test", function(), {.first_retry = milliseconds(1)});
  controller.start();
  throw_ = true;
  controller.add(kA);
  until([&] { return runs_.size() >= 2; });
  throw_ = false;
  until([&] { return controller.idle(); });
}

TEST_F(ControllerTest, TheEarliestDelayCounts) {
  Controller controller(executor_, "test", function());
  controller.start();
  controller.add_after(kA, std::chrono::hours(1));
  const TimePoint before = executor_.now();
  controller.add_after(kA, milliseconds(20));
  controller.add_after(kA, std::chrono::hours(2));
  until([&] { return runs_.size() == 1; });
  EXPECT_GE(executor_.now() - before, milliseconds(20));
}

TEST_F(ControllerTest, MayEndWithRunsAndDelaysPending) {
  auto controller = std::make_unique<Controller>(executor_, "test", function());
  controller->start();
  hold_ = true;
  controller->add(kA);
  until([&] { return runs_.size() == 1; });
  controller->add(kA);
  controller->add(kB);  // pumped after the end
  controller->add_after({"default", "c"}, milliseconds(5));
  controller.reset();
  hold_ = false;
  until([&] { return executor_.tasks() == 0; });
  EXPECT_THAT(runs_, ElementsAre("a"));
  quiet(milliseconds(30));
}

}  // namespace
}  // namespace ebb::control
