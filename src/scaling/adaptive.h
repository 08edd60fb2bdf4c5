// Ebb's own policy, `ebb.dev/adaptive`: staffing by queueing instead of a fixed share.
//
// Three wishes, the largest counts, and it is kept for a window:
// 1. Steady: the smallest number of pods with P(wait > w) <= `share` for the offered load
//    (Erlang C, scaling/erlang.h), where w is `wait`, or `patience` service times if that
//    is more: 100 ms are nothing to a request of 5 s. The load is arrivals times service
//    time, which a queue does not inflate, as it does the concurrency; a single call is
//    none. Where a start takes no longer than w, nobody needs spare pods: whoever finds no
//    slot gets a new one.
// 2. Rising: the same for the last tenth of the window, once that is more than chance.
// 3. Now: for requests that wait at this moment. Those that pods on the way or busy ones
//    will take sooner than a start lasts need no other pod (as in CIDRE, ASPLOS'25).
// Less is wished only once all of the window agrees, so leaving a burst drops nothing
// while load rises, and 0 <-> 1 does not flap: coming back soon after going to zero
// lengthens the wait before the next time.
//
// Ask it at any moment, also between ticks. State is a few hundred bytes and no heap.
// Not thread-safe.
//
//   Adaptive policy({.window = seconds(30)});
//   policy.observe(throttler.sample(now));
//   policy.decide({.now = now, .ready = 1, .in_flight = 1, .waiting = 3,
//                  .pod_concurrency = 1}).desired;   // 4
#pragma once

#include <optional>

#include "scaling/moving.h"
#include "scaling/policy.h"

namespace ebb::scaling {

struct AdaptiveSettings {
  double target = 100;                         // requests of a pod that has no limit of its own
  Duration window = std::chrono::seconds(45);  // that less load must last; at least 1 s
  Duration wait = std::chrono::milliseconds(100);
  double patience = 1;  // service times that a request may wait, if that is more than `wait`
  double share = 0.01;  // of requests that may wait longer, in (0, 1)
  Duration assumed_service = std::chrono::seconds(1);  // until some request has ended
};

class Adaptive final : public Policy {
 public:
  explicit Adaptive(const AdaptiveSettings& settings);

  void observe(const Metric& metric) override;
  [[nodiscard]] Decision decide(const Situation& situation) override;

  // How long nothing must happen before the last pod goes. At most kMostIdle windows.
  static constexpr int kMostIdle = 5;
  [[nodiscard]] Duration idle_time() const { return idle_time_; }
  // Once the wish has fallen to one pod: how long the last decision stays if no request
  // comes. In the past: it is not known.
  [[nodiscard]] TimePoint held_until() const {
    return wish_ <= 1 ? peak_.value_until() : TimePoint();
  }

 private:
  enum LoadPart : size_t { kInside, kQueued, kArrivals };  // in pods, waiting; per second
  using Load = MovingAverages<3>;
  enum EndPart : size_t { kServed, kEnded };  // seconds of service and requests, per second
  struct Wish {
    int pods = 0;
    bool spare = true;  // it has pods for load above the average
  };
  void note_activity(TimePoint at);
  [[nodiscard]] double offered(const Load& load) const;
  [[nodiscard]] double service() const;  // seconds
  [[nodiscard]] double budget() const;   // that a request may wait, seconds
  [[nodiscard]] double slots_of(const Situation& situation) const;
  [[nodiscard]] Wish steady(double load, const Situation& situation) const;
  [[nodiscard]] int now_needed(const Situation& situation) const;
  [[nodiscard]] double significant(double load) const;

  AdaptiveSettings settings_;
  Duration brief_;  // the window of a rise
  Load slow_;
  Load fast_;
  MovingAverages<2> ends_;
  MovingPeak peak_;   // of the wishes
  int wish_ = 0;      // of the last decision, before what is kept of others
  double calls_ = 0;  // since it was at zero
  Duration idle_time_;
  std::optional<TimePoint> last_metric_;
  std::optional<TimePoint> last_active_;
};

}  // namespace ebb::scaling
