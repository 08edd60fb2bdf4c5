#include "sim/timeline.h"

#include <algorithm>

#include "sim/report.h"

namespace ebb::sim {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

}  // namespace

TimelineRecorder::TimelineRecorder(int64_t length_ns, std::function<int()> nodes)
    : length_(std::max<int64_t>(length_ns, 1)),
      // Whole seconds.
      width_(std::max<int64_t>(1, (length_ / kMostBins + kSecond - 1) / kSecond) * kSecond),
      nodes_(std::move(nodes)),
      bin_end_(std::min(width_, length_)),
      waits_(kLeastWait) {}

void TimelineRecorder::integrate(int64_t now) {
  const int64_t until = std::clamp(now, integrated_, bin_end_);
  pod_ns_ += pods_ * static_cast<double>(until - integrated_);
  integrated_ = until;
}

void TimelineRecorder::pods(int64_t now, int change) {
  at(now);
  integrate(now);
  pods_ += change;
}

void TimelineRecorder::advance(int64_t now) {
  while (bin_begin_ < length_ && now >= bin_end_) {
    integrate(bin_end_);
    const auto length = static_cast<double>(bin_end_ - bin_begin_);
    bin_.from_s = static_cast<double>(bin_begin_) / kSecond;
    bin_.length_s = length / kSecond;
    bin_.pods = pod_ns_ / length;
    bin_.nodes = nodes_();
    bin_.wait_p99 = waits_.percentile(0.99);
    done_.push_back(bin_);
    bin_ = {};
    pod_ns_ = 0;
    if (waits_.count() > 0) waits_ = Histogram(kLeastWait);
    bin_begin_ = bin_end_;
    bin_end_ = std::min(bin_end_ + width_, length_);
  }
  if (bin_begin_ >= length_) bin_end_ = INT64_MAX;
}

std::vector<TimelineBin> TimelineRecorder::finish() {
  advance(length_);
  return std::move(done_);
}

}  // namespace ebb::sim
