#include "scaling/node_pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "scaling/average.h"

namespace ebb::scaling {

NodePool::NodePool(const NodePoolSettings& settings)
    : buffer_({.least = std::max(0, settings.least),
               .most = settings.most,
               .share = settings.share,
               .supply = settings.boot}),
      rest_(settings.rest) {}

void NodePool::observe(const Metric& metric) {
  const int asked = to_pods(std::round(load_of(metric, MetricKind::kRequests)));
  buffer_.asked(metric.at, asked - ahead_);
  ahead_ = 0;
  instances_.reset();
}

// Between two metrics a burst is seen by what is there more than after the first of them.
void NodePool::look_ahead(TimePoint now, int instances) {
  if (!instances_) instances_ = instances;
  const int more = instances - *instances_ - ahead_;
  if (more <= 0) return;
  buffer_.asked(now, more);
  ahead_ += more;
}

Decision NodePool::decide(const Situation& situation) {
  if (situation.start_time > Duration(0) && situation.start_time != boot_) {
    boot_ = situation.start_time;
    buffer_.supplied(boot_);
  }
  const double used = std::max(0, situation.in_flight);
  const double waiting = std::max(0, situation.waiting);
  look_ahead(situation.now, to_pods(used + waiting));
  const bool at_rest = !busy(situation);
  const bool rested = at_rest_.lasts(at_rest, situation.now, rest_);
  const bool none = situation.ready + situation.starting == 0;
  const int buffer = rested || (at_rest && none) ? 0 : buffer_.size();

  Decision decision;
  decision.valid = true;
  const double slots = situation.pod_concurrency;
  decision.stable = decision.panic_value = used + waiting;
  const double wanted = used + waiting + buffer;
  decision.desired = slots > 0 ? pods_for(wanted, slots) : wanted > 0 ? 1 : 0;
  if (slots > 0) {
    decision.excess_burst_capacity = to_pods(std::max(0, situation.ready) * slots - used - waiting);
  }
  if (!situation.explain) return decision;
  decision.reason =
      rested && decision.desired == 0
          ? std::string("nothing was in use for long")
          : fmt::format("{} in use, {} without a place and a buffer of {}, {} a node -> {}",
                        situation.in_flight, situation.waiting, buffer, situation.pod_concurrency,
                        decision.desired);
  return decision;
}

}  // namespace ebb::scaling
