// Hierarchical timer wheel: O(1) arm and disarm, coarse, no system call per timer.
// After Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987.
//
// Not thread-safe; pure (time is passed in). Executor owns one and drives it.
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "base/clock.h"

namespace ebb::net {

class TimerWheel;

// An entry that lives in its user (intrusive list). Neither copied nor moved
// while armed. Its destructor disarms it.
class Timer final {
 public:
  Timer() = default;
  explicit Timer(std::function<void()> on_fire) : fire(std::move(on_fire)) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer() { disarm(); }

  [[nodiscard]] bool armed() const { return prev_ != nullptr; }
  void disarm();

  std::function<void()> fire;

 private:
  friend class TimerWheel;
  Timer* prev_ = nullptr;
  Timer* next_ = nullptr;
  uint64_t tick_ = 0;
};

class TimerWheel final {
 public:
  static constexpr Duration kTick = std::chrono::milliseconds(4);

  explicit TimerWheel(TimePoint start);
  ~TimerWheel();  // disarms all
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  // Fires at the first tick not before `when`; a past `when` at the next tick.
  void arm(Timer& timer, TimePoint when);
  // Fires all that is due at `now`. A callback may arm and disarm any timer.
  void advance(TimePoint now);
  // When advance() should next be called: not later than the earliest timer, maybe
  // earlier (an inner wheel turns). kNever when nothing is armed.
  [[nodiscard]] TimePoint next_wake() const;
  [[nodiscard]] bool empty() const;

 private:
  static constexpr int kLevels = 4;
  static constexpr int kSlots = 64;  // 4 ms * 64^4 = 18 h; longer ones are re-armed
  struct Slot;
  void place(Timer& timer);

  TimePoint start_;
  uint64_t tick_ = 0;  // the last tick that was fired
  std::array<std::array<Timer, kSlots>, kLevels> slots_;  // list heads
};

}  // namespace ebb::net
