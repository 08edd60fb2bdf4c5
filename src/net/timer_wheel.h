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
  // Re-arming moves the timer; kNever leaves it disarmed.
  void arm(Timer& timer, TimePoint when);
  // Fires all that is due at `now`, in order, and returns how many that were. A
  // callback may arm, disarm and destroy any timer, its own too.
  size_t advance(TimePoint now);
  // The moment at which an armed timer fires if advance() is called in time.
  [[nodiscard]] TimePoint fires_at(const Timer& timer) const;
  // When advance() should next be called: not later than the earliest timer, maybe
  // earlier (an inner wheel turns). kNever when nothing is armed.
  [[nodiscard]] TimePoint next_wake() const;
  [[nodiscard]] bool empty() const;

 private:
  static constexpr int kLevels = 4;
  static constexpr int kSlots = 64;  // 4 ms * 64^4 = 18 h; longer ones are re-armed
  static constexpr int kSlotBits = 6;
  using Slot = Timer;  // the head of a ring

  void place(Timer& timer);
  void refile(Slot& slot);  // moves its timers to where they belong from tick_ on
  size_t fire(Slot& slot);
  [[nodiscard]] uint64_t next_event() const;  // a tick, or kNoEvent
  [[nodiscard]] TimePoint time_of(uint64_t tick) const;

  TimePoint start_;
  uint64_t tick_ = 0;   // the last tick that was fired
  uint64_t floor_ = 0;  // timers armed now fire after this tick; >= tick_
  std::array<std::array<Slot, kSlots>, kLevels> slots_;
  Slot far_;  // beyond the wheels
  // One bit per slot that may hold timers. Disarming leaves bits; looking clears them.
  mutable std::array<uint64_t, kLevels> occupied_{};
};

}  // namespace ebb::net
