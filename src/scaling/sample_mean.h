// The mean of samples over a length of time, each for as long as it spans. What nobody
// measured counts for nothing: no second in between is taken for zero, as scaling/window.h
// does in Knative's manner. A value, not thread-safe.
//
//   SampleMean load(std::chrono::seconds(10));
//   load.record(now, metric.period, 12);
//   if (!load.stale(now)) use(load.mean());
#pragma once

#include <cstddef>
#include <deque>

#include "base/clock.h"

namespace ebb::scaling {

class SampleMean final {
 public:
  explicit SampleMean(Duration length) : length_(length) {}

  static constexpr size_t kMost = 4096;  // samples: an hour of them, one each second
  // A finite value that held for the `span` before `at`. After a clock that went back what
  // was seen before is from another time: it begins anew.
  void record(TimePoint at, Duration span, double value);

  // Of those that began less than a length before the newest ended; 0: there is none.
  // Summed anew: a sum that is added to and taken from would not come back to 0.
  [[nodiscard]] double mean() const;

  // Nothing is known of now: there is none, or the newest is older than the length, and than
  // kLeast, which samples of a second that come late may be.
  static constexpr Duration kLeast = std::chrono::seconds(5);
  [[nodiscard]] bool stale(TimePoint now) const;

 private:
  struct Sample {
    TimePoint at;
    double seconds = 0;
    double value = 0;
  };

  Duration length_;
  std::deque<Sample> samples_;
};

}  // namespace ebb::scaling
