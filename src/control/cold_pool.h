// How many cold pods of one runtime to hold, learned from those who asked for one and
// from the time that a pod handed out took to be replaced: scaling::Stock within the
// bounds of a setting.
//
// Time is passed in; not thread-safe.
#pragma once

#include <deque>
#include <optional>

#include "base/clock.h"
#include "scaling/pool.h"
#include "scheduling/pool_size.h"

namespace ebb::control {

class ColdPool final {
 public:
  // Other bounds make it forget.
  void set_bounds(const scheduling::PoolSize& bounds);
  // So many pods are wanted, whether there are any or not. Cheap: on the path of requests.
  void asked(TimePoint now, int pods);
  void handed_out(TimePoint now);
  // Now and then: what is beyond the least falls by half in an hour in which nobody asks.
  void settle(TimePoint now);
  // One more pod is cold; before it, `missing` were.
  void arrived(TimePoint now, int64_t missing);
  [[nodiscard]] int size() const { return size_; }

 private:
  [[nodiscard]] bool learns() const { return bounds_.least < bounds_.most; }

  scheduling::PoolSize bounds_;
  std::optional<scaling::Stock> stock_;  // unset: the bounds leave nothing to learn
  std::deque<TimePoint> not_replaced_;   // when those were handed out
  TimePoint quiet_since_{};              // the last ask, or fall
  int size_ = 0;
};

}  // namespace ebb::control
