#include "scaling/hpa_policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace ebb::scaling {

namespace {

constexpr double kThousandths = 1000;

// A sample in thousandths; nonsense is nothing used.
int64_t thousandths(double value) {
  constexpr double kMost = 9e15;
  return value > 0 ? std::llround(std::min(value * kThousandths, kMost)) : 0;
}

}  // namespace

HpaPolicy::HpaPolicy(HpaPolicySettings settings, TimePoint now)
    : settings_(std::move(settings)),
      hpa_(settings_.spec),
      concurrency_(Hpa::kDecidePeriod),
      requests_(Hpa::kDecidePeriod),
      last_active_(now) {}

void HpaPolicy::observe(const Metric& metric) {
  const double concurrency = load_of(metric, MetricKind::kConcurrency);
  const double requests = load_of(metric, MetricKind::kRequests);
  concurrency_.record(metric.at, concurrency);
  requests_.record(metric.at, requests);
  if (concurrency > 0 || requests > 0) last_active_ = std::max(last_active_, metric.at);
  if (!metric.pods.empty()) pods_ = metric.pods;
}

HpaReading HpaPolicy::reading_of(const HpaMetricSpec& metric, TimePoint now) const {
  HpaReading reading;
  if (metric.source == HpaMetricSpec::Source::kExternal &&
      (metric.name == "concurrency" || metric.name == "rps")) {
    const Window& load = metric.name == "rps" ? requests_ : concurrency_;
    reading.total = thousandths(load.average(now));
    return reading;
  }
  const bool cpu = metric.name == "cpu";
  if (!cpu && metric.name != "memory") {
    reading.error = fmt::format("nobody measures {}", metric.name);
    return reading;
  }
  for (size_t i = 0; i < pods_.size(); ++i) {
    const PodUsage& pod = pods_[i];
    const int64_t value =
        cpu ? thousandths(pod.cpu_millis / kThousandths) : thousandths(pod.memory_bytes);
    reading.samples.push_back({i, value, pod.sampled, pod.window});
  }
  return reading;
}

HpaInput HpaPolicy::input_of(const Situation& situation) const {
  HpaInput input{.now = situation.now, .current = situation.ready + situation.starting};
  const std::vector<HpaContainer> containers{
      {"user-container", settings_.cpu_request,
       thousandths(static_cast<double>(settings_.memory_request))}};
  for (const PodUsage& pod : pods_) {
    input.pods.push_back({.ready = pod.ready,
                          .ready_changed = pod.ready_changed,
                          .started = pod.started,
                          .containers = containers});
  }
  // Pods that were not measured, and pods on the way.
  while (input.pods.size() < static_cast<size_t>(std::max(situation.ready, 0))) {
    input.pods.push_back({.containers = containers});
  }
  for (int i = 0; i < situation.starting; ++i) {
    input.pods.push_back({.phase = HpaPod::Phase::kPending, .containers = containers});
  }
  for (const auto& metric : settings_.spec.metrics) {
    input.readings.push_back(reading_of(metric, situation.now));
  }
  return input;
}

Decision HpaPolicy::decide(const Situation& situation) {
  if (busy(situation)) last_active_ = std::max(last_active_, situation.now);
  if (situation.ready == 0) pods_.clear();  // what was measured is gone
  if (settings_.zero_after && situation.now >= last_active_ + *settings_.zero_after) {
    last_ = Decision();
    last_.valid = true;
    last_.reason = "no request for as long as zero needs";
    next_ = situation.now;
    return last_;
  }
  if (situation.now >= next_) {
    next_ = situation.now + Hpa::kDecidePeriod;
    const HpaResult result = hpa_.decide(input_of(situation));
    last_ = Decision();
    last_.valid = result.valid;
    last_.desired = result.desired;
    last_.stable = concurrency_.average(situation.now);
    last_.panic_value = last_.stable;
    last_.reason = result.text;  // made every 15 s only: always
  }
  Decision decision = last_;
  if (busy(situation) && (!decision.valid || decision.desired < 1)) {
    decision.valid = true;
    decision.desired = std::max({1, situation.ready + situation.starting, settings_.spec.min});
    if (!situation.explain) return decision;
    decision.reason = fmt::format("a request is in the system ({})", last_.reason);
  }
  return decision;
}

}  // namespace ebb::scaling
