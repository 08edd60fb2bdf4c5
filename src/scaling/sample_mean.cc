#include "scaling/sample_mean.h"

#include <algorithm>

namespace ebb::scaling {

void SampleMean::record(TimePoint at, Duration span, double value) {
  if (!samples_.empty() && at < samples_.back().at) samples_.clear();
  while (!samples_.empty() && samples_.front().at <= at - length_) samples_.pop_front();
  if (samples_.size() == kMost) samples_.pop_front();  // from a clock that stands still
  const Duration counted = std::clamp(span, Duration(1), std::max(length_, Duration(1)));
  samples_.push_back({at, std::chrono::duration<double>(counted).count(), value});
}

double SampleMean::mean() const {
  double sum = 0;
  double seconds = 0;
  for (const Sample& sample : samples_) {
    sum += sample.value * sample.seconds;
    seconds += sample.seconds;
  }
  return seconds > 0 ? sum / seconds : 0;
}

bool SampleMean::stale(TimePoint now) const {
  return samples_.empty() || now - samples_.back().at > std::max(length_, kLeast);
}

}  // namespace ebb::scaling
