// What Scheduler and AutoScaler know, as metrics for Prometheus. Any thread.
//
//   metrics.add_collector([&](serving::Exposition& out) {
//     control::write_metrics(out, scheduler, autoscaler);
//   });
#pragma once

#include "control/autoscaler.h"
#include "control/scheduler.h"
#include "serving/exposition.h"

namespace ebb::control {

// Pods and nodes by state, and the numbers of pods of each revision that has any, or
// wants any.
void write_metrics(serving::Exposition& out, const Scheduler& scheduler,
                   const AutoScaler& autoscaler);

}  // namespace ebb::control
