#include "scaling/pool.h"

#include <algorithm>
#include <cmath>

namespace ebb::scaling {

namespace {

// The reckoned time of supply falls by this share with each quicker one, and jumps to
// each slower one: about the slowest of the last hundred.
constexpr double kForget = 0.01;

}  // namespace

Stock::Stock(const StockSettings& settings)
    : settings_(settings),
      supply_(settings.supply),
      seen_(static_cast<size_t>(std::clamp(settings.most, 1, 65536)) + 1) {}

void Stock::supplied(Duration took) {
  if (took <= Duration(0)) return;
  const auto eased =
      std::chrono::duration_cast<Duration>(std::chrono::duration<double>(supply_) * (1 - kForget) +
                                           std::chrono::duration<double>(took) * kForget);
  supply_ = measured_ ? std::max(took, eased) : took;
  measured_ = true;
}

void Stock::fade(TimePoint now) {
  if (!faded_ || now < *faded_) faded_ = now;
  const double halves = std::chrono::duration<double>(now - *faded_) /
                        std::chrono::duration<double>(settings_.memory);
  constexpr double kWorthIt = 0.01;  // of a half: not at each one that asks
  if (halves < kWorthIt) return;
  const double kept = std::exp2(-halves);
  // Sums anew: what is added and taken away one by one has rounding errors.
  all_ = 0;
  enough_ = 0;
  for (size_t n = 0; n < used_; ++n) {
    seen_[n] *= kept;
    all_ += seen_[n];
    if (n == size_) enough_ = all_;
  }
  if (size_ >= used_) enough_ = all_;
  faded_ = now;
}

void Stock::settle() {
  const double least = settings_.share * all_ * (1 - 1e-9);  // of a sum's rounding error
  while (size_ + 1 < seen_.size() && enough_ < least) enough_ += seen_[++size_];
  while (size_ > 0 && enough_ - seen_[size_] >= least) enough_ -= seen_[size_--];
}

void Stock::asked(TimePoint now, int count) {
  if (count <= 0) return;
  fade(now);
  if (!recent_.empty() && now < recent_.back().at) {  // the clock went back
    for (Asked& one : recent_) one.at = std::min(one.at, now);
  }
  while (!recent_.empty() && recent_.front().at <= now - supply_) {
    within_ -= recent_.front().count;
    recent_.pop_front();
  }
  const auto last = static_cast<int64_t>(seen_.size()) - 1;
  // The first of them sees one more than those before, and so on.
  const int64_t first = within_ + 1;
  const int64_t end = within_ + count;
  const auto add = [this](int64_t n, double weight) {
    seen_[static_cast<size_t>(n)] += weight;
    used_ = std::max(used_, static_cast<size_t>(n) + 1);
    all_ += weight;
    if (static_cast<size_t>(n) <= size_) enough_ += weight;
  };
  for (int64_t n = first; n <= std::min(end, last); ++n) add(n, 1);
  if (end > last) add(last, static_cast<double>(end - std::max(first - 1, last)));
  settle();
  recent_.push_back({now, count});
  within_ = end;
  // Beyond the most it makes no difference how many more there are.
  while (recent_.size() > seen_.size()) {
    within_ -= recent_.front().count;
    recent_.pop_front();
  }
}

int Stock::size() const {
  return std::clamp(static_cast<int>(size_), settings_.least,
                    std::max(settings_.least, settings_.most));
}

}  // namespace ebb::scaling
