#include "scaling/moving.h"

#include <algorithm>
#include <cmath>

namespace ebb::scaling {

MovingAverage::MovingAverage(Duration span)
    : span_(std::max(span, Duration(1))), second_(kept_after(std::chrono::seconds(1))) {}

double MovingAverage::kept_after(Duration age) const {
  return std::exp(-std::chrono::duration<double>(age) / std::chrono::duration<double>(span_));
}

void MovingAverage::record(TimePoint at, double value) {
  constexpr Duration kSameMoment = std::chrono::milliseconds(500);
  if (!std::isfinite(value)) return;
  const bool went_back = last_ && at < *last_;
  if (last_ && !went_back && at - *last_ < kSameMoment) {
    sum_ += value;
    return;
  }
  if (last_) {
    const Duration age = went_back ? std::chrono::seconds(1) : at - *last_;
    const double kept = age == std::chrono::seconds(1) ? second_ : kept_after(age);
    sum_ *= kept;
    weight_ *= kept;
  }
  sum_ += value;
  weight_ += 1;
  last_ = at;
}

MovingPeak::MovingPeak(Duration length)
    : part_(std::max((length + Duration(kParts - 1)) / kParts, Duration(1))) {}

void MovingPeak::record(TimePoint at, int value) {
  if (!first_) first_ = at;
  const int64_t part = std::max<int64_t>(newest_, (at - *first_) / part_);
  const auto size = static_cast<int64_t>(parts_.size());
  for (int64_t i = std::max(newest_ + 1, part - size + 1); i <= part; ++i) {
    parts_[static_cast<size_t>(i % size)] = 0;
  }
  newest_ = part;
  int& slot = parts_[static_cast<size_t>(part % size)];
  slot = std::max(slot, value);
}

int MovingPeak::value() const { return *std::max_element(parts_.begin(), parts_.end()); }

}  // namespace ebb::scaling
