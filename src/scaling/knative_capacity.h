// Knative's sums around a decision: how much burst fits, how many activators that
// takes, and how many pods a scrape must ask. Pure functions.
//
// Source: knative/serving pkg/autoscaler/scaling/, pkg/reconciler/autoscaling/kpa/,
// pkg/autoscaler/metrics/sample_size.go. `burst` is the target burst capacity: -1 is
// without a limit (the activator stays in the path), 0 takes it out.
//
//   excess_burst_capacity({.total = 100, .burst = 211}, 2, 140);   // -151
#pragma once

namespace ebb::scaling {

struct Capacity {
  double total = 100;  // load that one pod can carry
  double burst = 211;
};

// Requests that could come on top of `load` without waiting; below zero: too few pods.
[[nodiscard]] int excess_burst_capacity(const Capacity& capacity, int ready, double load);

// The same before anything was seen, for the pods that a revision starts with.
[[nodiscard]] int initial_burst_capacity(const Capacity& capacity, int initial_scale);

// Activators that carry what the pods can plus the burst, at least 2. `each` is what
// one of them carries, above 0.
[[nodiscard]] int num_activators(const Capacity& capacity, int ready, double each);

// Pods to ask out of `pods` so that the mean is right to 5 requests with 95 %
// confidence, for a variance of 100.
[[nodiscard]] int sample_size(int pods);

}  // namespace ebb::scaling
