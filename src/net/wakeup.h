// A place where one coroutine waits until it is woken, again and again. For parts that
// share one executor's thread; between threads there is OneShot.
//
//   const bool woken = co_await wakeup.wait(deadline);   // false: the deadline passed
//   ...
//   wakeup.wake();                                       // elsewhere on this thread
#pragma once

#include <coroutine>
#include <utility>

#include "net/executor.h"

namespace ebb::net {

// Must outlive who waits.
class Wakeup final {
 public:
  explicit Wakeup(Executor& executor) : executor_(executor) {}
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;

  class [[nodiscard]] Awaiter {
   public:
    Awaiter(Wakeup& wakeup, TimePoint deadline) : wakeup_(wakeup), deadline_(deadline) {}
    // Its frame may end while it waits: nobody wakes it then.
    ~Awaiter() {
      if (waiter_ && wakeup_.waiter_ == waiter_) wakeup_.waiter_ = nullptr;
    }
    Awaiter(const Awaiter&) = delete;
    Awaiter& operator=(const Awaiter&) = delete;
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiter) {
      wakeup_.waiter_ = waiter_ = waiter;
      wakeup_.woken_ = false;
      timer_.fire = [this] { wakeup_.resume(); };
      wakeup_.executor_.arm(timer_, deadline_);
    }
    [[nodiscard]] bool await_resume() {
      timer_.disarm();
      waiter_ = nullptr;
      return wakeup_.woken_;
    }

   private:
    Wakeup& wakeup_;
    TimePoint deadline_;
    Timer timer_;
    std::coroutine_handle<> waiter_;
  };

  // Awaits to whether it was woken before the deadline. One at a time.
  [[nodiscard]] Awaiter wait(TimePoint deadline) { return Awaiter(*this, deadline); }
  // Resumes who waits, inside this call; nothing if nobody does.
  void wake() {
    if (!waiter_) return;
    woken_ = true;
    resume();
  }
  [[nodiscard]] bool waiting() const { return waiter_ != nullptr; }

 private:
  void resume() {
    if (auto waiter = std::exchange(waiter_, nullptr)) waiter.resume();
  }

  Executor& executor_;
  std::coroutine_handle<> waiter_;  // null: nobody waits
  bool woken_ = false;
};

}  // namespace ebb::net
