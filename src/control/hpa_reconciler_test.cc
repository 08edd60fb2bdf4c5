#include "control/hpa_reconciler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "control/controller.h"
#include "control/pod_load.h"
#include "control/staged_pods.h"
#include "resources/client_fixture.h"

namespace ebb::control {
namespace {

using namespace std::chrono_literals;
using api::HorizontalPodAutoscaler;
using scaling::PolicyClass;
using store::testing::run;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;

class HpaReconcilerTest : public resources::ClientFixture {
 protected:
  HpaReconcilerTest() {
    pods_.start_well = true;
    queue_.start();
    hpas_.start();
    settle();
  }

  void add(const std::string& name, const std::string& service = "hello") {
    api::Revision revision;
    revision.meta.uid = "uid-" + name;
    revision.meta.ns = "default";
    revision.meta.name = name;
    revision.meta.labels[std::string(api::kServiceLabel)] = service;
    revision.meta.annotations[std::string(api::kCodeAnnotation)] = "sha256:" + std::string(64, 'a');
    revision.spec.containers.emplace_back().image = "ebb.dev/runtimes/python";
    ASSERT_TRUE(host_.add(revision));
    reconciler_.revision_hosted(revision.meta.uid, true);
    settle();
  }
  void create(const std::string& name, int max = 5, const std::string& service = "hello") {
    HorizontalPodAutoscaler hpa;
    hpa.meta.name = name;
    hpa.meta.ns = "default";
    hpa.spec.scale_target = {"serving.knative.dev/v1", "Service", service, ""};
    hpa.spec.max_replicas = max;
    api::apply_defaults(hpa);
    must(resources::create<HorizontalPodAutoscaler>(client_, hpa));
    settle();
  }
  void remove(const std::string& name) {
    auto removing = client_.remove(HorizontalPodAutoscaler::kind(), key(name), "");
    ASSERT_TRUE(run(executor_, std::move(removing)));
    settle();
  }
  HorizontalPodAutoscaler::Status status(const std::string& name) {
    return must(resources::get<HorizontalPodAutoscaler>(client_, key(name))).status;
  }
  // "True REASON" or "False REASON: MESSAGE"; "" if it is not told.
  std::string condition(const std::string& name, std::string_view type) {
    const auto now = status(name);
    const auto* found = api::find_condition(now.conditions, type);
    if (found == nullptr) return "";
    if (found->status == api::Condition::Status::kTrue) return "True " + found->reason;
    return fmt::format("False {}: {}", found->reason, found->message);
  }
  PolicyClass policy(const std::string& revision) {
    return autoscaler_.status("uid-" + revision).policy->policy;
  }
  std::vector<std::string> events(std::string_view reason) {
    std::vector<std::string> out;
    for (const auto& one : events_.list()) {
      if (one.event.reason == reason && one.event.involved.kind == "HorizontalPodAutoscaler") {
        out.push_back(one.event.message);
      }
    }
    return out;
  }
  // A watch is told by the store's thread: until nothing has come for a while.
  void settle() {
    for (int quiet = 0; quiet < 5;) {
      const int before = reconciled_;
      executor_.run_until(executor_.now() + 2ms);
      quiet = reconciled_ == before && queue_.idle() ? quiet + 1 : 0;
    }
  }
  void pass(int seconds) {
    for (int i = 0; i < seconds; ++i) {
      clock_.advance(1s);
      autoscaler_.tick();
    }
    reconciler_.look();
    settle();
  }
  // Each pod of the revision uses so much of a core from the last call to this one.
  void use(const std::string& revision, const std::vector<std::string>& pods, double cores) {
    load_.use("uid-" + revision, pods, cores);
  }

  StagedPods pods_;
  serving::Traffic traffic_;
  EventRecorder events_{clock_};
  PodMetrics metrics_{clock_};
  PodLoad load_{clock_, metrics_};
  int reconciled_ = 0;
  AutoScaler autoscaler_{
      executor_, traffic_, pods_, clock_, {.events = &events_, .pods = &metrics_}};
  RevisionHost host_{traffic_, pods_, autoscaler_, clock_};
  resources::Informer<HorizontalPodAutoscaler> hpas_{
      executor_, client_, [this](const resources::ObjectKey& key) { queue_.add(key); }};
  HpaReconciler reconciler_{{.client = client_,
                             .clock = clock_,
                             .hpas = hpas_,
                             .host = host_,
                             .autoscaler = autoscaler_,
                             .events = &events_},
                            [this](const resources::ObjectKey& key) { queue_.add(key); }};
  Controller queue_{executor_, "hpas", [this](resources::ObjectKey key) {
                      ++reconciled_;
                      return reconciler_.reconcile(std::move(key));
                    }};
};

TEST_F(HpaReconcilerTest, TakesThePlaceOfTheAnnotationsWhileItExists) {
  add("hello-00001");
  EXPECT_EQ(policy("hello-00001"), PolicyClass::kAdaptive);
  create("one");
  EXPECT_EQ(policy("hello-00001"), PolicyClass::kHpa);
  add("hello-00002");  // one that comes later, too
  add("other-00001", "other");
  EXPECT_EQ(policy("hello-00002"), PolicyClass::kHpa);
  EXPECT_EQ(policy("other-00001"), PolicyClass::kAdaptive);
  EXPECT_EQ(condition("one", "AbleToScale"), "True SucceededGetScale");
  EXPECT_THAT(condition("one", "ScalingActive"), HasSubstr("False ScalingDisabled"));
  EXPECT_EQ(status("one").observed_generation, 1);
  remove("one");
  EXPECT_EQ(policy("hello-00001"), PolicyClass::kAdaptive);
  EXPECT_EQ(policy("hello-00002"), PolicyClass::kAdaptive);
}

TEST_F(HpaReconcilerTest, AChangedTargetLetsGoOfTheFirst) {
  add("hello-00001");
  add("other-00001", "other");
  create("one");
  auto hpa = must(resources::get<HorizontalPodAutoscaler>(client_, key("one")));
  hpa.spec.scale_target.name = "other";
  must(resources::update<HorizontalPodAutoscaler>(client_, hpa));
  settle();
  EXPECT_EQ(policy("hello-00001"), PolicyClass::kAdaptive);
  EXPECT_EQ(policy("other-00001"), PolicyClass::kHpa);
  EXPECT_EQ(status("one").observed_generation, 2);
}

TEST_F(HpaReconcilerTest, WithoutARevisionItSaysSo) {
  create("one");
  EXPECT_EQ(condition("one", "AbleToScale"),
            "False FailedGetScale: there is no revision of Service hello that can be scaled");
  EXPECT_EQ(events("FailedGetScale").size(), 1u);
  add("hello-00001");
  EXPECT_EQ(condition("one", "AbleToScale"), "True SucceededGetScale");
  reconciler_.revision_hosted("uid-hello-00001", false);
  host_.remove("uid-hello-00001");
  settle();
  EXPECT_THAT(condition("one", "AbleToScale"), HasSubstr("False FailedGetScale"));
}

TEST_F(HpaReconcilerTest, TwoForOneRevisionAreRefusedUntilOneRemains) {
  add("hello-00001");
  create("one");
  create("two");
  EXPECT_EQ(policy("hello-00001"), PolicyClass::kAdaptive) << "its annotations count";
  for (const char* name : {"one", "two"}) {
    EXPECT_THAT(condition(name, "ScalingActive"),
                AllOf(HasSubstr("False AmbiguousSelector"), HasSubstr("hello-00001"),
                      HasSubstr("one, two")));
  }
  EXPECT_EQ(events("AmbiguousSelector").size(), 2u);
  remove("one");
  EXPECT_EQ(policy("hello-00001"), PolicyClass::kHpa);
  EXPECT_THAT(condition("two", "ScalingActive"), HasSubstr("ScalingDisabled"));
}

TEST_F(HpaReconcilerTest, StatusFollowsTheDecisionsAndIsWrittenOnlyWhenItChanges) {
  add("hello-00001");
  create("one");
  autoscaler_.set_reachable("uid-hello-00001", true);
  autoscaler_.wake("uid-hello-00001");
  auto throttler = traffic_.find("uid-hello-00001");
  {
    auto slot = throttler->try_acquire();
    use("hello-00001", {"pod-1"}, 0);
    pass(2);
    use("hello-00001", {"pod-1"}, 1.6);  // of a core, at a target of 80 %
    pass(2);
    auto now = status("one");
    EXPECT_EQ(now.desired_replicas, 2);
    EXPECT_EQ(now.current_replicas, 2);
    ASSERT_EQ(now.current_metrics.size(), 1u);
    EXPECT_EQ(now.current_metrics[0].resource->target.average_utilization, 160);
    EXPECT_EQ(condition("one", "ScalingActive"), "True ValidMetricFound");
    EXPECT_EQ(condition("one", "AbleToScale"), "True ReadyForNewScale");
    EXPECT_THAT(condition("one", "ScalingLimited"), HasSubstr("False DesiredWithinRange"));
    EXPECT_FALSE(now.last_scale_time.empty());
    EXPECT_THAT(events("SuccessfulRescale"), Contains(HasSubstr("New size: 2; reason: cpu 160 %")));
    // Nothing is decided for 15 s: nothing is written.
    const auto version = [&] {
      return must(resources::get<HorizontalPodAutoscaler>(client_, key("one")))
          .meta.resource_version;
    };
    const auto before = version();
    pass(4);
    EXPECT_EQ(version(), before);
  }
  for (int i = 0; i < 200; ++i) {  // after the stabilization, too
    use("hello-00001", {"pod-1", "pod-2"}, 0);
    pass(2);
  }
  const auto now = status("one");
  EXPECT_EQ(now.desired_replicas, 0);
  EXPECT_EQ(now.current_replicas, 0);
  EXPECT_TRUE(now.current_metrics.empty());
  EXPECT_THAT(condition("one", "ScalingActive"), HasSubstr("False ScalingDisabled"));
}

}  // namespace
}  // namespace ebb::control
