#include "scaling/keep_alive.h"

#include <algorithm>
#include <cmath>

namespace ebb::scaling {
namespace {

using Minutes = std::chrono::duration<double, std::ratio<60>>;

constexpr size_t kRecent = 16;  // idle times that a forecast is made from

Duration minutes(double count) { return std::chrono::round<Duration>(Minutes(count)); }

}  // namespace

HybridHistogram::HybridHistogram(const HybridSettings& settings)
    : settings_(settings),
      range_(static_cast<uint32_t>(
          std::max<int64_t>(1, std::chrono::ceil<std::chrono::minutes>(settings.range).count()))) {
  if (settings_.fallback == Duration(0)) settings_.fallback = settings_.range;
}

void HybridHistogram::idle_ended(Duration idle) {
  idle = std::max(idle, Duration(0));
  const auto bin = std::chrono::floor<std::chrono::minutes>(idle).count();
  if (bin >= range_) {
    ++out_of_range_;
  } else {
    const auto index = static_cast<uint32_t>(bin);
    if (index >= bins_.size()) bins_.resize(index + 1);
    squares_ += 2.0 * bins_[index] + 1;
    ++bins_[index];
    ++in_range_;
    move(head_, settings_.head, index);
    move(tail_, settings_.tail, index);
  }
  if (out_of_range_ == 0) return;
  if (recent_.size() == kRecent) recent_.erase(recent_.begin());
  recent_.push_back(static_cast<float>(Minutes(idle).count()));
}

// To the first bin where the samples up to it are at least the share of all. One more
// sample moves that by few bins, so this costs O(1) on average.
void HybridHistogram::move(Percentile& percentile, double share, uint32_t added) {
  if (added < percentile.bin) ++percentile.below;
  const double need = share * static_cast<double>(in_range_);
  while (percentile.bin > 0 && static_cast<double>(percentile.below) >= need) {
    --percentile.bin;
    percentile.below -= bins_[percentile.bin];
  }
  while (percentile.bin + 1 < bins_.size() &&
         static_cast<double>(percentile.below + bins_[percentile.bin]) < need) {
    percentile.below += bins_[percentile.bin];
    ++percentile.bin;
  }
  // Percentile 0 is the first sample, not bin 0.
  while (percentile.bin + 1 < bins_.size() && percentile.below + bins_[percentile.bin] == 0) {
    ++percentile.bin;
  }
}

// Variance / mean^2 of all bins, empty ones included, without the square root.
bool HybridHistogram::has_shape() const {
  if (in_range_ == 0) return false;
  const double samples = static_cast<double>(in_range_);
  const double variation_squared = range_ * squares_ / (samples * samples) - 1;
  return variation_squared >= settings_.min_variation * settings_.min_variation;
}

// x[t] = a + b x[t-1] by least squares, within what was seen; the mean if that says
// nothing.
double HybridHistogram::forecast_minutes() const {
  const auto [least, most] = std::minmax_element(recent_.begin(), recent_.end());
  double mean = 0;
  for (const float x : recent_) mean += x / static_cast<double>(recent_.size());
  double covariance = 0;
  double variance = 0;
  for (size_t i = 0; i + 1 < recent_.size(); ++i) {
    covariance += (recent_[i] - mean) * (recent_[i + 1] - mean);
    variance += (recent_[i] - mean) * (recent_[i] - mean);
  }
  const double slope = variance > 0 ? std::clamp(covariance / variance, -1.0, 1.0) : 0;
  const double next = mean + slope * (recent_.back() - mean);
  return std::clamp<double>(next, *least, *most);
}

IdlePlan HybridHistogram::plan() const {
  const IdlePlan fallback{.unload_after = settings_.fallback,
                          .prewarm_at = Duration(0),
                          .keep_until = settings_.fallback};
  const uint64_t samples = in_range_ + out_of_range_;
  if (samples < settings_.min_samples) return fallback;
  if (static_cast<double>(out_of_range_) >
      settings_.max_out_of_range * static_cast<double>(samples)) {
    const double next = forecast_minutes();
    return {.unload_after = Duration(0),
            .prewarm_at = minutes(next * (1 - settings_.forecast_margin)),
            .keep_until = minutes(next * (1 + settings_.forecast_margin))};
  }
  if (!has_shape()) return fallback;
  // The head rounded down to its bin's start, the tail up to its bin's end.
  const Duration from = minutes(head_.bin * (1 - settings_.margin));
  const Duration until = minutes((tail_.bin + 1) * (1 + settings_.margin));
  if (head_.bin == 0) {
    return {.unload_after = until, .prewarm_at = Duration(0), .keep_until = until};
  }
  return {.unload_after = Duration(0), .prewarm_at = from, .keep_until = until};
}

}  // namespace ebb::scaling
