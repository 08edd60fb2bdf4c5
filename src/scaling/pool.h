// How much to hold ready: cold pods of a runtime, and nodes.
//
// A burst is as large as what is asked for while more is on the way: pods during the
// time a cold pod takes to be made, instances during the time a node takes to boot. The
// stock follows the newsvendor rule: as much as `share` of those who ask found asked
// for, themselves included, within the time of supply before them. (Not that share of
// all moments: a rare burst is few moments, but everyone in it waits.) Time is passed
// in; not thread-safe.
//
//   Stock stock({.most = 64});
//   stock.supplied(refill_time);
//   stock.asked(now, 1);          // a pod was handed out, or was wanted
//   pool.resize(stock.size(now));
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
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
  double all_ = 0;            // their sum
  size_t size_ = 0;           // the least that is enough for `share` of them ...
  double enough_ = 0;         // ... and the weights from 1 to it
  std::optional<TimePoint> faded_;
};

// --- Nodes ---

struct NodePoolSettings {
  int min = 0;
  int max = 100;
  int slots = 16;                            // pods that one node holds; above 0
  double share = 0.99;                       // as in Stock
  Duration boot = std::chrono::seconds(60);  // until the first was measured
  Duration keep = std::chrono::minutes(5);   // a node too many, before it is given back
  Duration rest = std::chrono::minutes(10);  // all idle, before the last one goes
};

// The nodes at one moment.
struct NodeSituation {
  TimePoint now{};
  int ready = 0;
  int booting = 0;
  int idle = 0;        // of the ready: all their pods are cold
  int cold = 0;        // free slots of all ready nodes
  int unplaced = 0;    // instances that found no slot
  bool floor = false;  // some revision has a minimum
};

struct NodeDecision {
  int desired = 0;    // ready and booting
  int give_back = 0;  // idle nodes that may go now
  int buffer = 0;     // slots held for a burst
  std::string reason;
};

class NodePool final {
 public:
  explicit NodePool(const NodePoolSettings& settings);

  void asked(TimePoint now, int instances);  // pods wanted, placed or not
  void booted(Duration took);
  [[nodiscard]] NodeDecision decide(const NodeSituation& situation);

 private:
  NodePoolSettings settings_;
  Stock stock_;
  std::optional<TimePoint> surplus_since_;
  std::optional<TimePoint> rest_since_;
};

}  // namespace ebb::scaling
