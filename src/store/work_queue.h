// A bounded queue from one or more threads to one worker thread, which takes all
// that waits at once (so that it can commit it together).
//
// Thread-safe. Bounded in items and in bytes, which the caller counts.
//
//   if (!queue.push(item, bytes)) return fail(Errc::kExhausted, ...);
//   while (auto batch = queue.take_all(); !batch.empty()) ...   // the worker
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>

namespace ebb::store {

template <class T>
class WorkQueue final {
 public:
  WorkQueue(size_t max_items, size_t max_bytes) : max_items_(max_items), max_bytes_(max_bytes) {}

  // Takes `item`; or returns false and leaves it, if that would go over a bound or
  // after stop().
  [[nodiscard]] bool push(T& item, size_t bytes) {
    {
      std::lock_guard lock(mutex_);
      // One item alone always fits: its own size is bounded by its maker.
      bool full = items_.size() >= max_items_ || (!items_.empty() && bytes_ + bytes > max_bytes_);
      if (stopped_ || full) return false;
      items_.push_back(std::move(item));
      bytes_ += bytes;
    }
    ready_.notify_one();
    return true;
  }

  // Waits for work. Empty only after stop(), when all has been taken.
  [[nodiscard]] std::deque<T> take_all() {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [this] { return stopped_ || !items_.empty(); });
    bytes_ = 0;
    return std::exchange(items_, {});
  }

  void stop() {
    {
      std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    ready_.notify_one();
  }

 private:
  const size_t max_items_;
  const size_t max_bytes_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<T> items_;
  size_t bytes_ = 0;
  bool stopped_ = false;
};

}  // namespace ebb::store
