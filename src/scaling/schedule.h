// A policy that keeps a floor of pods in windows of the week: office hours, a nightly
// batch. Each window opens and closes by a cron expression in a time zone.
//
// It only raises (Combine::Role::kRaises), and goes by Situation::wall.
// Written as `OPEN | CLOSE | PODS [| ZONE]`, several with `;` (zone: UTC). Not thread-safe.
//
//   auto windows = parse_schedule("0 8 * * mon-fri | 0 18 * * mon-fri | 5 | Europe/Berlin");
//   Schedule policy(*windows);
//   policy.decide({.wall = clock.wall()}).desired;   // 5 during office hours, else 0
#pragma once

#include <string>
#include <string_view>
#include <utility>
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
  explicit Schedule(std::vector<ScheduleWindow> windows) : windows_(std::move(windows)) {}

  void observe(const Metric& metric) override;  // nothing it needs
  [[nodiscard]] Decision decide(const Situation& situation) override;

 private:
  std::vector<ScheduleWindow> windows_;
  // The answer holds for the minute it was made in: cron has no finer grain.
  int64_t minute_ = -1;
  Decision last_;
};

}  // namespace ebb::scaling
