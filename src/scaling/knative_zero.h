// Knative's way to zero, step by step: what happens when the wish is 0 pods.
//
// A revision first counts as inactive once it was active for a stable window; its pods
// go when the activator is known to be in the path and the grace period (and what
// the user retains) has passed. Ebb itself needs less (scaling/scale_to_zero.h); this
// is for those who compare, and for pods on Kubernetes. A pure function.
//
// Source: knative/serving pkg/reconciler/autoscaling/kpa/scaler.go.
//
//   ZeroStep step = knative_zero_step(settings, {.desired = 0, .active = Active::kFalse,
//                                                .active_for = seconds(31), .probe = true});
//   if (step.apply) scale(step.desired);
#pragma once

#include <optional>

#include "base/clock.h"

namespace ebb::scaling {

struct ZeroSettings {
  bool enabled = true;  // enable-scale-to-zero
  Duration stable_window = std::chrono::seconds(60);
  Duration grace = std::chrono::seconds(30);  // scale-to-zero-grace-period
  Duration retention{};                       // scale-to-zero-pod-retention-period
  Duration progress_deadline = std::chrono::seconds(600);
  bool burst_unlimited = false;  // target-burst-capacity -1: the activator never leaves
  bool reachable = true;
};

// The condition Active: kUnknown while pods are being started.
enum class Active { kTrue, kFalse, kUnknown };

struct ZeroState {
  int desired = 0;
  Active active = Active::kTrue;
  Duration active_for{};  // how long `active` has been what it is
  bool proxy = false;     // the activator is to be in the path ...
  Duration proxy_for{};   // ... and has been for so long
  bool probe = false;     // what a probe for the activator finds
};

struct ZeroStep {
  static constexpr int kUnknown = -1;  // `desired`: the last amount stays
  int desired = 0;
  bool apply = false;               // act on `desired` now
  std::optional<Duration> requeue;  // ask again after so long
  bool probed = false;              // `probe` was looked at
  bool async_probe = false;         // probe in the background, then ask again
};

[[nodiscard]] ZeroStep knative_zero_step(const ZeroSettings& settings, const ZeroState& state);

}  // namespace ebb::scaling
