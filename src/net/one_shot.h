// Hands one value from any thread to one waiting coroutine.
//
// The two ends share state, because either may go first: a waiter that timed out
// leaves, and a later set() is dropped (it returns false, so that what was handed
// over can be given back).
//
//   auto shot = net::OneShot<Slot>::make(executor);
//   queue.push_back(shot.sender);                         // another thread sets it
//   auto slot = co_await shot.receiver.wait(deadline);    // IoResult<Slot>: kTimeout
#pragma once

#include <coroutine>
#include <memory>
#include <mutex>
#include <optional>

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
    bool left = false;  // the waiter timed out
  };
  using Shared = std::shared_ptr<State>;  // shared: sender and waiter end in any order

 public:
  class Sender {
   public:
    Sender() = default;
    explicit Sender(Shared state) : state_(std::move(state)) {}
    // Any thread. False, and `value` untouched, if a value was set before or the
    // waiter left.
    bool set(T&& value) {
      std::unique_lock lock(state_->mutex);
      if (state_->left || state_->value) return false;
      state_->value.emplace(std::move(value));
      auto waiter = std::exchange(state_->waiter, nullptr);
      lock.unlock();
      if (waiter) state_->home.resume(waiter);
      return true;
    }

   private:
    Shared state_;
  };

  // Lives in the waiting coroutine, on its executor's thread.
  class Receiver {
   public:
    explicit Receiver(Shared state) : state_(std::move(state)) {}

    class Awaiter {
     public:
      Awaiter(State& state, TimePoint deadline) : state_(state), deadline_(deadline) {}
      [[nodiscard]] bool await_ready() {
        std::lock_guard lock(state_.mutex);
        return state_.value.has_value();
      }
      bool await_suspend(std::coroutine_handle<> waiter) {
        std::lock_guard lock(state_.mutex);
        if (state_.value) return false;
        state_.waiter = waiter;
        if (deadline_ != kNever) {
          timer_.fire = [this] { expire(); };
          state_.home.arm(timer_, deadline_);
        }
        return true;
      }
      IoResult<T> await_resume() {
        timer_.disarm();
        std::lock_guard lock(state_.mutex);
        if (!state_.value) {
          state_.left = true;
          return fail(IoError::kTimeout);
        }
        return std::move(*state_.value);
      }

     private:
      void expire() {
        std::coroutine_handle<> waiter;
        {
          std::lock_guard lock(state_.mutex);
          if (state_.value) return;  // its resume is on the way
          state_.left = true;
          waiter = std::exchange(state_.waiter, nullptr);
        }
        if (waiter) waiter.resume();
      }
      State& state_;
      TimePoint deadline_;
      Timer timer_;
    };

    [[nodiscard]] Awaiter wait(TimePoint deadline) { return Awaiter(*state_, deadline); }

   private:
    Shared state_;
  };

  struct Pair {
    Sender sender;
    Receiver receiver;
  };
  [[nodiscard]] static Pair make(Executor& home) {
    auto state = std::make_shared<State>(home);
    return {Sender(state), Receiver(state)};
  }
};

}  // namespace ebb::net
