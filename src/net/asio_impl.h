// What net/*.cc share of the engine. Nothing above net/ includes this.
#pragma once

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <coroutine>
#include <utility>

#include "net/executor.h"
#include "net/stream.h"
#include "net/timer_wheel.h"

namespace ebb::net {

namespace asio = boost::asio;
using boost::system::error_code;

// Any stream socket, without Asio's type-erased executor.
using Socket =
    asio::basic_stream_socket<asio::generic::stream_protocol, asio::io_context::executor_type>;

// The frame of a spawned task, linked so that the executor can destroy it.
struct RootFrame {
  std::coroutine_handle<> handle;
  RootFrame* prev = nullptr;
  RootFrame* next = nullptr;
};

struct Executor::Impl {
  Impl();
  void arm(Timer& timer, TimePoint when);
  void wake_at(TimePoint when);  // sees to it that the wheel turns by then
  void turn();

  // One thread runs it (hint 1 spares Asio its wake-ups between threads), yet any
  // thread may post.
  asio::io_context io{BOOST_ASIO_CONCURRENCY_HINT_1};
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  TimerWheel wheel;
  // The one kernel timer. Left armed when the timer that asked for it is disarmed.
  asio::basic_waitable_timer<std::chrono::steady_clock,
                             asio::wait_traits<std::chrono::steady_clock>,
                             asio::io_context::executor_type>
      alarm{io};
  TimePoint alarm_at = kNever;
  bool turning = false;
  size_t idle_turns = 0;  // wake-ups that fired nothing
  RootFrame* youngest = nullptr;
  size_t tasks = 0;
  bool ending = false;
};

// One direction of a socket: its one pending operation, who waits for it, and its
// deadline. Shared by the socket's owner and by Asio's handler, since a handler may
// end after the owner; on one thread, so the count is a plain one.
struct Direction final {
  uint32_t references = 0;
  std::coroutine_handle<> waiter;  // null: nobody waits (any more)
  bool timed_out = false;
  error_code error;
  size_t transferred = 0;
  asio::cancellation_signal cancel;
  Timer deadline;
  // If set, asked once the socket is ready: false means it waits once more.
  bool (*ready)(void* context) = nullptr;
  void* context = nullptr;

  Direction();
  void begin(Executor& executor, std::coroutine_handle<> who, TimePoint until);
  void complete(const error_code& ec, size_t bytes);
  // The owner goes: what is under way ends unheard.
  void abandon();
  // kTimeout, kCanceled, or what the engine's error means; `what` goes to the log.
  [[nodiscard]] IoError failure(const char* what) const;
};

inline void intrusive_ptr_add_ref(Direction* d) { ++d->references; }
inline void intrusive_ptr_release(Direction* d) {
  if (--d->references == 0) delete d;
}
using DirectionPtr = boost::intrusive_ptr<Direction>;

// The completion handler of every socket operation.
struct Completion {
  DirectionPtr direction;

  using cancellation_slot_type = asio::cancellation_slot;
  [[nodiscard]] cancellation_slot_type get_cancellation_slot() const noexcept {
    return direction->cancel.slot();
  }
  void operator()(const error_code& ec, size_t bytes = 0) const { direction->complete(ec, bytes); }
};

// How many operations in a row may succeed without a turn of the loop, so that one
// busy peer cannot starve the others.
inline constexpr int kMaxStreak = 64;

// Maps an errno of a socket call; logs what IoError::kOther hides.
[[nodiscard]] IoError socket_failure(int err, const char* what);

}  // namespace ebb::net
