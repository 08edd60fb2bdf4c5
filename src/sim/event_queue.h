// What is to happen, by time; at one time in the order in which it was added.
//
// A heap with four children per entry: shallower than a binary one and kind to caches.
// Time and order are one key of 16 bytes. Not thread-safe.
//
//   EventQueue<Event> queue;
//   queue.push(at_ns, {.kind = kPodReady, .pod = 7});
//   while (!queue.empty() && queue.next_ns() <= now) handle(queue.pop());
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace ebb::sim {

template <class Payload>
class EventQueue final {
 public:
  [[nodiscard]] bool empty() const { return heap_.empty(); }
  [[nodiscard]] size_t size() const { return heap_.size(); }
  // Of the first event; INT64_MAX without one.
  [[nodiscard]] int64_t next_ns() const { return heap_.empty() ? INT64_MAX : heap_.front().at_ns; }
  [[nodiscard]] size_t bytes() const { return heap_.capacity() * sizeof(Entry); }

  void push(int64_t at_ns, Payload payload) {
    heap_.push_back({at_ns, next_++, std::move(payload)});
    size_t at = heap_.size() - 1;
    Entry entry = std::move(heap_[at]);
    while (at > 0 && before(entry, heap_[(at - 1) / kChildren])) {
      heap_[at] = std::move(heap_[(at - 1) / kChildren]);
      at = (at - 1) / kChildren;
    }
    heap_[at] = std::move(entry);
  }

  // The queue must not be empty.
  Payload pop() {
    Payload out = std::move(heap_.front().payload);
    Entry last = std::move(heap_.back());
    heap_.pop_back();
    if (heap_.empty()) return out;
    size_t at = 0;
    while (true) {
      const size_t first = at * kChildren + 1;
      if (first >= heap_.size()) break;
      const size_t end = std::min(first + kChildren, heap_.size());
      size_t least = first;
      for (size_t child = first + 1; child < end; ++child) {
        if (before(heap_[child], heap_[least])) least = child;
      }
      if (!before(heap_[least], last)) break;
      heap_[at] = std::move(heap_[least]);
      at = least;
    }
    heap_[at] = std::move(last);
    return out;
  }

 private:
  static constexpr size_t kChildren = 4;
  struct Entry {
    int64_t at_ns;
    uint64_t order;
    Payload payload;
  };
  static bool before(const Entry& a, const Entry& b) {
    return a.at_ns != b.at_ns ? a.at_ns < b.at_ns : a.order < b.order;
  }

  std::vector<Entry> heap_;
  uint64_t next_ = 0;
};

}  // namespace ebb::sim
