#include "control/cold_pool.h"

#include <algorithm>

namespace ebb::control {

void ColdPool::set_bounds(const scheduling::PoolSize& bounds) {
  if (bounds == bounds_) return;
  bounds_ = bounds;
  size_ = bounds.least;
  not_replaced_.clear();
  stock_.reset();
  if (learns()) stock_.emplace(scaling::StockSettings{.least = bounds.least, .most = bounds.most});
}

void ColdPool::asked(TimePoint now, int pods) {
  if (!stock_) return;
  stock_->asked(now, pods);
  quiet_since_ = now;
}

void ColdPool::settle(TimePoint now) {
  constexpr Duration kFall = std::chrono::hours(1);
  if (size_ == bounds_.least) return;
  for (; size_ > bounds_.least && now - quiet_since_ >= kFall; quiet_since_ += kFall) {
    size_ = bounds_.least + (size_ - bounds_.least) / 2;
  }
}

void ColdPool::handed_out(TimePoint now) {
  if (!stock_) return;
  not_replaced_.push_back(now);
  if (not_replaced_.size() > static_cast<size_t>(bounds_.most)) not_replaced_.pop_front();
}

void ColdPool::arrived(TimePoint now, int64_t missing) {
  if (!stock_) return;
  // Those before were not replaced: the pool has become smaller since.
  while (static_cast<int64_t>(not_replaced_.size()) > std::max<int64_t>(missing, 0)) {
    not_replaced_.pop_front();
  }
  if (!not_replaced_.empty()) {
    stock_->supplied(now - not_replaced_.front());
    not_replaced_.pop_front();
  }
  size_ = stock_->size();
}

}  // namespace ebb::control
