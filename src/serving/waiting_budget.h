// What the requests that wait for pods may hold, those of all revisions together, and how that
// is shared: a revision's requests may be as many, and hold as much, as is free. One revision
// in trouble can so take half of all, n of them 1/(n+1) each, and as much again stays free for
// the others (dynamic queue thresholds; Choudhury and Hahne, 1998). Those that come later have
// their share as the earlier ones' requests end; one request of each may wait at once.
//
// Thread-safe; nobody waits. Those who ask at the same moment may get a little more.
#pragma once

#include <atomic>
#include <cstddef>
#include <utility>

namespace ebb::serving {

struct Waiting {
  size_t requests = 0;
  size_t bytes = 0;  // of memory that they hold
};

class WaitingBudget final {
 public:
  explicit WaitingBudget(Waiting most) : most_(most) {}
  WaitingBudget(const WaitingBudget&) = delete;
  WaitingBudget& operator=(const WaitingBudget&) = delete;

  // One request's place; gives itself back. Must not outlive the budget.
  class [[nodiscard]] Place final {
   public:
    Place() = default;  // none
    Place(Place&& other) noexcept
        : budget_(std::exchange(other.budget_, nullptr)), bytes_(other.bytes_) {}
    Place& operator=(Place&&) = delete;
    ~Place() {
      if (budget_ != nullptr) budget_->leave(bytes_);
    }

   private:
    friend class WaitingBudget;
    Place(WaitingBudget& budget, size_t bytes) : budget_(&budget), bytes_(bytes) {}
    WaitingBudget* budget_ = nullptr;
    size_t bytes_ = 0;
  };

  // Whether one request more that holds so many bytes may wait beside the revision's own.
  [[nodiscard]] bool has_room(Waiting own, size_t bytes) const {
    if (own.requests == 0) return true;  // or nobody would start a pod for it
    const Waiting all = taken();
    return own.requests + all.requests < most_.requests &&
           own.bytes + all.bytes + bytes <= most_.bytes;
  }
  Place enter(size_t bytes) {
    requests_.fetch_add(1, std::memory_order_relaxed);
    bytes_.fetch_add(bytes, std::memory_order_relaxed);
    return {*this, bytes};
  }
  [[nodiscard]] Waiting taken() const {
    return {.requests = requests_.load(std::memory_order_relaxed),
            .bytes = bytes_.load(std::memory_order_relaxed)};
  }

 private:
  void leave(size_t bytes) {
    requests_.fetch_sub(1, std::memory_order_relaxed);
    bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  }

  const Waiting most_;
  std::atomic<size_t> requests_ = 0;
  std::atomic<size_t> bytes_ = 0;
};

}  // namespace ebb::serving
