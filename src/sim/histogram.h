// Distributions by logarithmic buckets: a percentile is off by at most 2 % of its
// value, whatever the range. Values; not thread-safe.
//
//   Histogram waits(1e-6);                 // what is below a microsecond counts as 0
//   waits.add(0.25);
//   waits.percentile(0.99);
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace ebb::sim {

// Buckets: 0 for values up to the least, then one for each factor of kGrowth.
class LogBuckets final {
 public:
  static constexpr double kGrowth = 1.04;   // 2 % to either side of a bucket's middle
  static constexpr uint16_t kCount = 1200;  // the least times 1e20

  // `lowest` stands for the values up to `least`.
  explicit LogBuckets(double least, double lowest = 0) : least_(least), lowest_(lowest) {}
  // Negative and NaN are 0; what is too large is in the last one.
  [[nodiscard]] uint16_t of(double value) const;
  // Its middle.
  [[nodiscard]] double value(uint16_t bucket) const;

 private:
  double least_;
  double lowest_;
};

// One dense array: for what there are few of.
class Histogram final {
 public:
  explicit Histogram(double least, double lowest = 0)
      : buckets_(least, lowest), counts_(LogBuckets::kCount) {}
  void add(double value);
  [[nodiscard]] uint64_t count() const { return count_; }
  [[nodiscard]] double sum() const { return sum_; }
  [[nodiscard]] double mean() const { return count_ == 0 ? 0 : sum_ / static_cast<double>(count_); }
  [[nodiscard]] double max() const { return max_; }
  // The smallest bucket's value that a share p of the values does not exceed; 0 if empty.
  [[nodiscard]] double percentile(double p) const;

 private:
  LogBuckets buckets_;
  std::vector<uint64_t> counts_;
  uint64_t count_ = 0;
  double sum_ = 0;
  double max_ = 0;
};

// Few bytes while it holds few different values: for one per function. 16 bytes empty;
// the first bucket (0: no wait) takes no more.
class SmallHistogram final {
 public:
  void add(uint16_t bucket);
  [[nodiscard]] uint32_t count() const { return count_; }
  // The bucket that a share p of the values does not exceed; 0 if empty.
  [[nodiscard]] uint16_t percentile(double p) const;
  [[nodiscard]] size_t bytes() const;

 private:
  static constexpr uint32_t kMaxSparse = 24;
  struct Entry {
    uint16_t bucket = 0;
    uint32_t count = 0;
  };
  void make_dense();

  uint32_t count_ = 0;
  uint16_t size_ = 0;      // sparse entries
  uint16_t capacity_ = 0;  // kDense: `entries_` is an array by bucket
  static constexpr uint16_t kDense = UINT16_MAX;
  std::unique_ptr<Entry[]> entries_;
};

}  // namespace ebb::sim
