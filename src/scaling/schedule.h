// A policy that keeps a floor of pods in windows of the week: office hours, a nightly
// batch. Each window opens and closes by a cron expression in a time zone.
//
// It only raises (Combine::Role::kRaises). Policies have no clock: the wall time is the
// one told at creation plus what passed since; tell it again after the clock was set.
// Written as `OPEN | CLOSE | PODS [| ZONE]`, several with `;` (zone: UTC). Not thread-safe.
//
//   auto windows = parse_schedule("0 8 * * mon-fri | 0 18 * * mon-fri | 5 | Europe/Berlin");
//   Schedule policy(*windows, clock.now(), clock.wall());
//   policy.decide({.now = now}).desired;   // 5 during office hours, else 0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "scaling/cron.h"
#include "scaling/policy.h"

namespace ebb::scaling {

struct ScheduleWindow {
  Cron open;
  Cron close;
  int pods = 0;  // the floor while it is open
  TimeZone zone;
  std::string text;  // as written, for the reason
};

inline constexpr size_t kMaxScheduleWindows = 64;

// kInvalid with the window and what is wrong with it. An empty text is no window. `zone`
// is that of the windows which name none.
[[nodiscard]] Result<std::vector<ScheduleWindow>> parse_schedule(std::string_view text,
                                                                 std::string_view zone = "UTC");

// Whether it opened later than it closed last.
[[nodiscard]] bool is_open(const ScheduleWindow& window, WallTime now);

class Schedule final : public Policy {
 public:
  Schedule(std::vector<ScheduleWindow> windows, TimePoint now, WallTime wall);

  void observe(const Metric& metric) override;  // nothing it needs
  [[nodiscard]] Decision decide(const Situation& situation) override;

 private:
  std::vector<ScheduleWindow> windows_;
  // When it was made: for a caller that does not say Situation::wall.
  TimePoint now_;
  WallTime wall_;
  // The answer holds for the minute it was made in: cron has no finer grain.
  int64_t minute_ = -1;
  Decision last_;
};

}  // namespace ebb::scaling
