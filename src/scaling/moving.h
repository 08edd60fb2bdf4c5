// Small fixed-size summaries of a series in time, for policies that keep little state:
// a moving average and a moving peak. Time is passed in; values, not thread-safe.
//
//   MovingAverage load(std::chrono::seconds(6));
//   load.record(now, 12);
//   MovingPeak peak(std::chrono::seconds(60));
//   peak.record(now, 3);
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace ebb::scaling {

// The mean of samples of one second each, where a sample's weight falls by e for
// each `span` of age. From the first sample on it is a mean of what was seen: a young
// one does not read low. Samples of one moment add up.
class MovingAverage final {
 public:
  explicit MovingAverage(Duration span);

  void record(TimePoint at, double value);
  [[nodiscard]] double value() const { return weight_ > 0 ? sum_ / weight_ : 0; }

 private:
  [[nodiscard]] double kept_after(Duration age) const;

  Duration span_;
  double second_;  // kept_after(1 s)
  double sum_ = 0;
  double weight_ = 0;
  std::optional<TimePoint> last_;
};

// The largest value of the last `length`, kept in kParts parts: an old value counts for
// up to one part longer.
class MovingPeak final {
 public:
  static constexpr int kParts = 16;
  explicit MovingPeak(Duration length);

  void record(TimePoint at, int value);
  // At the time of the newest record; 0 before the first.
  [[nodiscard]] int value() const;

 private:
  Duration part_;
  std::optional<TimePoint> first_;  // parts are counted from here
  int64_t newest_ = 0;
  std::array<int, kParts + 1> parts_{};
};

}  // namespace ebb::scaling
