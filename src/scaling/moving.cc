#include "scaling/moving.h"

#include <algorithm>
#include <cmath>

namespace ebb::scaling {

MovingWeight::MovingWeight(Duration span)
    : span_(std::max(span, Duration(1))), second_(kept_after(std::chrono::seconds(1))) {}

double MovingWeight::kept_after(Duration age) const {
  return std::exp(-std::chrono::duration<double>(age) / std::chrono::duration<double>(span_));
}

MovingWeight::Step MovingWeight::record(TimePoint at, Duration span) {
  constexpr Duration kSecond = std::chrono::seconds(1);
  constexpr Duration kSameMoment = std::chrono::milliseconds(500);
  Step step{.kept = 1, .samples = 1};
  if (last_) {
    const bool went_back = at < *last_;
    const Duration age = went_back ? kSecond : at - *last_;
    if (age < kSameMoment) return step;
    step.kept = age == kSecond ? second_ : kept_after(age);
  }
  // 1 + second_ + second_^2 + ...
  if (span > kSecond) step.samples = (1 - kept_after(span)) / (1 - second_);
  weight_ = weight_ * step.kept + step.samples;
  last_ = at;
  return step;
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

TimePoint MovingPeak::value_until() const {
  if (!first_) return {};
  const auto size = static_cast<int64_t>(parts_.size());
  const int peak = value();
  int64_t part = newest_;
  while (part > newest_ - size &&
         parts_[static_cast<size_t>((part % size + size) % size)] != peak) {
    --part;
  }
  return *first_ + (part + size) * part_;
}

int MovingPeak::value() const { return *std::max_element(parts_.begin(), parts_.end()); }

}  // namespace ebb::scaling
