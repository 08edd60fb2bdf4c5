#include "net/timer_wheel.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace ebb::net {
namespace {

constexpr uint64_t kNoEvent = UINT64_MAX;

}  // namespace

void Timer::disarm() {
  if (!prev_) return;
  prev_->next_ = next_;
  next_->prev_ = prev_;
  prev_ = next_ = nullptr;
}

TimerWheel::TimerWheel(TimePoint start) : start_(start) {
  for (auto& level : slots_) {
    for (Slot& slot : level) slot.prev_ = slot.next_ = &slot;
  }
  far_.prev_ = far_.next_ = &far_;
}

TimerWheel::~TimerWheel() {
  const auto clear = [](Slot& slot) {
    while (slot.next_ != &slot) slot.next_->disarm();
  };
  for (auto& level : slots_) std::for_each(level.begin(), level.end(), clear);
  clear(far_);
}

TimePoint TimerWheel::time_of(uint64_t tick) const {
  // The last representable tick stands for everything beyond.
  if (tick >= static_cast<uint64_t>((kNever - start_) / kTick)) return kNever;
  return start_ + kTick * static_cast<int64_t>(tick);
}

TimePoint TimerWheel::fires_at(const Timer& timer) const { return time_of(timer.tick_); }

void TimerWheel::arm(Timer& timer, TimePoint when) {
  timer.disarm();
  if (when == kNever) return;
  uint64_t tick = 0;
  if (when > start_) {
    const Duration after = when - start_;
    tick = static_cast<uint64_t>(after / kTick) + (after % kTick != Duration::zero() ? 1 : 0);
  }
  timer.tick_ = std::max(tick, floor_ + 1);
  place(timer);
}

// A timer stands in the wheel of the highest group of bits in which its tick
// differs from the current one, so it comes down when that group has turned.
void TimerWheel::place(Timer& timer) {
  const uint64_t differs = timer.tick_ ^ tick_;
  const int level = differs == 0 ? 0 : (std::bit_width(differs) - 1) / kSlotBits;
  Slot* head = &far_;
  if (level < kLevels) {
    const auto index = (timer.tick_ >> (level * kSlotBits)) % kSlots;
    occupied_[level] |= uint64_t{1} << index;
    head = &slots_[level][index];
  }
  timer.prev_ = head->prev_;
  timer.next_ = head;
  head->prev_->next_ = &timer;
  head->prev_ = &timer;
}

void TimerWheel::refile(Slot& slot) {
  // Takes the whole ring off first: a far timer may go back to where it was.
  Timer* timer = slot.next_;
  slot.prev_ = slot.next_ = &slot;
  while (timer != &slot) {
    Timer* const next = timer->next_;
    place(*timer);
    timer = next;
  }
}

size_t TimerWheel::fire(Slot& slot) {
  size_t fired = 0;
  while (slot.next_ != &slot) {
    Timer& timer = *slot.next_;
    timer.disarm();
    // A copy: the callback may destroy its timer, as a resumed coroutine does.
    const auto callback = timer.fire;
    if (callback) callback();
    ++fired;
  }
  return fired;
}

uint64_t TimerWheel::next_event() const {
  uint64_t earliest = kNoEvent;
  for (int level = 0; level < kLevels; ++level) {
    const int shift = level * kSlotBits;
    for (uint64_t bits = occupied_[level]; bits != 0; bits &= bits - 1) {
      const int index = std::countr_zero(bits);
      const Slot& slot = slots_[level][index];
      if (slot.next_ == &slot) {
        occupied_[level] &= ~(uint64_t{1} << index);
        continue;
      }
      // Slots fill up ahead of the current index only, so the lowest is the first.
      const uint64_t turn = tick_ >> (shift + kSlotBits) << (shift + kSlotBits);
      earliest = std::min(earliest, turn + (static_cast<uint64_t>(index) << shift));
      break;
    }
  }
  if (far_.next_ != &far_) {
    constexpr int kShift = kLevels * kSlotBits;
    earliest = std::min(earliest, ((tick_ >> kShift) + 1) << kShift);
  }
  return earliest;
}

size_t TimerWheel::advance(TimePoint now) {
  if (now <= start_) return 0;
  const auto target = static_cast<uint64_t>((now - start_) / kTick);
  if (target <= tick_) return 0;
  floor_ = target;
  size_t fired = 0;
  for (;;) {
    const uint64_t event = next_event();
    if (event > target) break;
    tick_ = event;
    constexpr uint64_t kWhole = uint64_t{1} << (kLevels * kSlotBits);
    if (tick_ % kWhole == 0) refile(far_);
    for (int level = kLevels - 1; level > 0; --level) {
      const int shift = level * kSlotBits;
      if (tick_ % (uint64_t{1} << shift) == 0) refile(slots_[level][(tick_ >> shift) % kSlots]);
    }
    fired += fire(slots_[0][tick_ % kSlots]);
  }
  tick_ = target;
  return fired;
}

TimePoint TimerWheel::next_wake() const {
  const uint64_t event = next_event();
  return event == kNoEvent ? kNever : time_of(event);
}

bool TimerWheel::empty() const { return next_event() == kNoEvent; }

}  // namespace ebb::net
