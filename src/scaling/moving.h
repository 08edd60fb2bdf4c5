// Small fixed-size summaries of a series in time, for policies that keep little state:
// a moving average and a moving peak. Time is passed in; values, not thread-safe.
//
//   MovingAverages<1> load(std::chrono::seconds(6));
//   load.record(now, {12});
//   MovingPeak peak(std::chrono::seconds(60));
//   peak.record(now, 3);
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace ebb::scaling {

// How much of what was seen before a moving average keeps, and the weight of all. Of
// averages over the same samples there need be only one.
class MovingWeight final {
 public:
  explicit MovingWeight(Duration span);

  // What to do to a sum of values for a new one: sum x kept + value x samples.
  struct Step {
    double kept = 0;
    double samples = 0;
  };
  [[nodiscard]] Step record(TimePoint at, Duration span);
  [[nodiscard]] double all() const { return weight_; }

 private:
  [[nodiscard]] double kept_after(Duration age) const;

  Duration span_;
  double second_;  // kept_after(1 s)
  double weight_ = 0;
  std::optional<TimePoint> last_;
};

// The means of N series of samples of one second each, where a sample's weight falls by e
// for each `span` of age. From the first sample on they are means of what was seen: a young
// one does not read low. Samples of one moment add up.
template <size_t N>
class MovingAverages final {
 public:
  explicit MovingAverages(Duration span) : weight_(span) {}

  // `span`: of more than a second they are one sample for each. The values are finite.
  void record(TimePoint at, const std::array<double, N>& values,
              Duration span = std::chrono::seconds(1)) {
    const auto [kept, samples] = weight_.record(at, span);
    for (size_t i = 0; i < N; ++i) sums_[i] = sums_[i] * kept + values[i] * samples;
  }
  [[nodiscard]] double value(size_t i = 0) const {
    return weight_.all() > 0 ? sums_[i] / weight_.all() : 0;
  }

 private:
  MovingWeight weight_;
  std::array<double, N> sums_{};
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
  // When a record of less will find another value(): until then nothing else need be told.
  [[nodiscard]] TimePoint value_until() const;

 private:
  Duration part_;
  std::optional<TimePoint> first_;  // parts are counted from here
  int64_t newest_ = 0;
  std::array<int, kParts + 1> parts_{};
};

}  // namespace ebb::scaling
