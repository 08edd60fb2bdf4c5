// What Scheduler, AutoScaler and PodMetrics know, as metrics for Prometheus. Any thread.
//
//   metrics.add_collector([&](serving::Exposition& out) {
//     control::write_metrics(out, scheduler, autoscaler);
//   });
#pragma once

#include "control/autoscaler.h"
#include "control/pod_metrics.h"
#include "control/scheduler.h"
#include "serving/exposition.h"

namespace ebb::control {

// Pods and nodes by state, and the numbers of pods of each revision that has any, or
// wants any.
void write_metrics(serving::Exposition& out, const Scheduler& scheduler,
                   const AutoScaler& autoscaler);

// What the pods of each revision use together, and what nodes use and lack.
void write_usage(serving::Exposition& out, const Scheduler& scheduler, const PodMetrics& usage);

}  // namespace ebb::control
