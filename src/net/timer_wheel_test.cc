#include "net/timer_wheel.h"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <random>

namespace ebb::net {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr TimePoint kStart{hours(1000)};
constexpr Duration kTick = TimerWheel::kTick;

TEST(TimerWheel, FiresAtTheFirstTickNotBefore) {
  TimerWheel wheel(kStart);
  int fired = 0;
  Timer timer([&] { ++fired; });
  wheel.arm(timer, kStart + milliseconds(10));  // ticks are at 8 and 12
  EXPECT_EQ(wheel.fires_at(timer), kStart + milliseconds(12));
  EXPECT_EQ(wheel.advance(kStart + milliseconds(12) - Duration(1)), 0U);
  EXPECT_TRUE(timer.armed());
  EXPECT_EQ(wheel.advance(kStart + milliseconds(12)), 1U);
  EXPECT_EQ(fired, 1);
  EXPECT_FALSE(timer.armed());
  EXPECT_TRUE(wheel.empty());
}

TEST(TimerWheel, APastTimeFiresAtTheNextTick) {
  TimerWheel wheel(kStart);
  wheel.advance(kStart + seconds(1));
  Timer timer([] {});
  wheel.arm(timer, kStart);
  EXPECT_EQ(wheel.advance(kStart + seconds(1)), 0U);
  EXPECT_EQ(wheel.advance(kStart + seconds(1) + kTick), 1U);
}

TEST(TimerWheel, NeverArmsNothing) {
  TimerWheel wheel(kStart);
  Timer timer([] {});
  wheel.arm(timer, kStart + seconds(1));
  wheel.arm(timer, kNever);
  EXPECT_FALSE(timer.armed());
  EXPECT_TRUE(wheel.empty());
  EXPECT_EQ(wheel.next_wake(), kNever);
}

TEST(TimerWheel, CallbacksMayDestroyAndRearm) {
  TimerWheel wheel(kStart);
  auto victim = std::make_unique<Timer>([] { FAIL() << "destroyed before it was due"; });
  auto self = std::make_unique<Timer>();
  int again = 0;
  Timer repeats;
  repeats.fire = [&] {
    ++again;
    wheel.arm(repeats, kStart);  // the past: not within this advance()
  };
  self->fire = [&] {
    victim.reset();
    self.reset();
  };
  wheel.arm(*self, kStart + seconds(1));
  wheel.arm(*victim, kStart + seconds(1));
  wheel.arm(repeats, kStart + seconds(1));
  EXPECT_EQ(wheel.advance(kStart + seconds(9)), 2U);
  EXPECT_EQ(self, nullptr);
  EXPECT_EQ(victim, nullptr);
  EXPECT_EQ(again, 1);
  EXPECT_EQ(wheel.advance(kStart + seconds(9) + kTick), 1U);
}

TEST(TimerWheel, DestructionDisarms) {
  Timer timer([] {});
  Timer far([] {});
  {
    TimerWheel wheel(kStart);
    wheel.arm(timer, kStart + seconds(1));
    wheel.arm(far, kStart + hours(1000));
  }
  EXPECT_FALSE(timer.armed());
  EXPECT_FALSE(far.armed());
}

TEST(TimerWheel, AFarTimerNeedsFewWakes) {
  for (const Duration after :
       {Duration(seconds(75)), Duration(minutes(50)), Duration(hours(100))}) {
    TimerWheel wheel(kStart);
    Timer timer([] {});
    wheel.arm(timer, kStart + after);
    int wakes = 0;
    TimePoint now = kStart;
    for (; timer.armed(); ++wakes) {
      const TimePoint wake = wheel.next_wake();
      ASSERT_GT(wake, now);
      now = wake;
      wheel.advance(now);
    }
    EXPECT_EQ(now, kStart + after);
    EXPECT_LE(wakes, 12);
  }
}

// Against a model: each timer fires at its tick, in the order of ticks, whatever is
// armed, moved or disarmed in between, and next_wake() never comes late.
class Model {
 public:
  explicit Model(unsigned seed) : random_(seed) {
    for (size_t i = 0; i < kTimers; ++i) {
      timers_.emplace_back([this, i] { on_fire(i); });
    }
    due_.resize(kTimers, kNever);
  }

  void run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
      switch (random_() % 4) {
        case 0:
        case 1:
          arm(random_() % kTimers, now_ + some_duration());
          break;
        case 2:
          disarm(random_() % kTimers);
          break;
        default:
          advance(random_() % 3 == 0 ? earliest() : now_ + some_duration() / 4);
      }
      check_wake();
    }
  }

 private:
  static constexpr size_t kTimers = 60;

  Duration some_duration() {
    // All scales alike, from below a tick to far beyond the wheels.
    const auto scale = static_cast<int64_t>(uint64_t{1} << (random_() % 48 + 10));
    return Duration(std::uniform_int_distribution<int64_t>(-scale / 16, scale)(random_));
  }

  void arm(size_t i, TimePoint when) {
    wheel_.arm(timers_[i], when);
    const Duration after = when - kStart;
    const int64_t exact =
        after.count() <= 0 ? 0 : (after.count() + kTick.count() - 1) / kTick.count();
    const int64_t next = (now_ - kStart) / kTick + 1;
    due_[i] = kStart + kTick * std::max(exact, next);
    ASSERT_EQ(wheel_.fires_at(timers_[i]), due_[i]);
  }

  void disarm(size_t i) {
    timers_[i].disarm();
    due_[i] = kNever;
  }

  void advance(TimePoint to) {
    if (to == kNever || to < now_) return;
    now_ = to;
    last_fired_ = TimePoint{};
    wheel_.advance(to);
    for (size_t i = 0; i < kTimers; ++i) {
      ASSERT_TRUE(due_[i] == kNever || due_[i] > now_) << "timer " << i << " was missed";
      ASSERT_EQ(timers_[i].armed(), due_[i] != kNever);
    }
  }

  void on_fire(size_t i) {
    ASSERT_LE(due_[i], now_) << "timer " << i << " fired early";
    ASSERT_GE(due_[i], last_fired_) << "out of order";
    last_fired_ = due_[i];
    due_[i] = kNever;
    if (random_() % 3 == 0) arm(random_() % kTimers, now_ + some_duration());
    if (random_() % 5 == 0) disarm(random_() % kTimers);
  }

  [[nodiscard]] TimePoint earliest() const { return *std::min_element(due_.begin(), due_.end()); }

  void check_wake() const {
    ASSERT_LE(wheel_.next_wake(), earliest());
    ASSERT_EQ(wheel_.empty(), earliest() == kNever);
    if (!wheel_.empty()) {
      ASSERT_GT(wheel_.next_wake(), now_ - kTick);
    }
  }

  std::mt19937_64 random_;
  TimerWheel wheel_{kStart};
  std::deque<Timer> timers_;
  std::vector<TimePoint> due_;  // kNever: not armed
  TimePoint now_ = kStart;
  TimePoint last_fired_;
};

TEST(TimerWheel, AgreesWithASortedModel) {
  for (unsigned seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    Model model(seed);
    model.run(3000);
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace ebb::net
