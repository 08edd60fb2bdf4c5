#include "sim/histogram.h"

#include <algorithm>
#include <cmath>

namespace ebb::sim {
namespace {

// How many values a share p takes, at least one.
double needed(double p, uint64_t count) {
  return std::max(1.0, std::ceil(p * static_cast<double>(count) - 1e-9));
}

}  // namespace

uint16_t LogBuckets::of(double value) const {
  if (!(value > least_)) return 0;
  static const double kScale = 1 / std::log(kGrowth);
  const double bucket = 1 + std::log(value / least_) * kScale;
  return static_cast<uint16_t>(std::min<double>(bucket, kCount - 1));
}

double LogBuckets::value(uint16_t bucket) const {
  if (bucket == 0) return lowest_;
  return least_ * std::pow(kGrowth, bucket - 0.5);
}

void Histogram::add(double value) {
  ++counts_[buckets_.of(value)];
  ++count_;
  sum_ += value;
  max_ = std::max(max_, value);
}

double Histogram::percentile(double p) const {
  if (count_ == 0) return 0;
  const double need = needed(p, count_);
  uint64_t seen = 0;
  for (uint16_t i = 0; i < LogBuckets::kCount; ++i) {
    seen += counts_[i];
    if (static_cast<double>(seen) >= need) return std::min(buckets_.value(i), max_);
  }
  return max_;
}

void SmallHistogram::make_dense() {
  auto dense = std::make_unique<Entry[]>(LogBuckets::kCount);
  for (uint16_t i = 0; i < size_; ++i) dense[entries_[i].bucket].count = entries_[i].count;
  entries_ = std::move(dense);
  capacity_ = kDense;
}

void SmallHistogram::add(uint16_t bucket) {
  ++count_;
  if (bucket == 0) return;  // the rest of count_
  if (capacity_ != kDense) {
    for (uint16_t i = 0; i < size_; ++i) {
      if (entries_[i].bucket == bucket) {
        ++entries_[i].count;
        return;
      }
    }
    if (size_ < kMaxSparse) {
      if (size_ == capacity_) {
        const auto grown = static_cast<uint16_t>(std::max<uint32_t>(2, capacity_ * 2));
        auto entries = std::make_unique<Entry[]>(grown);
        std::copy_n(entries_.get(), size_, entries.get());
        entries_ = std::move(entries);
        capacity_ = grown;
      }
      entries_[size_++] = {bucket, 1};
      return;
    }
    make_dense();
  }
  ++entries_[bucket].count;
}

uint16_t SmallHistogram::percentile(double p) const {
  if (count_ == 0) return 0;
  const double need = needed(p, count_);
  std::vector<Entry> entries;
  if (capacity_ == kDense) {
    for (uint16_t i = 1; i < LogBuckets::kCount; ++i) {
      if (entries_[i].count > 0) entries.push_back({i, entries_[i].count});
    }
  } else {
    entries.assign(entries_.get(), entries_.get() + size_);
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return a.bucket < b.bucket; });
  }
  uint64_t seen = count_;
  for (const auto& entry : entries) seen -= entry.count;
  if (static_cast<double>(seen) >= need) return 0;
  for (const auto& entry : entries) {
    seen += entry.count;
    if (static_cast<double>(seen) >= need) return entry.bucket;
  }
  return entries.back().bucket;
}

size_t SmallHistogram::bytes() const {
  const size_t entries = capacity_ == kDense ? LogBuckets::kCount : capacity_;
  return sizeof(*this) + entries * sizeof(Entry);
}

}  // namespace ebb::sim
