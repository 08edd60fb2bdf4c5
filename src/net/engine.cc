#include "net/engine.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "base/log.h"

namespace ebb::net {
namespace {

constexpr uint32_t kReadEvents = EPOLLIN | EPOLLRDHUP;
constexpr uint32_t kEnd = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

// For epoll_wait: rounded up, so that no timer is looked at too early.
int milliseconds_until(TimePoint when, TimePoint now) {
  if (when == kNever) return -1;
  if (when <= now) return 0;
  constexpr int64_t kMost = 1000 * 60 * 60;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(when - now).count();
  return static_cast<int>(std::min(left, kMost));
}

}  // namespace

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

// --- Socket ---

Socket::Socket(Executor& e, UniqueFd fd)
    : EventTarget{.is_socket = true}, executor(e), fd_(std::move(fd)) {
  epoll_event event{};
  event.events = watched_ = kReadEvents | EPOLLET;
  event.data.ptr = static_cast<EventTarget*>(this);
  if (::epoll_ctl(executor.impl().epoll.get(), EPOLL_CTL_ADD, fd_.get(), &event) != 0) {
    problem_ = errno;
    fd_.reset();
  }
}

Socket::~Socket() {
  // Nobody waits, or the waiting frame is being destroyed with this socket.
  read.abandon();
  write.abandon();
  close();
}

void Socket::close() {
  if (!fd_) return;
  Executor::Impl& engine = executor.impl();
  engine.forget(*this);
  // Said, since another process or executor may share the open socket, and then closing
  // would leave it in the set.
  ::epoll_ctl(engine.epoll.get(), EPOLL_CTL_DEL, fd_.get(), nullptr);
  fd_.reset();
  for (Direction* direction : {&read, &write}) {
    if (!direction->waiting()) continue;
    direction->attempt = [](void* self) {
      static_cast<Direction*>(self)->error = ECANCELED;
      return true;
    };
    direction->context = direction;
    direction->poke_soon(executor);
  }
}

void Socket::set_watched(uint32_t events) {
  epoll_event event{};
  event.events = watched_ = events;
  event.data.ptr = static_cast<EventTarget*>(this);
  ::epoll_ctl(executor.impl().epoll.get(), EPOLL_CTL_MOD, fd_.get(), &event);
}

void Socket::expect(Direction& direction, uint32_t events) {
  if (events == EPOLLIN) {
    drained();
    if (readable_) direction.poke_soon(executor);
  } else if ((watched_ & EPOLLOUT) == 0) {
    // The kernel looks anew: if it is writable by now, that is an edge.
    set_watched(watched_ | EPOLLOUT);
  }
}

void Socket::wait(Direction& direction, uint32_t events, std::coroutine_handle<> who,
                  TimePoint until) {
  direction.begin(executor, events, who, until);
  if (open()) {
    expect(direction, events);
  } else {
    direction.poke_soon(executor);
  }
}

void Socket::wait_on(Direction& direction, uint32_t events) {
  direction.await(events);
  expect(direction, events);
}

void Socket::yield(Direction& direction, std::coroutine_handle<> who, TimePoint until) {
  direction.begin(executor, EPOLLIN, who, until);
  direction.poke_soon(executor);
}

// --- The loop ---

Executor::Impl::Impl(TimePoint& time)
    : turn_time(time),
      epoll(::epoll_create1(EPOLL_CLOEXEC)),
      wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      wheel(time) {
  due.prev_ = due.next_ = &due;
  epoll_event wakes{};
  wakes.events = EPOLLIN | EPOLLET;  // never read: each write to it is an edge
  wakes.data.ptr = nullptr;
  if (!epoll || !wake || ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &wakes) != 0) {
    throw std::runtime_error(std::string("cannot make an event loop: ") + std::strerror(errno));
  }
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

int Executor::Impl::watch(int fd, Level& level) {
  epoll_event watched{};
  watched.events = EPOLLIN | EPOLLRDHUP;
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
  // With nobody who wants to write, it would tell of every read of the peer's.
  const auto writes = [](const Direction& d) { return d.waiting() && d.awaits() == EPOLLOUT; };
  if ((what & socket.watched_ & EPOLLOUT) != 0 && !writes(socket.write) && !writes(socket.read)) {
    socket.set_watched(kReadEvents | EPOLLET);
  }
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

bool Executor::Impl::turn(TimePoint wait_until) {
  bool happened = run_due();
  happened = run_posted() || happened;
  if (stopping.load()) return happened;
  int timeout = 0;
  if (!happened && due.next_ == &due) {
    asleep.store(true);
    if (!has_posted.load() && !stopping.load()) {
      timeout =
          milliseconds_until(std::min(wait_until, alarm_at), std::chrono::steady_clock::now());
    }
  }
  const int count = ::epoll_wait(epoll.get(), events.data(), kEvents, timeout);
  asleep.store(false);
  turn_time = std::chrono::steady_clock::now();
  event_count = std::max(count, 0);
  for (event = 0; event < event_count; ++event) {
    happened = run_event(events[static_cast<size_t>(event)]) || happened;
  }
  event = event_count = 0;
  if (alarm_at != kNever) happened = run_timers(turn_time) || happened;
  return happened;
}

}  // namespace ebb::net
