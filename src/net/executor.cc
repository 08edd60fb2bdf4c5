#include "net/executor.h"

#include <exception>

#include "base/log.h"
#include "net/engine.h"

namespace ebb::net {
namespace {

thread_local Executor* current_executor = nullptr;

// Makes `executor` the current one of this thread for a scope.
class [[nodiscard]] Enter final {
 public:
  explicit Enter(Executor* executor) : outer_(std::exchange(current_executor, executor)) {}
  ~Enter() { current_executor = outer_; }
  Enter(const Enter&) = delete;
  Enter& operator=(const Enter&) = delete;

 private:
  Executor* outer_;
};

// The outermost frame of a spawned task: owns the task, and itself.
struct Root {
  struct promise_type {
    promise_type(Executor::Impl& owner, Task<void>& /*task*/) : executor(owner) {
      frame.handle = std::coroutine_handle<promise_type>::from_promise(*this);
      frame.prev = owner.youngest;
      if (frame.prev) frame.prev->next = &frame;
      owner.youngest = &frame;
      ++owner.tasks;
    }
    ~promise_type() {
      if (frame.prev) frame.prev->next = frame.next;
      if (frame.next) {
        frame.next->prev = frame.prev;
      } else {
        executor.youngest = frame.prev;
      }
      --executor.tasks;
    }
    promise_type(const promise_type&) = delete;
    promise_type& operator=(const promise_type&) = delete;

    static void* operator new(size_t bytes) { return BlockCache::allocate(bytes); }
    static void operator delete(void* frame, size_t bytes) noexcept {
      BlockCache::release(frame, bytes);
    }
    [[nodiscard]] Root get_return_object() const noexcept { return {}; }
    [[nodiscard]] std::suspend_never initial_suspend() const noexcept { return {}; }
    [[nodiscard]] std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept {
      try {
        throw;
      } catch (const std::exception& e) {
        log::error("net", "an exception left a detached task: {}", e.what());
      } catch (...) {
        log::error("net", "an unknown exception left a detached task");
      }
      std::terminate();
    }

    Executor::Impl& executor;
    RootFrame frame;
  };
};

Root run_detached(Executor::Impl& /*executor*/, Task<void> task) { co_await task; }

}  // namespace

Executor::Executor(std::string name)
    : name_(std::move(name)), turn_time_(now()), impl_(std::make_unique<Impl>(turn_time_)) {}

Executor::~Executor() { end_tasks(); }

void Executor::end_tasks() {
  impl_->ending = true;
  const Enter enter(this);
  while (impl_->youngest) impl_->youngest->handle.destroy();
}

void Executor::run() {
  const Enter enter(this);
  while (!impl_->stopping.exchange(false)) impl_->turn(kNever);  // the stop is used up
  impl_->rest();
}

void Executor::run_until(TimePoint deadline) {
  const Enter enter(this);
  // A turn that found nothing is not an event: a timer of the wheel's own, say.
  bool happened = impl_->turn(deadline);
  while (!happened && now() < deadline && !impl_->stopping.load()) {
    happened = impl_->turn(deadline);
  }
  while (happened && !impl_->stopping.load()) happened = impl_->turn(TimePoint::min());
  impl_->stopping.store(false);
  impl_->settle();
}

void Executor::stop() { impl_->stop(); }

void Executor::post(std::function<void()> fn) { impl_->post(std::move(fn)); }

void Executor::resume(std::coroutine_handle<> handle) {
  impl_->post([handle] { handle.resume(); });
}

void Executor::spawn(Task<void> task) {
  if (impl_->ending) return;
  const Enter enter(this);
  run_detached(*impl_, std::move(task));
}

size_t Executor::tasks() const { return impl_->tasks; }

Executor::SleepAwaiter Executor::sleep_until(TimePoint when) {
  return SleepAwaiter{.executor = *this, .when = when, .timer = {}};
}

void Executor::arm(Timer& timer, TimePoint when) { impl_->arm(timer, when); }

void Executor::SleepAwaiter::await_suspend(std::coroutine_handle<> waiter) {
  timer.fire = [waiter] { waiter.resume(); };
  executor.arm(timer, when);
}

Executor* Executor::current() { return current_executor; }

}  // namespace ebb::net
