// How much to hold ready: cold pods of a runtime, free slots of nodes.
//
// A burst is as large as what is asked for while more is on the way: pods during the
// time a cold pod takes to be made, instances during the time a node takes to boot. The
// stock follows the newsvendor rule: as much as `share` of those who ask found asked
// for, themselves included, within the time of supply before them. (Not that share of
// all moments: a rare burst is few moments, but everyone in it waits.) Time is passed
// in, and may jump; not thread-safe.
//
//   Stock stock({.most = 64});
//   stock.supplied(refill_time);
//   stock.asked(now, 1);          // a pod was handed out, or was wanted
//   pool.resize(stock.size(now));
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/clock.h"

namespace ebb::scaling {

struct StockSettings {
  int least = 1;
  int most = 256;                             // at most 65536
  double share = 0.99;                        // of those who ask are to find one
  Duration memory = std::chrono::hours(1);    // what was asked counts half after so long
  Duration supply = std::chrono::seconds(1);  // until the first was measured
};

class Stock final {
 public:
  explicit Stock(const StockSettings& settings);

  void asked(TimePoint now, int count);
  void supplied(Duration took);
  // `least` until someone has asked.
  [[nodiscard]] int size() const;
  // The time of supply that is reckoned with: about the slowest of the last hundred.
  [[nodiscard]] Duration supply() const { return supply_; }

 private:
  void fade(TimePoint now);
  void settle();  // size_, after weights have changed a little

  StockSettings settings_;
  Duration supply_;
  bool measured_ = false;
  struct Asked {
    TimePoint at;
    int count;
  };
  std::deque<Asked> recent_;  // within one supply time
  int64_t within_ = 0;        // their sum
  std::vector<double> seen_;  // weight of those who saw so many; the last: or more
  size_t used_ = 0;           // all beyond are 0
  double all_ = 0;            // their sum
  size_t size_ = 0;           // the least that is enough for `share` of them ...
  double enough_ = 0;         // ... and the weights from 1 to it
  std::optional<TimePoint> faded_;
};

}  // namespace ebb::scaling
