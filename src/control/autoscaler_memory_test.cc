// Which idle pods end when memory is short.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "control/autoscaler.h"
#include "control/autoscaler_fixture.h"

namespace ebb::control {
namespace {

using namespace std::chrono_literals;
using testing::Contains;

constexpr uint64_t kMiB = 1 << 20;

class AutoScalerMemory : public AutoScalerOfMany {
 protected:
  // One pod of `uid` that has answered `calls` requests and is idle.
  void add_idle(const std::string& uid, int calls, const Wish& wish = {}) {
    add(uid, wish);
    for (int i = 0; i < calls; ++i) {
      call(uid);
      answer(uid);
      settle();
    }
  }
  // What every pod of each uses, and the machine besides them; then a tick.
  void measure(const std::map<std::string, uint64_t>& mebibytes, uint64_t machine = 0) {
    now_ns_ += 15'000'000'000;
    node::PodUsage usage;
    std::set<std::string> seen;
    for (auto& [uid, one] : ones_) {
      for (const auto& name : one.node.names) {
        const std::string id = uid + name;
        seen.insert(id);
        usage.pods.push_back({.pod = id,
                              .revision = uid,
                              .ready = 1,
                              .at_ns = now_ns_,
                              .memory_bytes = mebibytes.at(uid) * kMiB});
      }
    }
    for (const auto& id : measured_) {
      if (!seen.contains(id))
        metrics_.on_message("n", node::PodGone{.pod = id, .reason = "Stopped", .message = {}});
    }
    measured_ = seen;
    metrics_.on_message("n", usage);
    metrics_.on_message("n", node::NodeUsage{.at_ns = now_ns_,
                                             .memory_bytes = machine * kMiB,
                                             .memory_total = 1000 * kMiB,
                                             .pressure = {}});
    pass(1s);
  }
  std::vector<std::string> events() {
    std::vector<std::string> out;
    for (const auto& event : events_.list()) out.push_back(event.event.message);
    return out;
  }

  uint64_t now_ns_ = 0;
  std::set<std::string> measured_;
};

TEST_F(AutoScalerMemory, EndsTheIdlePodThatIsWorthLeast) {
  scaler_.set_limits({.memory_bytes = 250 * kMiB});
  add_idle("often", 50);
  add_idle("seldom", 1);
  add_idle("busy", 1, {.bounds = {.max = 1}});
  call("busy");
  pass(1s);
  measure({{"often", 80}, {"seldom", 80}, {"busy", 80}});
  EXPECT_EQ(pods("seldom"), 1u) << "240 MiB are within the budget";
  measure({{"often", 100}, {"seldom", 100}, {"busy", 100}});
  EXPECT_EQ(pods("often"), 1u);
  EXPECT_EQ(pods("seldom"), 0u);
  EXPECT_EQ(pods("busy"), 1u);
  EXPECT_THAT(events(), Contains("1 -> 0 pods: idle pods end: the pods use more memory than the "
                                 "250Mi that they may"));
  EXPECT_EQ(scaler_.evicted(), 1u);
}

TEST_F(AutoScalerMemory, AmongThoseThatAreCalledAlikeTheLargeOneEnds) {
  scaler_.set_limits({.memory_bytes = 250 * kMiB});
  add_idle("small", 3);
  add_idle("large", 3);
  pass(1s);
  measure({{"small", 60}, {"large", 200}});
  EXPECT_EQ(pods("small"), 1u);
  EXPECT_EQ(pods("large"), 0u);
}

TEST_F(AutoScalerMemory, OneSampleIsOneChoice) {
  scaler_.set_limits({.memory_bytes = 100 * kMiB});
  add_idle("a", 1);
  add_idle("b", 2);
  pass(1s);
  measure({{"a", 60}, {"b", 60}});
  EXPECT_EQ(pods("a") + pods("b"), 1u);
  pass(1s);  // the sample still counts the one that has ended
  EXPECT_EQ(pods("a") + pods("b"), 1u);
}

TEST_F(AutoScalerMemory, WhatEndedComesBackForARequestOnly) {
  scaler_.set_limits({.memory_bytes = 50 * kMiB});
  add_idle("a", 5);
  pass(1s);
  measure({{"a", 60}});
  EXPECT_EQ(pods("a"), 0u);
  pass(10s);  // its stable window still holds the calls of before
  EXPECT_EQ(pods("a"), 0u);
  call("a");
  EXPECT_EQ(pods("a"), 1u);
  answer("a");
}

TEST_F(AutoScalerMemory, AMinimumAndRequestsAreKept) {
  scaler_.set_limits({.memory_bytes = 10 * kMiB});
  add_idle("kept", 1, {.bounds = {.min = 1}});
  add_idle("busy", 1, {.bounds = {.max = 1}});
  call("busy");
  pass(1s);
  measure({{"kept", 100}, {"busy", 100}});
  EXPECT_EQ(pods("kept"), 1u);
  EXPECT_EQ(pods("busy"), 1u);
  EXPECT_EQ(scaler_.evicted(), 0u);
}

TEST_F(AutoScalerMemory, WithoutABudgetTheMachinesMemoryDecides) {
  add_idle("a", 1);
  add_idle("b", 5);
  pass(1s);
  measure({{"a", 100}, {"b", 100}}, 940);
  EXPECT_EQ(pods("a") + pods("b"), 2u);
  measure({{"a", 100}, {"b", 100}}, 980);  // 30 MiB are missing
  EXPECT_EQ(pods("a"), 0u);
  EXPECT_EQ(pods("b"), 1u);
  EXPECT_THAT(events(), Contains("1 -> 0 pods: idle pods end: less than 5 % of the machine's "
                                 "memory is available"));
}

}  // namespace
}  // namespace ebb::control
