#include "scaling/hpa_policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace ebb::scaling {

namespace {

constexpr double kThousandths = 1000;
// More than any cluster has: such a count is a mistake, and is not filled with pods.
constexpr int kMostPods = 100'000;

// A sample in thousandths; nonsense is nothing used.
int64_t thousandths(double value) {
  constexpr double kMost = 9e15;
  return value > 0 ? std::llround(std::min(value * kThousandths, kMost)) : 0;
}

// What Ebb measures of a revision itself: in all, or of each pod.
bool is_own_load(const HpaMetricSpec& metric) {
  using Source = HpaMetricSpec::Source;
  return (metric.source == Source::kExternal || metric.source == Source::kPods) &&
         (metric.name == "concurrency" || metric.name == "rps");
}

// The algorithm takes what is known in all as External: which of the measured pods still
// drain is not known, and of each pod there is no more than its part of the whole.
HpaSpec with_totals(HpaSpec spec) {
  for (HpaMetricSpec& metric : spec.metrics) {
    if (is_own_load(metric)) metric.source = HpaMetricSpec::Source::kExternal;
  }
  return spec;
}

}  // namespace

bool is_outside(const HpaMetricSpec& metric) {
  return (metric.source == HpaMetricSpec::Source::kExternal ||
          metric.source == HpaMetricSpec::Source::kObject) &&
         !is_own_load(metric);
}

HpaPolicy::HpaPolicy(HpaPolicySettings settings, TimePoint now)
    : settings_(std::move(settings)),
      hpa_(with_totals(settings_.spec)),
      concurrency_(Hpa::kDecidePeriod),
      requests_(Hpa::kDecidePeriod),
      last_active_(now) {}

void HpaPolicy::observe(const Metric& metric) {
  if (is_sound(metric)) {
    const double concurrency = load_of(metric, MetricKind::kConcurrency);
    const double requests = load_of(metric, MetricKind::kRequests);
    concurrency_.record(metric.at, metric.period, concurrency);
    requests_.record(metric.at, metric.period, requests);
    if (concurrency > 0 || requests > 0) last_active_ = std::max(last_active_, metric.at);
  }
  if (!metric.pods.empty()) {
    pods_ = metric.pods;
    pods_at_ = metric.at;
  }
  outside_ = metric.outside;
  for (const auto& wanted : settings_.spec.metrics) {
    const OutsideNumber* number =
        is_outside(wanted) ? outside_number(outside_, wanted.name) : nullptr;
    if (number != nullptr && (number->value > 0 || !number->error.empty())) {
      last_active_ = std::max(last_active_, metric.at);
    }
  }
}

HpaReading HpaPolicy::reading_of(const HpaMetricSpec& metric, TimePoint now) const {
  HpaReading reading;
  if (is_own_load(metric)) {
    const SampleMean& load = metric.name == "rps" ? requests_ : concurrency_;
    if (load.stale(now)) reading.error = fmt::format("nobody measures {} any more", metric.name);
    reading.total = thousandths(load.mean());
    return reading;
  }
  if (is_outside(metric)) {
    const OutsideNumber* number = outside_number(outside_, metric.name);
    if (number == nullptr) {
      reading.error = fmt::format("nobody says where {} is to be had", metric.name);
    } else {
      reading.error = number->error;
      reading.total = thousandths(number->value);
    }
    return reading;
  }
  if (metric.source == HpaMetricSpec::Source::kPods) {
    reading.error = fmt::format("nobody measures {} of each pod", metric.name);
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
  const int ready = std::clamp(situation.ready, 0, kMostPods);
  const int starting = std::clamp(situation.starting, 0, kMostPods);
  HpaInput input{.now = situation.now, .current = ready + starting};
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
  while (input.pods.size() < static_cast<size_t>(ready)) {
    input.pods.push_back({.containers = containers});
  }
  for (int i = 0; i < starting; ++i) {
    input.pods.push_back({.phase = HpaPod::Phase::kPending, .containers = containers});
  }
  for (const auto& metric : settings_.spec.metrics) {
    HpaReading& reading = input.readings.emplace_back(reading_of(metric, situation.now));
    const bool each = metric.source == HpaMetricSpec::Source::kPods;
    if (each && ready > 0) reading.samples.push_back({.pod = 0, .value = reading.total / ready});
  }
  return input;
}

std::string HpaPolicy::outside_error(const HpaInput& input) const {
  const auto& metrics = settings_.spec.metrics;
  for (size_t i = 0; i < metrics.size() && i < input.readings.size(); ++i) {
    if (!is_outside(metrics[i]) || input.readings[i].error.empty()) continue;
    return fmt::format("metric {}: {}", metrics[i].name, input.readings[i].error);
  }
  return {};
}

Decision HpaPolicy::decide(const Situation& situation) {
  if (busy(situation)) last_active_ = std::max(last_active_, situation.now);
  // What was measured is gone, or nobody measures any more.
  if (situation.ready == 0 || situation.now - pods_at_ > Hpa::kDecidePeriod) pods_.clear();
  // The last step only: the way down to it is the algorithm's, with its stabilization.
  const int last = std::max(1, settings_.spec.min);
  const int pods =
      std::clamp(situation.ready, 0, kMostPods) + std::clamp(situation.starting, 0, kMostPods);
  if (settings_.zero_after && situation.now >= last_active_ + *settings_.zero_after &&
      pods <= last && (pods <= 0 || !concurrency_.stale(situation.now))) {
    last_ = Decision();
    last_.valid = true;
    last_.reason = "no request for as long as it takes to go to zero";
    next_ = situation.now;
    seen_.reset();
    known_ = 0;
    return last_;
  }
  if (situation.now >= next_) {
    auto seen = std::make_shared<HpaSeen>();
    seen->input = input_of(situation);
    seen->result = hpa_.decide(seen->input);
    const HpaResult& result = seen->result;
    next_ = result.valid ? situation.now + Hpa::kDecidePeriod : situation.now;
    last_ = Decision();
    last_.error = outside_error(seen->input);
    last_.valid = result.valid;
    last_.desired = result.desired;
    last_.stable = concurrency_.mean();
    last_.panic_value = last_.stable;
    if (result.valid) known_ = result.desired;
    last_.reason = result.text;  // made every 15 s only: always
    seen_ = std::move(seen);
  }
  Decision decision = last_;
  if (busy(situation) && (!decision.valid || decision.desired < 1)) {
    decision.valid = true;
    decision.desired = std::max({1, pods, known_, settings_.spec.min});
    if (!situation.explain) return decision;
    decision.reason = fmt::format("a request is in the system ({})", last_.reason);
  }
  return decision;
}

}  // namespace ebb::scaling
