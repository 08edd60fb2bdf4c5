#include "sim/keep_alive_run.h"

#include <algorithm>
#include <functional>

namespace ebb::sim {
namespace {

// One function's instances, in the order of its calls.
class Instances {
 public:
  Instances(const KeepAliveOptions& options, int64_t end_ns, KeepAliveResult& result)
      : options_(options), end_ns_(end_ns), result_(result) {}

  void begin(const Function& function) {
    policy_ = options_.policy(function);
    called_ = false;
    calls_ = 0;
    cold_ = 0;
    idle_seconds_ = 0;
    busy_ns_ = 0;
    last_end_ = 0;
    busy_.clear();
    idle_.clear();
    oldest_ = 0;
  }

  void call(const Arrival& arrival) {
    settle(arrival.at_ns);  // they planned without knowing of this call
    if (called_) policy_->idle_ended(Duration(std::max<int64_t>(0, arrival.at_ns - last_end_)));
    const bool warm = options_.one_instance ? warm_alone(arrival) : warm_among_many(arrival);
    ++calls_;
    cold_ += warm ? 0 : 1;
    const int64_t service = arrival.service_ns + (warm ? 0 : options_.cold_start.count());
    busy_ns_ += service;
    const int64_t end = arrival.at_ns + service;
    last_end_ = called_ ? std::max(last_end_, end) : end;
    called_ = true;
    if (options_.one_instance) {
      plan_ = policy_->plan();
    } else {
      busy_.push_back(end);
      std::push_heap(busy_.begin(), busy_.end(), std::greater<>());
    }
  }

  void finish(const Function& function) {
    if (!called_) return;
    if (options_.one_instance) {
      idle(plan_, std::max<int64_t>(0, end_ns_ - last_end_));
    } else {
      settle(INT64_MAX);
      for (size_t i = oldest_; i < idle_.size(); ++i) {
        idle(idle_[i].plan, std::max<int64_t>(0, end_ns_ - idle_[i].since));
      }
    }
    result_.calls += calls_;
    result_.cold += cold_;
    result_.cold_shares.push_back(static_cast<float>(cold_) / static_cast<float>(calls_));
    result_.idle_seconds += idle_seconds_;
    result_.idle_mb_seconds += idle_seconds_ * function.memory_mb;
    result_.busy_mb_seconds += static_cast<double>(busy_ns_) / kNsPerSecond * function.memory_mb;
  }

 private:
  struct Idle {
    int64_t since = 0;
    scaling::IdlePlan plan;
  };

  void idle(const scaling::IdlePlan& plan, int64_t length) {
    idle_seconds_ += to_seconds(plan.loaded_time(Duration(length)));
    if (plan.has_gap() && Duration(length) >= plan.prewarm_at) ++result_.prewarms;
  }

  bool warm_alone(const Arrival& arrival) {
    if (!called_) return false;
    const int64_t idle_ns = arrival.at_ns - last_end_;
    if (idle_ns < 0) return true;  // it is busy, and takes one more
    idle(plan_, idle_ns);
    return plan_.loaded_at(Duration(idle_ns));
  }

  // What has ended by `now` is idle, in the order of ends.
  void settle(int64_t now) {
    while (!busy_.empty() && busy_.front() <= now) {
      const int64_t end = busy_.front();
      std::pop_heap(busy_.begin(), busy_.end(), std::greater<>());
      busy_.pop_back();
      idle_.push_back({end, policy_->plan()});
    }
  }

  bool warm_among_many(const Arrival& arrival) {
    const auto length = [&](const Idle& i) { return Duration(arrival.at_ns - i.since); };
    // Those that are unloaded go: what they planned to load again is planned anew. From
    // the oldest on, for as long as all are; one in between is found when it is taken.
    while (oldest_ < idle_.size() && !idle_[oldest_].plan.loaded_at(length(idle_[oldest_]))) {
      idle(idle_[oldest_].plan, length(idle_[oldest_]).count());
      ++oldest_;
    }
    bool warm = false;
    while (!warm && idle_.size() > oldest_) {  // the one used last is taken first
      const Idle newest = idle_.back();
      idle_.pop_back();
      idle(newest.plan, length(newest).count());
      warm = newest.plan.loaded_at(length(newest));
    }
    if (oldest_ == idle_.size()) {
      idle_.clear();
      oldest_ = 0;
    }
    return warm;
  }

  const KeepAliveOptions& options_;
  int64_t end_ns_;
  KeepAliveResult& result_;
  // Of the function that is replayed:
  std::unique_ptr<scaling::KeepAlive> policy_;
  bool called_ = false;
  uint64_t calls_ = 0;
  uint64_t cold_ = 0;
  double idle_seconds_ = 0;
  int64_t busy_ns_ = 0;
  int64_t last_end_ = 0;       // of all executions
  scaling::IdlePlan plan_;     // with one instance
  std::vector<int64_t> busy_;  // ends, a heap: the first one in front
  std::vector<Idle> idle_;     // by `since`
  size_t oldest_ = 0;          // idle_ before it is gone
};

// Indexes of calls, by function.
std::vector<std::vector<Arrival>> calls_by_function(const Trace& trace,
                                                    const ArrivalOptions& options) {
  std::vector<std::vector<Arrival>> out(trace.size());
  ArrivalStream stream(trace, options);
  std::vector<Arrival> minute;
  while (stream.next(minute)) {
    for (const Arrival& arrival : minute) out[arrival.function].push_back(arrival);
  }
  return out;
}

}  // namespace

double KeepAliveResult::cold_share_at(double p) const {
  if (cold_shares.empty()) return 0;
  const auto at = static_cast<size_t>(p * static_cast<double>(cold_shares.size()));
  return cold_shares[std::min(at, cold_shares.size() - 1)];
}

KeepAliveResult run_keep_alive(const Trace& trace, const KeepAliveOptions& options) {
  KeepAliveResult result;
  const Duration until = options.arrivals.until > Duration(0)
                             ? std::min(options.arrivals.until, trace.length)
                             : trace.length;
  Instances instances(options, until.count(), result);
  ArrivalDraw draw(trace, options.arrivals);
  std::vector<std::vector<Arrival>> known;
  if (!trace.calls.empty()) known = calls_by_function(trace, options.arrivals);
  std::vector<Arrival> arrivals;
  for (FunctionId f = 0; f < trace.size(); ++f) {
    const Function& function = trace.functions[f];
    instances.begin(function);
    if (!known.empty()) {
      for (const Arrival& arrival : known[f]) instances.call(arrival);
    } else {
      for (uint64_t i = trace.first[f]; i < trace.first[f + 1]; ++i) {
        arrivals.clear();
        draw.draw(f, trace.minutes[i].minute, trace.minutes[i].count, arrivals);
        for (const Arrival& arrival : arrivals) {
          if (arrival.at_ns < until.count()) instances.call(arrival);
        }
      }
    }
    instances.finish(function);
  }
  std::sort(result.cold_shares.begin(), result.cold_shares.end());
  return result;
}

}  // namespace ebb::sim
