#include "scaling/pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ebb::scaling {

namespace {

// The reckoned time of supply falls by this share with each quicker one, and jumps to
// each slower one: about the slowest of the last hundred.
constexpr double kForget = 0.01;

int divided_up(int64_t value, int by) { return static_cast<int>((value + by - 1) / by); }

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
  if (!faded_) faded_ = now;
  const double halves = std::chrono::duration<double>(now - *faded_) /
                        std::chrono::duration<double>(settings_.memory);
  constexpr double kWorthIt = 0.01;  // of a half: not at each one that asks
  if (halves < kWorthIt) return;
  const double kept = std::exp2(-halves);
  // Sums anew: what is added and taken away one by one has rounding errors.
  all_ = 0;
  enough_ = 0;
  for (size_t n = 0; n < seen_.size(); ++n) {
    seen_[n] *= kept;
    all_ += seen_[n];
    if (n == size_) enough_ = all_;
  }
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

NodePool::NodePool(const NodePoolSettings& settings)
    : settings_(settings),
      stock_({.least = 0,
              .most = std::min(65536, std::max(1, settings.max) * std::max(1, settings.slots)),
              .share = settings.share,
              .supply = settings.boot}) {
  settings_.slots = std::max(1, settings_.slots);
}

void NodePool::asked(TimePoint now, int instances) { stock_.asked(now, instances); }
void NodePool::booted(Duration took) { stock_.supplied(took); }

NodeDecision NodePool::decide(const NodeSituation& situation) {
  const int slots = settings_.slots;
  const int nodes = situation.ready + situation.booting;
  NodeDecision decision;
  decision.desired = nodes;
  decision.buffer = stock_.size();

  // All idle for long: no buffer either, the first request waits for a node.
  const bool at_rest =
      situation.idle == situation.ready && situation.unplaced == 0 && !situation.floor;
  if (!at_rest) rest_since_.reset();
  if (at_rest && !rest_since_) rest_since_ = situation.now;
  const bool resting = at_rest && situation.now >= *rest_since_ + settings_.rest;
  if (resting) decision.buffer = 0;

  const int64_t on_the_way = static_cast<int64_t>(situation.booting) * slots;
  const int64_t have = situation.cold + on_the_way;
  const int64_t need = static_cast<int64_t>(decision.buffer) + situation.unplaced;
  const int64_t missing = at_rest && nodes == 0 ? 0 : need - have;
  if (missing > 0) {
    surplus_since_.reset();
    decision.desired = nodes + divided_up(missing, slots);
    decision.reason = fmt::format("{} cold slots and {} on the way, {} unplaced and a buffer of {}",
                                  situation.cold, on_the_way, situation.unplaced, decision.buffer);
  } else {
    // Whole idle nodes beyond the buffer; what boots is not turned back.
    const auto spare = static_cast<int>((have - need) / slots);
    const int surplus =
        std::clamp(std::min(spare, situation.idle), 0, std::max(0, nodes - settings_.min));
    if (surplus == 0) surplus_since_.reset();
    if (surplus > 0 && !surplus_since_) surplus_since_ = situation.now;
    const bool due = surplus > 0 && situation.now >= *surplus_since_ + settings_.keep;
    if (resting || due) decision.give_back = surplus;
    decision.desired = nodes - decision.give_back;
    decision.reason = resting       ? std::string("all nodes are idle")
                      : surplus > 0 ? fmt::format("{} idle nodes beyond a buffer of {} slots",
                                                  surplus, decision.buffer)
                                    : std::string("as many as are needed");
  }
  decision.desired = std::max(decision.desired, settings_.min);
  if (decision.desired > settings_.max) {
    decision.desired = std::max(settings_.max, nodes - situation.idle);
    decision.reason += fmt::format(", held at the maximum {}", settings_.max);
    decision.give_back = std::max(0, nodes - decision.desired);
    decision.give_back = std::min(decision.give_back, situation.idle);
  }
  return decision;
}

}  // namespace ebb::scaling
