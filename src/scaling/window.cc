#include "scaling/window.h"

#include <algorithm>
#include <cmath>

namespace ebb::scaling {

namespace {

constexpr double kDecimals = 1e6;
// The exponential weights of a whole window sum up to this share ...
constexpr double kWeightPrecision = 0.9999;
// ... unless the newest second would then count less than this.
constexpr double kMinSmoothing = 0.2;

int64_t buckets_of(Duration length, Duration bucket) {
  return std::max<int64_t>(1, (length + bucket - Duration(1)) / bucket);
}

// Plus zero: a tiny negative rest of the running total is not to be shown as "-0".
double rounded(double value) { return std::round(value * kDecimals) / kDecimals + 0.0; }

double smoothing_of(size_t buckets) {
  const double share = 1 - std::pow(1 - kWeightPrecision, 1.0 / static_cast<double>(buckets));
  return std::max(kMinSmoothing, share);
}

}  // namespace

Window::Window(Duration length, Weighting weighting, Duration bucket)
    : weighting_(weighting),
      bucket_length_(bucket),
      buckets_(static_cast<size_t>(buckets_of(length, bucket))) {}

int64_t Window::second_of(TimePoint at) const {
  const Duration since = at.time_since_epoch();
  // A division by what is known here costs a tenth.
  constexpr Duration kSecond = std::chrono::seconds(1);
  const int64_t whole = bucket_length_ == kSecond ? since / kSecond : since / bucket_length_;
  return since < whole * bucket_length_ ? whole - 1 : whole;  // rounded down, also below zero
}

size_t Window::index_of(int64_t second) const {
  int64_t at = newest_ + (second - *last_);
  if (at < 0) at += size();
  if (at >= size()) at -= size();
  return static_cast<size_t>(at);
}

void Window::clear() {
  std::fill(buckets_.begin(), buckets_.end(), 0.0);
  total_ = 0;
}

void Window::record(TimePoint at, double value) {
  const int64_t second = second_of(at);
  if (!last_ || second - *last_ >= size()) {
    clear();
    first_ = second;
    last_ = second;
  } else if (*last_ - second >= size()) {
    return;
  } else {
    double total = total_;  // kept out of memory for the loop
    for (int64_t skipped = *last_ + 1; skipped <= second; ++skipped) {
      double& expired = bucket(skipped);
      total -= expired;
      expired = 0;
    }
    total_ = total;
    first_ = std::min(first_, second);
    if (second > *last_) {
      newest_ = static_cast<int64_t>(index_of(second));
      last_ = second;
    }
  }
  bucket(second) += value;
  total_ += value;
}

void Window::pass(TimePoint at) {
  const int64_t second = second_of(at);
  if (!last_ || second <= *last_) return record(at, 0);
  const int64_t passed = second - *last_;
  // Each bucket once, the oldest first.
  double total = total_;
  for (int64_t skipped = 1; skipped <= std::min(passed, size()); ++skipped) {
    double& expired = bucket(*last_ + skipped);
    total -= expired;
    expired = 0;
  }
  total_ = total;
  newest_ = (newest_ + passed) % size();
  last_ = second;
}

double Window::average(TimePoint now) const {
  const int64_t second = second_of(now);
  if (!last_ || second - *last_ >= size()) return 0;
  return weighting_ == Weighting::kLinear ? linear_average(second) : exponential_average(second);
}

double Window::linear_average(int64_t now) const {
  const int64_t behind = std::max<int64_t>(0, now - *last_);
  double sum = total_;
  for (int64_t expired = *last_ + 1; expired <= now; ++expired) sum -= bucket(expired);
  const int64_t seconds = std::min(*last_ - first_ + 1, size() - behind);
  return rounded(sum / static_cast<double>(seconds));
}

double Window::exponential_average(int64_t now) const {
  const double smoothing = smoothing_of(buckets_.size());
  const int64_t behind = std::max<int64_t>(0, now - *last_);
  double weight = smoothing * std::pow(1 - smoothing, static_cast<double>(behind));
  double sum = 0;
  for (int64_t i = 0; i < size() - behind; ++i) {
    sum += bucket(*last_ - i) * weight;
    weight *= 1 - smoothing;
  }
  return sum;
}

bool Window::empty(TimePoint now) const { return !last_ || second_of(now) - *last_ > size(); }

void Window::resize(Duration length, TimePoint now) {
  const int64_t buckets = buckets_of(length, bucket_length_);
  if (buckets == size()) return;
  Window resized(length, weighting_, bucket_length_);
  if (!empty(now)) {
    resized.last_ = last_;
    for (int64_t i = 0; i < std::min(buckets, size()); ++i) {
      resized.bucket(*last_ - i) = bucket(*last_ - i);
      resized.total_ += bucket(*last_ - i);
    }
    resized.first_ = *last_ - (size() - 1);
  }
  *this = std::move(resized);
}

MaxWindow::MaxWindow(Duration length, Duration bucket)
    : bucket_(bucket), buckets_(std::max<int64_t>(1, (length + bucket - Duration(1)) / bucket)) {}

void MaxWindow::record(TimePoint at, int value) {
  const int64_t now = at.time_since_epoch() / bucket_;
  while (!falling_.empty() && falling_.back().second <= value) falling_.pop_back();
  while (!falling_.empty() && falling_.front().first <= now - buckets_) falling_.pop_front();
  falling_.emplace_back(now, value);
}

}  // namespace ebb::scaling
