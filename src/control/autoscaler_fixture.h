// For tests: a node without processes, as the AutoScaler and a throttler see it, and an
// AutoScaler of one revision, or of many.
//
//   FakeNode node;
//   node.listener = throttler;   // which has the node as its PodSource
//   node.scale("uid", 2);        // two pods, ready at once
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "control/autoscaler.h"
#include "control/pod_load.h"
#include "control/pod_metrics.h"
#include "scheduling/scale_target.h"

namespace ebb::control {

// Remembers what was wanted; pods start at once, as from a full pool.
class FakeNode final : public scheduling::ScaleTarget, public scheduling::PodSource {
 public:
  void scale(const std::string& /*revision*/, int pods) override {
    wanted.push_back(pods);
    while (!full && std::ssize(names) < pods) {
      names.push_back("pod-" + std::to_string(next++));
      listener->pod_added({names.back(), "unix:/x", false});
      if (start_well) listener->pod_ready(names.back());
    }
    if (const int extra = static_cast<int>(names.size()) - pods; extra > 0) {
      for (const auto& name : listener->begin_drain(extra).chosen) std::erase(names, name);
    }
  }
  void subscribe(std::shared_ptr<const scheduling::PodTemplate> /*revision*/,
                 std::shared_ptr<scheduling::PodListener> who) override {
    listener = std::move(who);
  }
  void unsubscribe(const std::string& /*revision*/) override {}
  void pod_drained(const std::string& /*pod*/) override {}

  std::shared_ptr<scheduling::PodListener> listener;
  std::vector<std::string> names;
  std::vector<int> wanted;
  bool start_well = true;
  bool full = false;
  int next = 0;
};

// The time in the test's hand.
class AutoScalerFixture : public testing::Test {
 protected:
  void pass(AutoScaler& scaler, Duration time) {
    for (Duration passed{}; passed < time; passed += std::chrono::seconds(1)) {
      clock_.advance(std::chrono::seconds(1));
      scaler.tick();
      settle();
    }
  }
  void settle() { executor_.run_until(TimePoint{}); }

  FakeClock clock_;
  net::Executor executor_{"control"};
  serving::Traffic traffic_;
  EventRecorder events_{clock_};
  PodMetrics metrics_{clock_};
};

// One revision on such a node.
class AutoScalerTest : public AutoScalerFixture {
 protected:
  void add(int concurrency = 1, int min = 0,
           const std::function<void(ScalePlan&, scaling::PolicySpec&)>& change = {}) {
    throttler_ = std::make_shared<serving::Throttler>(
        serving::ThrottlerOptions{.revision = "uid", .concurrency = concurrency}, node_, clock_,
        [this](const std::string& /*pod*/, const std::string& error) {
          scaler_.start_ended("uid", error);
        });
    auto pod = std::make_shared<scheduling::PodTemplate>();
    pod->revision = "uid";
    pod->ns = "default";
    pod->name = "hello-00001";
    pod->concurrency = static_cast<uint32_t>(concurrency);
    node_.subscribe(pod, throttler_);
    traffic_.add(throttler_);
    ScalePlan plan;
    plan.pod = pod;
    scaling::PolicySpec spec;
    spec.kpa.stable_window = std::chrono::seconds(6);
    spec.kpa.set_target({.container_concurrency = concurrency});
    plan.bounds.min = min;
    if (change) change(plan, spec);
    plan.policy = std::make_shared<const scaling::PolicySpec>(std::move(spec));
    scaler_.add(plan);
  }
  void pass(Duration time) { AutoScalerFixture::pass(scaler_, time); }
  // All pods use so much of a core from the last call to this one.
  void use(double cores) { load_.use("uid", node_.names, cores); }

  FakeNode node_;
  PodLoad load_{clock_, metrics_};
  AutoScaler scaler_{executor_, traffic_, node_, clock_, {.events = &events_, .pods = &metrics_}};
  std::shared_ptr<serving::Throttler> throttler_;
};

// Many revisions, each on a node of its own whose pods take one request at a time.
class AutoScalerOfMany : public AutoScalerFixture {
 protected:
  struct One {
    FakeNode node;
    std::shared_ptr<serving::Throttler> throttler;
    std::list<serving::Throttler::GrantShot::Pair> held;
  };

  struct Wish {
    scaling::Bounds bounds = {};
    std::string service = {};
    int service_max = 0;
    int64_t generation = 0;
  };
  One& add(const std::string& uid) { return add(uid, Wish{}); }
  One& add(const std::string& uid, const Wish& wish) {
    One& one = ones_[uid];
    one.throttler = std::make_shared<serving::Throttler>(
        serving::ThrottlerOptions{.revision = uid, .concurrency = 1}, one.node, clock_,
        [this, uid](const std::string& /*pod*/, const std::string& error) {
          scaler_.start_ended(uid, error);
        });
    one.node.listener = one.throttler;
    traffic_.add(one.throttler);
    auto pod = std::make_shared<scheduling::PodTemplate>();
    pod->revision = uid;
    pod->ns = "default";
    pod->name = uid;
    pod->service_uid = wish.service;
    pod->concurrency = 1;
    scaling::PolicySpec spec;
    spec.kpa.set_target({.container_concurrency = 1});
    scaler_.add({.pod = pod,
                 .policy = std::make_shared<const scaling::PolicySpec>(std::move(spec)),
                 .bounds = wish.bounds,
                 .service_max = wish.service_max,
                 .generation = wish.generation});
    return one;
  }
  void call(const std::string& uid, int requests = 1) {
    One& one = ones_[uid];
    for (int i = 0; i < requests; ++i) {
      one.held.push_back(serving::Throttler::GrantShot::make(executor_));
      const auto ticket = one.throttler->enqueue(one.held.back().sender);
      if (ticket.no_pods) scaler_.wake(uid);
      if (ticket.crowded) scaler_.crowded(uid);
    }
    settle();
  }
  // Its oldest request is answered.
  void answer(const std::string& uid) {
    auto& held = ones_[uid].held;
    auto awaiter = held.front().receiver.wait(TimePoint{});
    ASSERT_TRUE(awaiter.await_ready());
    auto grant = awaiter.await_resume();
    ASSERT_TRUE(grant && *grant);
    held.pop_front();
  }
  void pass(Duration time) { AutoScalerFixture::pass(scaler_, time); }
  [[nodiscard]] size_t pods(const std::string& uid) { return ones_[uid].node.names.size(); }

  // Scales each revision on a node of its own.
  class Nodes final : public scheduling::ScaleTarget {
   public:
    explicit Nodes(std::map<std::string, One>& ones) : ones_(ones) {}
    void scale(const std::string& revision, int pods) override {
      ones_[revision].node.scale(revision, pods);
    }

   private:
    std::map<std::string, One>& ones_;
  };

  std::map<std::string, One> ones_;
  Nodes nodes_{ones_};
  AutoScaler scaler_{executor_, traffic_, nodes_, clock_, {.events = &events_, .pods = &metrics_}};
};

}  // namespace ebb::control
