// A coroutine that computes a T: the return type of everything that waits.
//
// Lazy: nothing runs until the task is awaited or given to Executor::spawn.
// Awaiting starts the child inside `await_ready`, so a child that never suspends
// costs no switch and no stack (g++ 12 turns symmetric transfer into a real call
// in unoptimised and sanitized builds and would overflow there).
//
// A task runs on the executor of whoever awaits it and is awaited at most once.
// Exceptions pass through `co_await`; the request path does not throw.
//
// Rules (g++ 12 miscompiles the rest): parameters by value, or by reference to
// something that outlives the frame; no capturing coroutine lambdas; inside one
// `co_await` expression no temporaries with destructors: name them first; no
// `co_await` in the condition of if, while or do: name the result first.
//
//   net::Task<Result<int>> answer(Source& source) {
//     auto value = co_await source.read();
//     if (!value) co_return fail(value.error());
//     co_return *value + 1;
//   }
//
// A function that often has its result at once need not be a coroutine: it returns
// Task<T>::ready(result), which costs no frame, and calls one that is for the rest.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "net/block_cache.h"

namespace ebb::net {

namespace detail {

struct PromiseBase {
  std::coroutine_handle<> next;  // who awaits this task
  std::exception_ptr error;

  // A request makes the same few frames again and again.
  static void* operator new(size_t bytes) { return BlockCache::allocate(bytes); }
  static void operator delete(void* frame, size_t bytes) noexcept {
    BlockCache::release(frame, bytes);
  }

  struct FinalAwaiter {
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class P>
    void await_suspend(std::coroutine_handle<P> self) const noexcept {
      // Unset while the parent is still inside await_ready: it sees done().
      if (auto parent = self.promise().next) parent.resume();
    }
    void await_resume() const noexcept {}
  };

  [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
  [[nodiscard]] FinalAwaiter final_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept { error = std::current_exception(); }
};

template <class T>
struct Promise : PromiseBase {
  std::optional<T> value;
  auto get_return_object() { return std::coroutine_handle<Promise>::from_promise(*this); }
  template <class U>
  void return_value(U&& v) {
    value.emplace(std::forward<U>(v));
  }
  T take() {
    if (error) std::rethrow_exception(error);
    return std::move(*value);
  }
};

template <>
struct Promise<void> : PromiseBase {
  auto get_return_object() { return std::coroutine_handle<Promise>::from_promise(*this); }
  void return_void() const noexcept {}
  void take() const {
    if (error) std::rethrow_exception(error);
  }
};

}  // namespace detail

template <class T = void>
class [[nodiscard]] Task final {
  struct Nothing {};
  static constexpr bool kIsVoid = std::is_void_v<T>;
  using Value = std::conditional_t<kIsVoid, Nothing, std::optional<T>>;

 public:
  using promise_type = detail::Promise<T>;

  // Not explicit: the coroutine machinery converts.
  Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  Task(Task&& other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)), value_(std::move(other.value_)) {}
  Task& operator=(Task&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(value_, other.value_);
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  // One that has ended already.
  [[nodiscard]] static Task ready()
    requires kIsVoid
  {
    return Task();
  }
  template <class U>
  [[nodiscard]] static Task ready(U&& value)
    requires(!kIsVoid)
  {
    Task task;
    task.value_.emplace(std::forward<U>(value));
    return task;
  }

  [[nodiscard]] bool await_ready() {
    if (!handle_) return true;
    handle_.resume();
    return handle_.done();
  }
  void await_suspend(std::coroutine_handle<> parent) noexcept { handle_.promise().next = parent; }
  T await_resume() {
    if (handle_) return handle_.promise().take();
    if constexpr (!kIsVoid) return std::move(*value_);
  }

 private:
  Task() = default;

  std::coroutine_handle<promise_type> handle_;  // null: ended already, with value_
  [[no_unique_address]] Value value_;
};

}  // namespace ebb::net
