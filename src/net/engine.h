// What net/*.cc share of the engine: one epoll set for each executor, edge-triggered, and
// with it, where the kernel has it, an io_uring for streams (net/uring.h). Nothing
// above net/ includes this.
//
// A Socket remembers what the kernel said of it (`readable`), so that a read which would
// only fail is not tried, and a wait for what is known to be there ends at once. One
// system call serves all sockets, posts and timers of a turn of the loop.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <coroutine>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "net/block_cache.h"
#include "net/executor.h"
#include "net/io_error.h"
#include "net/timer_wheel.h"

namespace ebb::net {

// The frame of a spawned task, linked so that the executor can destroy it.
struct RootFrame {
  std::coroutine_handle<> handle;
  RootFrame* prev = nullptr;
  RootFrame* next = nullptr;
};

// One direction of a socket: its one pending operation, who waits for it, and its
// deadline. Neither copied nor moved; its owner's end ends what is under way unheard.
class Direction final {
 public:
  Direction();
  ~Direction() { abandon(); }
  Direction(const Direction&) = delete;
  Direction& operator=(const Direction&) = delete;

  [[nodiscard]] bool waiting() const { return waiter_ != nullptr; }
  [[nodiscard]] uint32_t awaits() const { return awaits_; }
  // `who` waits for `events` (EPOLLIN or EPOLLOUT) until the deadline.
  void begin(Executor& executor, uint32_t events, std::coroutine_handle<> who, TimePoint until);
  // Waits on for other events: the deadline stays.
  void await(uint32_t events) { awaits_ = events; }
  // Tries to end the operation, as the socket may be ready; resumes who waits if it ended.
  void poke();
  // Ends it with an error, kCanceled's for one.
  void complete(int err);
  // Pokes it in the next turn of the loop.
  void poke_soon(Executor& executor);
  // Nobody waits any more.
  void abandon();
  // kTimeout, kCanceled, or what the error means; `what` goes to the log.
  [[nodiscard]] IoError failure(const char* what) const;

  int error = 0;           // errno of the operation that ended; 0: it went well
  bool timed_out = false;  // then `error` is ECANCELED
  size_t transferred = 0;
  // If set, tried once the socket is ready; false means that it waits on.
  bool (*attempt)(void* context) = nullptr;
  void* context = nullptr;

 private:
  friend struct Executor::Impl;
  void unlink();

  std::coroutine_handle<> waiter_;  // null: nobody waits
  uint32_t awaits_ = 0;
  Timer deadline_;
  Direction* prev_ = nullptr;  // in the executor's ring of those to be poked
  Direction* next_ = nullptr;
};

// What an event of the kernel is about.
struct EventTarget {
  const bool is_socket;
};

class Ring;
struct Receive;

// What a ring has received for one socket and nobody has read: in one of its buffers.
struct Held {
  const char* at = nullptr;
  uint32_t left = 0;  // 0: nothing
  uint16_t buffer = 0;
};

// An entry of a ring of entries; its end takes it out.
struct Link {
  Link() = default;
  ~Link() { unlink(); }
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  [[nodiscard]] bool linked() const { return next != nullptr; }
  void link_before(Link& head);
  void unlink();

  Link* prev = nullptr;
  Link* next = nullptr;
};

// A non-blocking descriptor of an executor; owned. In its epoll set, edge-triggered, or, if
// it is a stream's and there is a ring, known to that once it is read or written.
class Socket final : public EventTarget, private Link {
 public:
  enum class Watch : uint8_t {
    kNow,      // in the epoll set from the beginning
    kOnDemand  // once somebody waits, if the ring does not watch it
  };
  // Takes it over. If the kernel cannot watch it, it is closed and problem() says why.
  Socket(Executor& executor, UniqueFd fd, Watch watch = Watch::kNow);
  ~Socket();
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] bool open() const { return static_cast<bool>(fd_); }
  [[nodiscard]] int problem() const { return problem_; }
  // Pending operations end with ECANCELED, in the next turn. What was queued is still sent.
  void close();

  // True unless a read is known to fail with EAGAIN.
  [[nodiscard]] bool readable() const {
    return readable_ || held_.left > 0 || at_end_ || failed_ != 0;
  }
  // A read got less than it had room for, or EAGAIN: the next edge tells of more. After
  // the peer's end there is none.
  void drained() { readable_ = ended_; }

  // Of a stream. True when it ended: see read.transferred and read.error.
  [[nodiscard]] bool receive(std::span<char> buffer);
  // Removes from `parts` what the kernel takes, or is queued for it. True when nothing is
  // left or an error ended it: see write.error.
  [[nodiscard]] bool send(std::array<std::string_view, 3>& parts);
  // Ends the sending side, once what is queued has been sent.
  void shutdown_write();
  // The peer has neither sent anything, as far as is known without asking the kernel, nor
  // ended its side.
  [[nodiscard]] bool heard_nothing() const { return held_.left == 0 && !at_end_ && !failed_; }

  // Suspends `who` in `direction` until a call that said EAGAIN may succeed.
  void wait(Direction& direction, uint32_t events, std::coroutine_handle<> who, TimePoint until);
  // The same for one that waits already, from its attempt.
  void wait_on(Direction& direction, uint32_t events);
  // Who waits to read hears ECANCELED, in the next turn.
  void cancel_read();
  // Nobody waits, but news is to be known, by quiet_so_far(). What a ring receives
  // meanwhile is dropped: its buffers are not for what nobody asked for.
  void watch();
  void unwatch() { idle_watch_ = false; }
  // As of the last turn.
  [[nodiscard]] bool quiet_so_far() const {
    return idle_watch_ && (receive_ != nullptr || epoll_events_ != 0) && !readable();
  }
  // Suspends `who` for a turn of the loop.
  void yield(Direction& direction, std::coroutine_handle<> who, TimePoint until);

  Executor& executor;
  Direction read;
  Direction write;

 private:
  friend struct Executor::Impl;
  friend class Ring;
  void expect(Direction& direction, uint32_t events);
  [[nodiscard]] bool awaited(uint32_t event) const;
  // 0 or an errno.
  int set_epoll_events(uint32_t events);
  // With nobody who wants to write, room for it is no news.
  void stop_watching_for_room();

  // --- With a ring ---
  void enlist();
  // From Executor::Impl, at the end of a turn.
  void hand_over(Ring* ring);
  // From the ring.
  void received(int result, bool more);
  void not_sent(int result);
  void sent();
  [[nodiscard]] std::string_view unsent() const {
    return {queue_.data() + queue_begin_, queue_end_ - queue_begin_};
  }
  [[nodiscard]] bool enqueue(std::array<std::string_view, 3>& parts);
  // Sends what is queued, then `parts`. An errno or 0; nothing if there was no room for all.
  [[nodiscard]] std::optional<int> send_now(std::array<std::string_view, 3>& parts);
  void send_queued();
  void drop_queue();
  void give_up_sending(int err);

  UniqueFd fd_;
  int problem_ = 0;
  uint32_t epoll_events_ = 0;
  bool readable_ = false;
  bool ended_ = false;  // the peer has closed, at least its side

  const bool by_ring_;
  bool wants_receive_ = false;  // in the next submit
  bool idle_watch_ = false;     // for news, though nobody waits
  bool at_end_ = false;         // all that the peer sent has been received
  bool blocked_ = false;        // the kernel has no room for what is queued
  bool shutdown_due_ = false;
  int failed_ = 0;              // errno of a receive, not told yet
  int send_failed_ = 0;         // errno of a queued send, not told yet
  Receive* receive_ = nullptr;  // under way
  Held held_;
  Block queue_;  // to be sent: a part of it
  uint32_t queue_begin_ = 0;
  uint32_t queue_end_ = 0;
};

// Suspends until `socket` is ready after a call that said EAGAIN; awaits to an errno.
struct SocketReady {
  Socket& socket;
  Direction& direction;
  uint32_t events;
  TimePoint deadline;

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiter) const {
    direction.attempt = nullptr;
    socket.wait(direction, events, waiter, deadline);
  }
  [[nodiscard]] int await_resume() const noexcept { return direction.error; }
};

struct Executor::Impl {
  // `turn_time` is set as the loop turns.
  explicit Impl(TimePoint& turn_time);
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl();

  void arm(Timer& timer, TimePoint when);
  void post(std::function<void()> fn);
  void stop();
  // Runs what is ready; waits for the first of it until `wait_until`. False if nothing
  // happened.
  bool turn(TimePoint wait_until);

  // Level-triggered, for FdWatch: `on_ready` runs while `fd` is readable.
  struct Level : EventTarget {
    explicit Level(std::function<void()> callback)
        : EventTarget{.is_socket = false}, on_ready(std::move(callback)) {}
    std::function<void()> on_ready;
  };
  [[nodiscard]] int watch(int fd, Level& level, uint32_t events = EPOLLIN | EPOLLRDHUP);
  void unwatch(int fd, const Level& level);
  // No event of this turn reaches it any more.
  void forget(const EventTarget& target);

  [[nodiscard]] Block take_spare();
  void keep_spare(Block block);
  // Sends the rest of what a closed socket had queued, then closes it.
  void see_off(UniqueFd fd, Block queue, std::string_view unsent, bool shutdown);
  // What waits for the next submit need not wait: no turn follows.
  void settle();
  // The loop ends, for now: another thread may end sockets, or run it next.
  void rest();

  static constexpr int kEvents = 128;  // taken from the kernel at once
  static constexpr size_t kMaxSpare = 64;
  static constexpr size_t kMaxLeaving = 128;  // closed sockets with bytes to be sent
  static constexpr Duration kLeaveTime = std::chrono::seconds(30);
  static constexpr Duration kRestTime = std::chrono::seconds(2);  // for them, when the loop ends

  TimePoint& turn_time;
  UniqueFd epoll;
  UniqueFd wake;  // an eventfd: ends a wait from another thread
  TimerWheel wheel;
  TimePoint alarm_at = kNever;  // when the wheel is to turn
  bool turning = false;
  bool uses_ring;        // the ring itself is made by the thread that turns
  bool in_turn = false;  // what is queued now is handed over soon
  std::unique_ptr<Ring> ring;
  Link pending;  // sockets with something for the next submit
  struct Leaving;
  std::vector<std::unique_ptr<Leaving>> leaving;
  void cut_first();
  std::vector<Block> spare;  // of Ring::kQueued bytes, for what sockets queue
  Direction due;             // the head of a ring: to be poked in this turn
  std::array<epoll_event, kEvents> events;
  int event = 0;  // the one under way
  int event_count = 0;

  std::mutex mutex;
  std::vector<std::function<void()>> posted;  // guarded by it
  std::atomic<bool> has_posted = false;
  std::atomic<bool> asleep = false;  // in or before the wait of a turn: a post must wake it
  std::atomic<bool> stopping = false;
  std::vector<std::function<void()>> running;  // what turn() took from `posted`

  RootFrame* youngest = nullptr;
  size_t tasks = 0;
  bool ending = false;

 private:
  void wake_up();
  [[nodiscard]] bool run_due();
  [[nodiscard]] bool run_posted();
  [[nodiscard]] bool run_event(const epoll_event& ready);
  [[nodiscard]] bool run_events(int timeout);
  [[nodiscard]] bool run_ring(int timeout);
  // What is pending, for the next submit.
  void hand_over();
  [[nodiscard]] bool has_ring() const;
  [[nodiscard]] bool run_timers(TimePoint now);
};

// How many operations in a row may succeed without a turn of the loop, so that one
// busy peer cannot starve the others.
inline constexpr int kMaxStreak = 64;

// Maps an errno of a socket call; logs what IoError::kOther hides.
[[nodiscard]] IoError socket_failure(int err, const char* what);

}  // namespace ebb::net
