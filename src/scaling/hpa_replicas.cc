#include "scaling/hpa_replicas.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "scaling/policy.h"

namespace ebb::scaling {

namespace {

using Source = HpaMetricSpec::Source;
using Type = HpaMetricSpec::Type;
using Wide = __int128;  // a hundred times the sum of many pods' bytes

bool within_tolerance(const HpaSpec& spec, double ratio) {
  double up = spec.tolerance;
  double down = spec.tolerance;
  if (spec.behavior) {
    up = spec.behavior->up.tolerance.value_or(up);
    down = spec.behavior->down.tolerance.value_or(down);
  }
  return 1 - down <= ratio && ratio <= 1 + up;
}

// The pods by what their samples are good for; each value is an index into the input.
struct Groups {
  std::map<size_t, int64_t> samples;  // of ready pods
  std::vector<size_t> missing;
  std::vector<size_t> unready;
};

bool unready_for_cpu(const HpaSpec& spec, const HpaPod& pod, const HpaReading::Sample& sample,
                     TimePoint now) {
  if (!pod.ready || !pod.started) return true;
  if (*pod.started + spec.cpu_initialization > now) {
    return !*pod.ready || sample.at < pod.ready_changed + sample.window;
  }
  // It has never been ready.
  return !*pod.ready && *pod.started + spec.initial_readiness > pod.ready_changed;
}

Groups group(const HpaSpec& spec, const HpaMetricSpec& metric, const HpaInput& input,
             const HpaReading& reading) {
  const bool resource =
      metric.source == Source::kResource || metric.source == Source::kContainerResource;
  const bool cpu = resource && metric.name == "cpu";
  std::vector<const HpaReading::Sample*> sample_of(input.pods.size(), nullptr);
  for (const auto& sample : reading.samples) {
    if (sample.pod < sample_of.size()) sample_of[sample.pod] = &sample;
  }
  Groups groups;
  for (size_t i = 0; i < input.pods.size(); ++i) {
    const HpaPod& pod = input.pods[i];
    if (pod.deleted || pod.phase == HpaPod::Phase::kFailed) continue;
    const HpaReading::Sample* sample = sample_of[i];
    const bool unready =
        pod.phase == HpaPod::Phase::kPending ||
        (cpu && sample != nullptr && unready_for_cpu(spec, pod, *sample, input.now));
    if (unready) {
      groups.unready.push_back(i);
    } else if (sample == nullptr) {
      groups.missing.push_back(i);
    } else {
      groups.samples[i] = sample->value;
    }
  }
  return groups;
}

// The request of each pod for a resource metric.
Result<std::vector<int64_t>> requests_of(const HpaMetricSpec& metric, const HpaInput& input) {
  std::vector<int64_t> requests;
  requests.reserve(input.pods.size());
  for (const HpaPod& pod : input.pods) {
    int64_t sum = 0;
    bool found = false;
    for (const HpaContainer& container : pod.containers) {
      if (metric.source == Source::kContainerResource && container.name != metric.container) {
        continue;
      }
      const int64_t request =
          metric.name == "memory" ? container.memory_request : container.cpu_request;
      if (request <= 0) {
        return fail(Errc::kUnavailable, "the container {} has no request for {}", container.name,
                    metric.name);
      }
      sum += request;
      found = true;
    }
    if (!found) return fail(Errc::kUnavailable, "a pod has no request for {}", metric.name);
    requests.push_back(sum);
  }
  return requests;
}

// How far the samples are from the target, as Kubernetes computes it: whole percents of
// the requests, or a whole average.
class Usage {
 public:
  Usage(const HpaMetricSpec& metric, std::vector<int64_t> requests)
      : metric_(metric), requests_(std::move(requests)) {}

  // Percent, or thousandths per pod.
  [[nodiscard]] int64_t value(const std::map<size_t, int64_t>& samples) const {
    Wide used = 0;
    Wide requested = 0;
    for (const auto& [pod, sample] : samples) {
      used += sample;
      if (!requests_.empty()) requested += requests_[pod];
    }
    const Wide whole = requests_.empty() ? used / static_cast<Wide>(samples.size())
                                         : used * 100 / std::max<Wide>(requested, 1);
    return static_cast<int64_t>(whole);
  }
  [[nodiscard]] double ratio(const std::map<size_t, int64_t>& samples) const {
    return static_cast<double>(value(samples)) / static_cast<double>(metric_.target);
  }
  // What a pod without a sample is taken to use when that must not lower the amount.
  [[nodiscard]] int64_t assumed(size_t pod) const {
    if (requests_.empty()) return metric_.target;
    const Wide percent = std::max<int64_t>(100, metric_.target);
    return static_cast<int64_t>(requests_[pod] * percent / 100);
  }

 private:
  const HpaMetricSpec& metric_;
  std::vector<int64_t> requests_;  // empty: against an average value
};

std::string describe(const HpaMetricSpec& metric, int64_t value, int replicas) {
  if (metric.type == Type::kUtilization) {
    return fmt::format("{} {} % / {} % -> {}", metric.name, value, metric.target, replicas);
  }
  return fmt::format("{} {:.3f} / {:.3f} -> {}", metric.name, static_cast<double>(value) / 1000,
                     static_cast<double>(metric.target) / 1000, replicas);
}

Result<HpaProposal> per_pod(const HpaSpec& spec, const HpaMetricSpec& metric, const HpaInput& input,
                            const HpaReading& reading) {
  std::vector<int64_t> requests;
  if (metric.type == Type::kUtilization) {
    auto found = requests_of(metric, input);
    if (!found) return fail(found.error());
    requests = std::move(*found);
  }
  Groups groups = group(spec, metric, input, reading);
  if (groups.samples.empty()) {
    return fail(Errc::kUnavailable, "no sample of {} from any ready pod", metric.name);
  }
  const Usage usage(metric, std::move(requests));
  const int64_t value = usage.value(groups.samples);
  const double ratio = usage.ratio(groups.samples);
  const auto proposal = [&](int replicas) {
    return HpaProposal{replicas, describe(metric, value, replicas)};
  };
  const bool count_unready = !groups.unready.empty() && ratio > 1;
  if (groups.missing.empty() && !count_unready) {
    if (within_tolerance(spec, ratio)) return proposal(input.current);
    return proposal(to_pods(std::ceil(ratio * static_cast<double>(groups.samples.size()))));
  }
  // What is not known is taken as what would hold the change back.
  for (const size_t pod : groups.missing) {
    if (ratio < 1) groups.samples[pod] = usage.assumed(pod);
    if (ratio > 1) groups.samples[pod] = 0;
  }
  if (count_unready) {
    for (const size_t pod : groups.unready) groups.samples[pod] = 0;
  }
  const double filled = usage.ratio(groups.samples);
  if (within_tolerance(spec, filled) || (ratio < 1 && filled > 1) || (ratio > 1 && filled < 1)) {
    return proposal(input.current);
  }
  const int replicas = to_pods(std::ceil(filled * static_cast<double>(groups.samples.size())));
  const bool wrong_way =
      (filled < 1 && replicas > input.current) || (filled > 1 && replicas < input.current);
  return proposal(wrong_way ? input.current : replicas);
}

Result<HpaProposal> in_all(const HpaSpec& spec, const HpaMetricSpec& metric, const HpaInput& input,
                           const HpaReading& reading) {
  const auto total = static_cast<double>(reading.total);
  const auto target = static_cast<double>(metric.target);
  const auto proposal = [&](int replicas) {
    return HpaProposal{replicas, describe(metric, reading.total, replicas)};
  };
  if (metric.type == Type::kAverageValue) {
    const bool close =
        input.current > 0 && within_tolerance(spec, total / (target * input.current));
    return proposal(close ? input.current : to_pods(std::ceil(total / target)));
  }
  const double ratio = total / target;
  if (input.current == 0) return proposal(to_pods(std::ceil(ratio)));
  if (within_tolerance(spec, ratio)) return proposal(input.current);
  if (input.pods.empty()) return fail(Errc::kUnavailable, "no pods were found");
  const auto ready = std::count_if(input.pods.begin(), input.pods.end(), [](const HpaPod& pod) {
    return pod.phase == HpaPod::Phase::kRunning && pod.ready.value_or(false);
  });
  return proposal(to_pods(std::ceil(ratio * static_cast<double>(ready))));
}

}  // namespace

Result<HpaProposal> replicas_for(const HpaSpec& spec, const HpaMetricSpec& metric,
                                 const HpaInput& input, const HpaReading& reading) {
  if (!reading.error.empty()) return fail(Errc::kUnavailable, "{}", reading.error);
  const bool whole = metric.source == Source::kObject || metric.source == Source::kExternal;
  return whole ? in_all(spec, metric, input, reading) : per_pod(spec, metric, input, reading);
}

}  // namespace ebb::scaling
