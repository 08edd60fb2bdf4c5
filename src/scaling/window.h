// Time-bucketed averages of samples: one bucket per second unless said otherwise, in
// a ring. Below, "second" stands for the time that one bucket spans.
//
// The arithmetic is that of Knative's autoscaler (pkg/autoscaler/aggregation),
// kept to the last rounded decimal, because decisions depend on it. Times are
// truncated to whole buckets of the steady clock. Not thread-safe; a value.
//
//   Window stable(std::chrono::seconds(60));
//   stable.record(now, 12);
//   if (!stable.empty(now)) use(stable.average(now));
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace ebb::scaling {

class Window final {
 public:
  enum class Weighting {
    kLinear,       // every second counts the same
    kExponential,  // the newest second counts most; a fresh window reads low
  };

  // `length` is rounded up to whole buckets, at least one.
  explicit Window(Duration length, Weighting weighting = Weighting::kLinear,
                  Duration bucket = std::chrono::seconds(1));

  // Adds `value` to the bucket of `at`'s second. Seconds skipped since the last
  // record become zeros; a late sample still counts if it is less than one length
  // behind the newest, and is dropped otherwise.
  void record(TimePoint at, double value);

  // A record of 0 in every second after the newest, up to `at`.
  void pass(TimePoint at);

  // Linear: the mean of the seconds from the first record on that are still inside
  // the window, rounded to 6 decimals. Seconds after the newest record are unknown,
  // not zero, until a whole length has passed: then the mean is 0.
  [[nodiscard]] double average(TimePoint now) const;

  // True when the newest record is more than one length old, or there is none.
  [[nodiscard]] bool empty(TimePoint now) const;

  // Changes the length and keeps the newest seconds that fit both.
  void resize(Duration length, TimePoint now);

  [[nodiscard]] Duration length() const { return bucket_length_ * size(); }

 private:
  [[nodiscard]] int64_t size() const { return static_cast<int64_t>(buckets_.size()); }
  [[nodiscard]] int64_t second_of(TimePoint at) const;
  // Of a second less than a length before or after the newest.
  [[nodiscard]] size_t index_of(int64_t second) const;
  [[nodiscard]] double& bucket(int64_t second) { return buckets_[index_of(second)]; }
  [[nodiscard]] double bucket(int64_t second) const { return buckets_[index_of(second)]; }
  [[nodiscard]] double linear_average(int64_t now) const;
  [[nodiscard]] double exponential_average(int64_t now) const;
  void clear();

  Weighting weighting_;
  Duration bucket_length_;
  std::vector<double> buckets_;
  // Added to on record and subtracted from on expiry. A fresh sum would differ in
  // the last decimals.
  double total_ = 0;
  std::optional<int64_t> last_;  // the newest second recorded
  int64_t newest_ = 0;           // where that is in buckets_
  int64_t first_ = 0;            // the oldest second recorded; only with last_
};

// The largest value of the last `length`, in buckets of the decision period. It
// delays scale-down: an amount is lowered only once it was low for the length.
class MaxWindow final {
 public:
  // `length` in whole buckets, rounded up.
  MaxWindow(Duration length, Duration bucket);

  void record(TimePoint at, int value);
  // The largest value recorded in the buckets that the window spans at the last
  // record; 0 before the first.
  [[nodiscard]] int max() const { return falling_.empty() ? 0 : falling_.front().second; }

 private:
  Duration bucket_;
  int64_t buckets_;
  std::deque<std::pair<int64_t, int>> falling_;  // (bucket, value): values strictly fall
};

}  // namespace ebb::scaling
