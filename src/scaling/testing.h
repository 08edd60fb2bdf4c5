// A small closed loop for tests: requests arrive, pods start and serve them, a policy is
// fed and asked as production does, and its wish becomes pods. Deterministic.
//
//   ClosedLoop loop(policy, {.start = seconds(20)});
//   loop.run(seconds(300), [](double t) { return t < 60 ? 1.0 : 10.0; });
//   EXPECT_LE(loop.most_pods(), 15);
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "scaling/policy.h"

namespace ebb::scaling {

// When tests begin; late enough that what they look back to is a time, too.
inline constexpr TimePoint kStart{std::chrono::hours(100)};

class ClosedLoop final {
 public:
  struct Settings {
    Duration start = std::chrono::milliseconds(100);    // of a pod
    Duration service = std::chrono::milliseconds(100);  // of a request
    int pod_concurrency = 1;
    Duration ask = std::chrono::seconds(2);  // how often the policy decides
    bool events = false;                     // and whenever requests wait
  };
  ClosedLoop(Policy& policy, const Settings& settings) : policy_(policy), settings_(settings) {}

  // Runs for so long more; `rate(t)` is arrivals per second, evenly spread.
  void run(Duration length, const std::function<double(double)>& rate) {
    for (const TimePoint end = now_ + length; now_ < end; step(rate)) {
    }
  }

  [[nodiscard]] TimePoint now() const { return now_; }
  [[nodiscard]] int pods() const { return ready_ + static_cast<int>(starting_.size()); }
  [[nodiscard]] int most_pods() const { return most_; }
  [[nodiscard]] int starts() const { return starts_; }
  [[nodiscard]] int64_t served() const { return served_; }
  [[nodiscard]] double pod_seconds() const { return pod_seconds_; }
  [[nodiscard]] const Decision& last() const { return last_; }
  [[nodiscard]] const std::vector<int>& history() const { return history_; }  // wishes
  // The share of requests that waited longer than this for a slot.
  [[nodiscard]] double waited(Duration longer) const {
    const auto count = std::count_if(waits_.begin(), waits_.end(),
                                     [longer](Duration wait) { return wait > longer; });
    return waits_.empty() ? 0 : static_cast<double>(count) / static_cast<double>(waits_.size());
  }

 private:
  static constexpr Duration kStep = std::chrono::milliseconds(10);
  static constexpr Duration kSecond = std::chrono::seconds(1);

  void step(const std::function<double(double)>& rate) {
    now_ += kStep;
    const double seconds = std::chrono::duration<double>(kStep).count();
    while (!busy_.empty() && busy_.front() <= now_) {
      busy_.pop_front();
      ++served_;
      metric_.ended += 1;
      metric_.service_seconds += std::chrono::duration<double>(settings_.service).count();
    }
    while (!starting_.empty() && starting_.front() <= now_) {
      starting_.pop_front();
      ++ready_;
    }
    owed_ += rate(std::chrono::duration<double>(now_ - kStart).count()) * seconds;
    for (; owed_ >= 1; owed_ -= 1) {
      waiting_.push_back(now_);
      metric_.requests += 1;
    }
    serve();
    const bool empty = ready_ == 0 && starting_.empty();
    if (!waiting_.empty() && (settings_.events || empty)) decide();
    metric_.concurrency += static_cast<double>(waiting_.size() + busy_.size()) * seconds;
    metric_.queued += static_cast<double>(waiting_.size()) * seconds;
    pod_seconds_ += pods() * seconds;
    most_ = std::max(most_, pods());
    if ((now_ - kStart) % kSecond == Duration(0)) {
      metric_.at = now_;
      policy_.observe(metric_);
      metric_ = Metric();
    }
    if ((now_ - kStart) % settings_.ask == Duration(0)) decide();
  }

  void serve() {
    while (!waiting_.empty() &&
           static_cast<int>(busy_.size()) < ready_ * settings_.pod_concurrency) {
      waits_.push_back(now_ - waiting_.front());
      waiting_.pop_front();
      busy_.push_back(now_ + settings_.service);
    }
  }

  void decide() {
    last_ = policy_.decide({.now = now_,
                            .ready = ready_,
                            .starting = static_cast<int>(starting_.size()),
                            .in_flight = static_cast<int>(busy_.size()),
                            .waiting = static_cast<int>(waiting_.size()),
                            .pod_concurrency = settings_.pod_concurrency,
                            .start_time = settings_.start});
    if (!last_.valid && waiting_.empty()) return;
    const int want = std::max(last_.valid ? last_.desired : pods(), waiting_.empty() ? 0 : 1);
    history_.push_back(want);
    for (; pods() < want; ++starts_) starting_.push_back(now_ + settings_.start);
    while (pods() > want && !starting_.empty()) starting_.pop_back();
    const int busy =
        static_cast<int>(busy_.size() + settings_.pod_concurrency - 1) / settings_.pod_concurrency;
    ready_ = std::min(ready_, std::max(want, busy));  // what is busy drains first
  }

  Policy& policy_;
  const Settings settings_;
  TimePoint now_ = kStart;
  Metric metric_;
  double owed_ = 0;
  std::deque<TimePoint> waiting_;
  std::deque<TimePoint> busy_;      // when each is served; service times are all alike
  std::deque<TimePoint> starting_;  // when each is ready
  int ready_ = 0;
  int most_ = 0;
  int starts_ = 0;
  int64_t served_ = 0;
  double pod_seconds_ = 0;
  Decision last_;
  std::vector<int> history_;
  std::vector<Duration> waits_;
};

}  // namespace ebb::scaling
