// How a simulation went over time: the trace's length in equal bins. What comes after
// the end of the trace is left out. Not thread-safe; time never goes back.
//
//   TimelineRecorder recorder(length_ns);
//   recorder.at(now);                 // before what is said below
//   recorder.called();
//   recorder.pods(+1);
//   std::vector<TimelineBin> bins = recorder.finish();
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "sim/histogram.h"

namespace ebb::sim {

struct TimelineBin {
  double from_s = 0;
  double length_s = 0;
  uint64_t calls = 0;
  double pods = 0;      // on average, those that start included
  int nodes = 0;        // at its end
  double wait_p99 = 0;  // s, of the executions that began in it
};

class TimelineRecorder final {
 public:
  static constexpr int64_t kMostBins = 288;  // 5 minutes of a day

  // `nodes` is asked at the end of each bin.
  TimelineRecorder(int64_t length_ns, std::function<int()> nodes);

  void at(int64_t now) {
    if (now >= bin_end_) advance(now);
  }
  void called() { ++bin_.calls; }
  void pods(int64_t now, int change);
  void waited(double seconds) { waits_.add(seconds); }
  [[nodiscard]] std::vector<TimelineBin> finish();

 private:
  void advance(int64_t now);
  void integrate(int64_t now);

  int64_t length_;
  int64_t width_;
  std::function<int()> nodes_;
  int64_t bin_begin_ = 0;
  int64_t bin_end_ = 0;
  int64_t integrated_ = 0;
  double pod_ns_ = 0;
  int pods_ = 0;
  TimelineBin bin_;
  Histogram waits_;
  std::vector<TimelineBin> done_;
};

}  // namespace ebb::sim
