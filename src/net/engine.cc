#include "net/engine.h"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "base/log.h"
#include "net/uring.h"

namespace ebb::net {
namespace {

constexpr uint32_t kEnd = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

// For the kernel: rounded up, so that no timer is looked at too early.
int milliseconds_until(TimePoint when, TimePoint now) {
  if (when == kNever) return -1;
  if (when <= now) return 0;
  constexpr int64_t kMost = 1000 * 60 * 60;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(when - now).count();
  return static_cast<int>(std::min(left, kMost));
}

}  // namespace

void Link::link_before(Link& head) {
  prev = head.prev;
  next = &head;
  head.prev->next = this;
  head.prev = this;
}

void Link::unlink() {
  if (next == nullptr) return;
  prev->next = next;
  next->prev = prev;
  prev = next = nullptr;
}

// --- Direction ---

Direction::Direction() {
  // Armed only while an operation is under way.
  deadline_.fire = [this] {
    timed_out = true;
    complete(ECANCELED);
  };
}

void Direction::begin(Executor& executor, uint32_t events, std::coroutine_handle<> who,
                      TimePoint until) {
  waiter_ = who;
  awaits_ = events;
  timed_out = false;
  error = 0;
  if (until != kNever) executor.impl().arm(deadline_, until);
}

void Direction::poke() {
  if (!waiter_) return;
  if (attempt != nullptr && !attempt(context)) return;
  unlink();
  deadline_.disarm();
  std::exchange(waiter_, nullptr).resume();
}

void Direction::complete(int err) {
  if (!waiter_) return;
  error = err;
  transferred = 0;
  unlink();
  deadline_.disarm();
  std::exchange(waiter_, nullptr).resume();
}

void Direction::poke_soon(Executor& executor) {
  if (next_ != nullptr) return;
  Direction& head = executor.impl().due;
  prev_ = head.prev_;
  next_ = &head;
  head.prev_->next_ = this;
  head.prev_ = this;
}

void Direction::unlink() {
  if (next_ == nullptr) return;
  prev_->next_ = next_;
  next_->prev_ = prev_;
  prev_ = next_ = nullptr;
}

void Direction::abandon() {
  waiter_ = nullptr;
  unlink();
  deadline_.disarm();
}

IoError Direction::failure(const char* what) const {
  if (error == ECANCELED) return timed_out ? IoError::kTimeout : IoError::kCanceled;
  return socket_failure(error, what);
}

IoError socket_failure(int err, const char* what) {
  const IoError error = io_error_from_errno(err);
  if (error == IoError::kOther) {
    const char* text = strerrordesc_np(err);
    log::warn("net", "{}: {} (errno {})", what, text ? text : "unknown error", err);
  }
  return error;
}

// --- The loop ---

Executor::Impl::Impl(TimePoint& time)
    : turn_time(time),
      epoll(::epoll_create1(EPOLL_CLOEXEC)),
      wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      wheel(time),
      uses_ring(Ring::wanted()) {
  due.prev_ = due.next_ = &due;
  pending.prev = pending.next = &pending;
  epoll_event wakes{};
  wakes.events = EPOLLIN | EPOLLET;  // never read: each write to it is an edge
  wakes.data.ptr = nullptr;
  if (!epoll || !wake || ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &wakes) != 0) {
    throw std::runtime_error(std::string("cannot make an event loop: ") + std::strerror(errno));
  }
}

// What goes with them needs the rest.
Executor::Impl::~Impl() {
  leaving.clear();
  ring.reset();
}

void Executor::Impl::arm(Timer& timer, TimePoint when) {
  wheel.arm(timer, when);
  // While the wheel turns, run_timers() looks for the next wake-up at its end.
  if (timer.armed() && !turning) alarm_at = std::min(alarm_at, wheel.fires_at(timer));
}

void Executor::Impl::wake_up() {
  const uint64_t one = 1;
  // It fails only when the counter is full, which would take centuries.
  static_cast<void>(!::write(wake.get(), &one, sizeof one));
}

void Executor::Impl::post(std::function<void()> fn) {
  {
    const std::lock_guard lock(mutex);
    posted.push_back(std::move(fn));
  }
  has_posted.store(true);
  // Either the loop sees the post before it sleeps, or we see that it sleeps.
  if (asleep.exchange(false)) wake_up();
}

void Executor::Impl::stop() {
  stopping.store(true);
  if (asleep.exchange(false)) wake_up();
}

int Executor::Impl::watch(int fd, Level& level, uint32_t of) {
  epoll_event watched{};
  watched.events = of;
  watched.data.ptr = static_cast<EventTarget*>(&level);
  return ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &watched) == 0 ? 0 : errno;
}

void Executor::Impl::unwatch(int fd, const Level& level) {
  ::epoll_ctl(epoll.get(), EPOLL_CTL_DEL, fd, nullptr);
  forget(level);
}

void Executor::Impl::forget(const EventTarget& target) {
  for (int i = event; i < event_count; ++i) {
    epoll_event& later = events[static_cast<size_t>(i)];
    if (later.data.ptr == &target) later.data.ptr = nullptr;
  }
}

bool Executor::Impl::run_due() {
  if (due.next_ == &due) return false;
  // Those that come in meanwhile wait for the next turn: behind this mark.
  Direction mark;
  mark.prev_ = due.prev_;
  mark.next_ = &due;
  due.prev_->next_ = &mark;
  due.prev_ = &mark;
  while (due.next_ != &mark) {
    Direction* first = due.next_;
    first->unlink();
    first->poke();
  }
  mark.unlink();
  return true;
}

bool Executor::Impl::run_posted() {
  if (!has_posted.exchange(false)) return false;
  {
    const std::lock_guard lock(mutex);
    running.swap(posted);
  }
  for (std::function<void()>& fn : running) fn();
  running.clear();
  return true;
}

bool Executor::Impl::run_event(const epoll_event& ready) {
  auto* const target = static_cast<EventTarget*>(ready.data.ptr);
  if (target == nullptr) return false;  // a wake-up, or its target has gone in this turn
  if (!target->is_socket) {
    const auto on_ready = static_cast<Level*>(target)->on_ready;
    on_ready();  // a copy: it may end the watch
    return true;
  }
  auto& socket = *static_cast<Socket*>(target);
  uint32_t what = ready.events;
  if ((what & kEnd) != 0) {
    socket.ended_ = true;
    what |= EPOLLIN;
    if ((what & (EPOLLHUP | EPOLLERR)) != 0) what |= EPOLLOUT;
  }
  if ((what & EPOLLIN) != 0) socket.readable_ = true;
  const auto wanted = [what](const Direction& d) {
    return d.waiting() && (d.awaits() & what) != 0;
  };
  if ((what & EPOLLOUT) != 0 && socket.blocked_) {
    socket.send_queued();
    if (socket.blocked_) what &= ~static_cast<uint32_t>(EPOLLOUT);
  }
  if ((what & EPOLLOUT) != 0) socket.stop_watching_for_room();
  if (wanted(socket.write)) {
    socket.write.poke();
    // Whoever was resumed may have ended the socket: forget() has noted it.
    if (ready.data.ptr == nullptr) return true;
  }
  if (wanted(socket.read)) socket.read.poke();
  return true;
}

bool Executor::Impl::run_timers(TimePoint now) {
  if (now < alarm_at) return false;
  alarm_at = kNever;
  turning = true;
  const size_t fired = wheel.advance(now);
  turning = false;
  alarm_at = wheel.next_wake();
  return fired > 0;
}

bool Executor::Impl::run_events(int timeout) {
  const int count = ::epoll_wait(epoll.get(), events.data(), kEvents, timeout);
  asleep.store(false);
  turn_time = std::chrono::steady_clock::now();
  event_count = std::max(count, 0);
  bool happened = false;
  for (event = 0; event < event_count; ++event) {
    happened = run_event(events[static_cast<size_t>(event)]) || happened;
  }
  event = event_count = 0;
  return happened;
}

void Executor::Impl::hand_over() {
  if (pending.next == &pending) return;
  if (uses_ring && !(ring && ring->started())) {
    if (!ring) ring = std::make_unique<Ring>();
    if (const int err = ring->start(); err != 0) {
      log::warn("net", "no io_uring: {}: streams wait by epoll", std::strerror(err));
      uses_ring = false;
    }
  }
  Ring* const to = uses_ring ? ring.get() : nullptr;
  while (pending.next != &pending) static_cast<Socket*>(pending.next)->hand_over(to);
}

bool Executor::Impl::run_ring(int timeout) {
  ring->watch_epoll(epoll.get());
  const Ring::Seen seen = ring->submit(timeout);
  asleep.store(false);
  turn_time = std::chrono::steady_clock::now();
  bool happened = run_due() || seen.sockets;
  if (seen.epoll) happened = run_events(0) || happened;
  return happened;
}

bool Executor::Impl::has_ring() const {
  if (!ring || !ring->started()) return false;
  if (ring->on_its_thread()) return true;
  log::error("net", "an executor is run on another thread than before");
  std::abort();
}

void Executor::Impl::settle() {
  if (!ring || !ring->started() || !ring->on_its_thread()) return;
  hand_over();
  ring->submit(0);
}

void Executor::Impl::rest() {
  // What was sent as far as its sender knows.
  const TimePoint patience = std::chrono::steady_clock::now() + kRestTime;
  while (!leaving.empty() && std::chrono::steady_clock::now() < patience) {
    static_cast<void>(turn(patience));
    stopping.store(false);
  }
  while (!leaving.empty()) cut_first();
  settle();
  if (ring) ring->stop();
}

bool Executor::Impl::turn(TimePoint wait_until) {
  in_turn = true;
  bool happened = run_due();
  happened = run_posted() || happened;
  if (!stopping.load()) {
    int timeout = 0;
    if (!happened && due.next_ == &due) {
      asleep.store(true);
      if (!has_posted.load() && !stopping.load()) {
        timeout =
            milliseconds_until(std::min(wait_until, alarm_at), std::chrono::steady_clock::now());
      }
    }
    hand_over();
    if (due.next_ != &due) timeout = 0;  // what could not be watched
    const bool by_ring = has_ring() && (ring->busy() || ring->has_entries());
    happened = (by_ring ? run_ring(timeout) : run_events(timeout)) || happened;
    if (alarm_at != kNever) happened = run_timers(turn_time) || happened;
  }
  in_turn = false;
  return happened;
}

// --- What sockets leave behind ---

Block Executor::Impl::take_spare() {
  if (spare.empty()) return Block(Ring::kQueued);
  Block last = std::move(spare.back());
  spare.pop_back();
  return last;
}

void Executor::Impl::keep_spare(Block block) {
  if (spare.size() < kMaxSpare) spare.push_back(std::move(block));
}

struct Executor::Impl::Leaving {
  Leaving(Impl& e, UniqueFd f, Block q, std::string_view rest, bool end)
      : engine(e),
        fd(std::move(f)),
        queue(std::move(q)),
        unsent(rest),
        shutdown(end),
        room([this] { send(); }),
        limit([this] { cut(); }) {}
  ~Leaving() { engine.unwatch(fd.get(), room); }
  Leaving(const Leaving&) = delete;
  Leaving& operator=(const Leaving&) = delete;

  void send() {
    const ssize_t n = ::send(fd.get(), unsent.data(), unsent.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    unsent.remove_prefix(static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (n > 0 && !unsent.empty()) return;
    if (shutdown) ::shutdown(fd.get(), SHUT_WR);
    leave();
  }
  // The peer is to see a broken connection, and no end that there is not.
  void cut() {
    log::debug("net", "{} bytes that a peer has not taken in time are dropped", unsent.size());
    const struct ::linger reset{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    leave();
  }
  void leave() {
    std::erase_if(engine.leaving, [this](const auto& each) { return each.get() == this; });
  }

  Impl& engine;
  UniqueFd fd;
  Block queue;
  std::string_view unsent;  // the end of it
  bool shutdown;            // before closing
  Level room;
  Timer limit;
};

void Executor::Impl::cut_first() { leaving.front()->cut(); }

void Executor::Impl::see_off(UniqueFd fd, Block queue, std::string_view unsent, bool shutdown) {
  if (ending) return;
  if (leaving.size() == kMaxLeaving) cut_first();
  leaving.push_back(
      std::make_unique<Leaving>(*this, std::move(fd), std::move(queue), unsent, shutdown));
  Leaving& last = *leaving.back();
  if (watch(last.fd.get(), last.room, EPOLLOUT) != 0) return last.leave();
  arm(last.limit, std::chrono::steady_clock::now() + kLeaveTime);
}

}  // namespace ebb::net
