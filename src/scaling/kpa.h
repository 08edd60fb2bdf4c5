// The rule of Knative's Pod Autoscaler, exactly: the average load over a stable
// window decides, and a short panic window takes over while load outruns the pods.
//
// Source: knative/serving pkg/autoscaler/scaling/autoscaler.go and metrics/. Meant
// to be asked every kDecisionPeriod. Not thread-safe.
//
//   KpaSettings settings;
//   settings.set_target({.container_concurrency = 10});
//   auto policy = make_kpa(settings, ready, now);
//   policy->observe({.at = now, .concurrency = 42});
//   Decision d = policy->decide({.now = now, .ready = 1});   // 6 pods, in panic
#pragma once

#include <memory>
#include <optional>

#include "base/clock.h"
#include "scaling/policy.h"
#include "scaling/window.h"

namespace ebb::scaling {

// How often a decision is due. Scale-down delays are counted in this step.
inline constexpr Duration kDecisionPeriod = std::chrono::seconds(2);

// What a user says about the load that one pod should carry.
struct TargetWish {
  int container_concurrency = 0;                // hard limit per pod; 0: none
  std::optional<double> target = std::nullopt;  // annotation "target"
  // A fraction; annotation "target-utilization-percentage" / 100.
  std::optional<double> utilization = std::nullopt;
};

// Defaults are Knative's. Values are taken as valid: api/ has checked them.
struct KpaSettings {
  MetricKind metric = MetricKind::kConcurrency;
  Window::Weighting weighting = Window::Weighting::kLinear;
  double target = 70;  // load per pod that is aimed at; at least 0.01
  double total = 100;  // load per pod that it can carry
  Duration stable_window = std::chrono::seconds(60);
  double panic_window_percentage = 10;      // of the stable window
  double panic_threshold_percentage = 200;  // wanted pods / ready pods that starts panic
  double max_scale_up_rate = 1000;          // times the ready pods, per decision
  double max_scale_down_rate = 2;
  int activation_scale = 0;  // pods to start with when there is any load; 0: off
  Duration scale_down_delay{0};
  double target_burst_capacity = 211;  // -1: unlimited
  // Records both metrics, so that update() may change to the other one, history
  // included. Revisions never change theirs.
  bool switchable_metric = false;

  // Sets target and total for this metric. Set `metric` first.
  void set_target(const TargetWish& wish);
  // In whole seconds, at least 1 s.
  [[nodiscard]] Duration panic_window() const;
};

class Kpa final : public Policy {
 public:
  // With more than one pod ready at birth (a restart under load) it starts in panic,
  // so that nothing is scaled down before there is a full window of knowledge.
  Kpa(const KpaSettings& settings, int ready_at_creation, TimePoint now);

  void observe(const Metric& metric) override;
  [[nodiscard]] Decision decide(const Situation& situation) override;

  // Goes on with other settings and keeps what was seen. As in Knative, weighting and
  // scale-down delay stay what they were at creation; so does the metric unless it is
  // switchable.
  void update(const KpaSettings& settings, TimePoint now);

  [[nodiscard]] bool panicking() const { return panic_since_.has_value(); }
  // The most pods wanted in this panic; before the first one, those ready at creation.
  [[nodiscard]] int max_panic_pods() const { return panic_pods_; }

 private:
  struct Wish;  // one window's opinion
  struct Load {
    Window stable;
    Window panic;
  };
  [[nodiscard]] Wish wish(double average, const Situation& situation) const;
  void update_panic(double wanted, const Situation& situation);

  KpaSettings settings_;
  Load load_;                  // of settings_.metric
  std::optional<Load> other_;  // of the other metric; only if it is switchable
  std::optional<MaxWindow> delay_;
  std::optional<TimePoint> panic_since_;  // the last time that load outran the pods
  int panic_pods_;                        // the most pods wanted in this panic
};

[[nodiscard]] std::unique_ptr<Policy> make_kpa(const KpaSettings& settings, int ready_at_creation,
                                               TimePoint now);

}  // namespace ebb::scaling
