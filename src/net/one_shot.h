// Hands one value from any thread to one waiting coroutine.
//
// The two ends share state, because either may go first: once the receiver timed
// out or was destroyed, set() returns false, so that what was to be handed over can
// be given back. The executor must outlive the calls of set().
//
//   auto shot = net::OneShot<Slot>::make(executor);
//   queue.push_back(shot.sender);                         // another thread sets it
//   auto slot = co_await shot.receiver.wait(deadline);    // IoResult<Slot>: kTimeout
#pragma once

#include <coroutine>
#include <memory>
#include <mutex>
#include <optional>

#include "net/block_cache.h"
#include "net/executor.h"
#include "net/io_error.h"

namespace ebb::net {

template <class T>
class OneShot final {
  struct State {
    explicit State(Executor& e) : home(e) {}
    Executor& home;
    std::mutex mutex;
    std::optional<T> value;
    std::coroutine_handle<> waiter;
    bool set = false;   // a value was handed over, perhaps taken already
    bool left = false;  // nobody will take a value any more
  };
  using Shared = std::shared_ptr<State>;  // shared: sender and waiter end in any order

 public:
  class Sender {
   public:
    Sender() = default;
    explicit Sender(Shared state) : state_(std::move(state)) {}
    // Any thread. False, and `value` untouched, if a value was set before or the
    // receiver left.
    bool set(T&& value) {
      std::coroutine_handle<> waiter;
      {
        std::lock_guard lock(state_->mutex);
        if (state_->left || state_->set) return false;
        state_->set = true;
        state_->value.emplace(std::move(value));
        waiter = std::exchange(state_->waiter, nullptr);
      }
      // Nobody else resumes it now: its timer sees that a value is set.
      if (waiter) state_->home.resume(waiter);
      return true;
    }

   private:
    Shared state_;
  };

  // Lives in the waiting coroutine, on its executor's thread. Moved only before it
  // waits; waited for once.
  class Receiver {
   public:
    explicit Receiver(Shared state) : state_(std::move(state)) {}
    Receiver(Receiver&&) noexcept = default;
    Receiver& operator=(Receiver&&) = delete;
    ~Receiver() {
      if (!state_) return;
      std::optional<T> unused;  // given back outside the lock
      std::lock_guard lock(state_->mutex);
      state_->left = true;
      state_->waiter = nullptr;
      unused.swap(state_->value);
    }

    class Awaiter {
     public:
      Awaiter(State& state, TimePoint deadline) : state_(state), deadline_(deadline) {}
      [[nodiscard]] bool await_ready() {
        std::lock_guard lock(state_.mutex);
        return state_.set;
      }
      bool await_suspend(std::coroutine_handle<> waiter) {
        std::lock_guard lock(state_.mutex);
        if (state_.set) return false;
        state_.waiter = waiter;
        timer_.fire = [this] { expire(); };
        state_.home.arm(timer_, deadline_);
        return true;
      }
      IoResult<T> await_resume() {
        timer_.disarm();
        std::lock_guard lock(state_.mutex);
        if (!state_.value) {
          state_.left = true;
          return fail(IoError::kTimeout);
        }
        IoResult<T> taken(std::move(*state_.value));
        state_.value.reset();
        return taken;
      }

     private:
      void expire() {
        std::coroutine_handle<> waiter;
        {
          std::lock_guard lock(state_.mutex);
          if (state_.set) return;  // its resume is on the way
          state_.left = true;
          waiter = std::exchange(state_.waiter, nullptr);
        }
        if (waiter) waiter.resume();  // destroys this awaiter
      }
      State& state_;
      TimePoint deadline_;
      Timer timer_;
    };

    // Awaits to IoResult<T>; kTimeout at the deadline.
    [[nodiscard]] Awaiter wait(TimePoint deadline) { return Awaiter(*state_, deadline); }

   private:
    Shared state_;
  };

  struct Pair {
    Sender sender;
    Receiver receiver;
  };
  [[nodiscard]] static Pair make(Executor& home) {
    auto state = std::allocate_shared<State>(Recycled<State>(), home);
    return {Sender(state), Receiver(state)};
  }
};

}  // namespace ebb::net
