// Time as a value that is passed in, so that tests and the simulator own it.
#pragma once

#include <chrono>

namespace ebb {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;
using WallTime = std::chrono::system_clock::time_point;

inline constexpr double kNsPerSecond = 1e9;
constexpr double to_seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

// "No deadline". Only for waits that something else ends for sure.
inline constexpr TimePoint kNever = TimePoint::max();

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual TimePoint now() const = 0;  // monotonic: deadlines, durations
  [[nodiscard]] virtual WallTime wall() const = 0;  // calendar: timestamps shown to users
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const override;
  [[nodiscard]] WallTime wall() const override;
};

// Stands still until a test moves it. Not thread-safe.
class FakeClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const override { return now_; }
  [[nodiscard]] WallTime wall() const override { return wall_; }
  void advance(Duration by) {
    now_ += by;
    wall_ += std::chrono::duration_cast<WallTime::duration>(by);
  }

 private:
  TimePoint now_{std::chrono::hours(1)};
  WallTime wall_{std::chrono::sys_days{std::chrono::year{2026} / 1 / 1}};
};

}  // namespace ebb
