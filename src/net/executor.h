// One event loop on one thread: everything of net/ belongs to one Executor and is
// used only on its thread. Only `post`, `resume` and `stop` may be called from others.
//
//   net::Executor executor("data-0");
//   executor.spawn(serve(listener));
//   executor.run();                      // until stop()
#pragma once

#include <coroutine>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "net/task.h"
#include "net/timer_wheel.h"

namespace ebb::net {

class Executor final {
 public:
  explicit Executor(std::string name);
  // end_tasks(); streams and listeners must not outlive the executor.
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // Runs the loop on this thread until stop(), even while nothing is to do.
  void run();
  // Runs what is ready, waiting at most until `deadline` for the first event.
  // For tests and for draining a loop by hand.
  void run_until(TimePoint deadline);
  // Any thread: makes run() return once the handler under way ends. Before run(),
  // makes the next run() return at once: a stop is never lost.
  void stop();

  // Any thread: runs `fn` on the loop, in the order in which this thread posts.
  void post(std::function<void()> fn);
  // Any thread: resumes a coroutine on the loop.
  void resume(std::coroutine_handle<> handle);

  // Starts a detached task on this thread, at once; it lives until it ends or the
  // executor is destroyed. An exception that leaves it ends the program: a
  // detached task handles its own errors.
  void spawn(Task<void> task);

  // Destroys what still waits, the youngest task first; from here on nothing is spawned.
  // When run() has returned, before what the tasks use is destroyed.
  void end_tasks();

  // Tasks spawned and not ended.
  [[nodiscard]] size_t tasks() const;

  // Suspends until `when`, to the granularity of the timer wheel (see below).
  struct SleepAwaiter;
  [[nodiscard]] SleepAwaiter sleep_until(TimePoint when);

  // Arms `timer`; `timer.fire` runs on the loop. Re-arming moves it. The timer
  // must be disarmed or fired before it is destroyed (its destructor disarms).
  // Coarse: fires up to 5 ms late, never early.
  void arm(Timer& timer, TimePoint when);

  // The steady clock, read afresh.
  [[nodiscard]] TimePoint now() const { return std::chrono::steady_clock::now(); }
  // As it was when this turn of the loop began: for deadlines, at no cost.
  [[nodiscard]] TimePoint turn_time() const { return turn_time_; }
  [[nodiscard]] const std::string& name() const { return name_; }

  // The executor that runs on this thread, or nullptr.
  [[nodiscard]] static Executor* current();

  struct Impl;  // the engine; for net/*.cc only
  [[nodiscard]] Impl& impl() { return *impl_; }

 private:
  std::string name_;
  TimePoint turn_time_;
  std::unique_ptr<Impl> impl_;
};

struct Executor::SleepAwaiter {
  Executor& executor;
  TimePoint when;
  Timer timer;
  [[nodiscard]] bool await_ready() const { return executor.now() >= when; }
  void await_suspend(std::coroutine_handle<> waiter);
  void await_resume() const noexcept {}
};

}  // namespace ebb::net
