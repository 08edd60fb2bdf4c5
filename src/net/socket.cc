// A Socket: what it carries, and who waits for it.
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "net/engine.h"
#include "net/uring.h"

namespace ebb::net {
namespace {

constexpr uint32_t kReadEvents = EPOLLIN | EPOLLRDHUP;

// Ends what waits in `direction` with `err`, in the next turn.
void fail_soon(Direction& direction, int err, Executor& executor) {
  direction.error = err;
  direction.transferred = 0;
  direction.attempt = [](void* /*context*/) { return true; };
  direction.poke_soon(executor);
}

bool resets_when_closed(int fd) {
  ::linger what{};
  socklen_t size = sizeof what;
  return ::getsockopt(fd, SOL_SOCKET, SO_LINGER, &what, &size) == 0 && what.l_onoff != 0 &&
         what.l_linger == 0;
}

}  // namespace

Socket::Socket(Executor& e, UniqueFd fd, Watch watch)
    : EventTarget{.is_socket = true},
      executor(e),
      fd_(std::move(fd)),
      by_ring_(watch == Watch::kOnDemand && e.impl().uses_ring) {
  if (!fd_) {
    problem_ = ENOTSOCK;
  } else if (!by_ring_) {
    problem_ = set_epoll_events(kReadEvents);
    if (problem_ != 0) fd_.reset();
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
  unlink();
  wants_receive_ = false;
  // Said, since another process or executor may share the open socket, and then closing
  // would leave it in the set.
  set_epoll_events(0);
  if (held_.left > 0) engine.ring->drop(held_);
  if (queue_end_ > 0) {
    std::array<std::string_view, 3> nothing;
    if (!send_now(nothing) && !resets_when_closed(fd_.get())) {
      const std::string_view rest = unsent();
      engine.see_off(std::move(fd_), std::move(queue_), rest, shutdown_due_);
    }
  }
  shutdown_due_ = false;
  drop_queue();
  fd_.reset();
  for (Direction* direction : {&read, &write}) {
    if (direction->waiting()) fail_soon(*direction, ECANCELED, executor);
  }
  if (receive_ == nullptr) return;
  // It holds the open socket: the peer sees the end once it is over.
  receive_->socket = nullptr;
  engine.ring->cancel(*std::exchange(receive_, nullptr));
  if (!engine.in_turn) engine.settle();
}

int Socket::set_epoll_events(uint32_t events) {
  if (events == epoll_events_) return 0;
  const int change = epoll_events_ == 0 ? EPOLL_CTL_ADD
                     : events == 0      ? EPOLL_CTL_DEL
                                        : EPOLL_CTL_MOD;
  epoll_event event{};
  event.events = events | EPOLLET;
  event.data.ptr = static_cast<EventTarget*>(this);
  if (::epoll_ctl(executor.impl().epoll.get(), change, fd_.get(), &event) != 0) return errno;
  epoll_events_ = events;
  return 0;
}

bool Socket::awaited(uint32_t event) const {
  const auto waits = [event](const Direction& d) { return d.waiting() && d.awaits() == event; };
  return waits(read) || waits(write);
}

void Socket::stop_watching_for_room() {
  if ((epoll_events_ & EPOLLOUT) == 0 || blocked_ || awaited(EPOLLOUT)) return;
  set_epoll_events(epoll_events_ & ~static_cast<uint32_t>(EPOLLOUT));
}

void Socket::expect(Direction& direction, uint32_t events) {
  // What is watched anew the kernel looks at: if it is ready by now, that is an edge.
  int err = 0;
  if (events == EPOLLIN) {
    drained();
    if (readable()) {
      direction.poke_soon(executor);
    } else if (by_ring_ && executor.impl().uses_ring) {
      wants_receive_ = receive_ == nullptr;
      if (wants_receive_) enlist();
    } else {
      err = set_epoll_events(epoll_events_ | kReadEvents);
    }
  } else {
    err = set_epoll_events(epoll_events_ | EPOLLOUT);
  }
  if (err != 0) fail_soon(direction, err, executor);
}

void Socket::wait(Direction& direction, uint32_t events, std::coroutine_handle<> who,
                  TimePoint until) {
  direction.begin(executor, events, who, until);
  if (events == EPOLLIN) unwatch();
  if (open()) {
    expect(direction, events);
  } else {
    direction.poke_soon(executor);
  }
}

void Socket::cancel_read() {
  if (read.waiting()) fail_soon(read, ECANCELED, executor);
}

void Socket::watch() {
  if (!open() || readable()) return;
  idle_watch_ = true;
  if (by_ring_ && executor.impl().uses_ring) {
    if (receive_ != nullptr) return;
    wants_receive_ = true;
    enlist();
  } else if (set_epoll_events(epoll_events_ | kReadEvents) != 0) {
    readable_ = true;  // perhaps: whoever wants to know has to ask
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

// --- Bytes ---

bool Socket::receive(std::span<char> buffer) {
  read.error = 0;
  read.transferred = 0;
  if (held_.left > 0) {
    read.transferred = executor.impl().ring->read(held_, buffer);
    return true;
  }
  if (failed_ != 0) {
    read.error = std::exchange(failed_, 0);
    return true;
  }
  if (!at_end_) {
    if (receive_ != nullptr && !readable_) return false;
    const ssize_t n = ::recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    read.error = n < 0 ? errno : 0;
    read.transferred = n < 0 ? 0 : static_cast<size_t>(n);
    if (n >= 0 && read.transferred < buffer.size()) drained();
    if (n == 0) at_end_ = true;
    if (n != 0) return true;
  }
  // An end, to who was told that all is sent: the connection was closed before.
  read.error = std::exchange(send_failed_, 0);
  return true;
}

bool Socket::send(std::array<std::string_view, 3>& parts) {
  write.error = std::exchange(send_failed_, 0);
  if (write.error != 0 || enqueue(parts)) return true;
  const auto done = send_now(parts);
  if (done) write.error = *done;
  return done.has_value();
}

bool Socket::enqueue(std::array<std::string_view, 3>& parts) {
  const Executor::Impl& engine = executor.impl();
  // A peer that has gone is to be noticed at once.
  if (!by_ring_ || !engine.uses_ring || !engine.in_turn || blocked_ || ended_ || at_end_) {
    return false;
  }
  size_t total = queue_end_;
  for (const std::string_view part : parts) total += part.size();
  if (total > Ring::kQueued) return false;
  if (total > queue_.size()) {
    constexpr size_t kSmall = 1024;
    Block larger = total > kSmall ? executor.impl().take_spare() : Block(kSmall);
    if (queue_end_ > 0) std::memcpy(larger.data(), queue_.data(), queue_end_);
    std::swap(queue_, larger);
  }
  for (std::string_view& part : parts) {
    if (part.empty()) continue;
    std::memcpy(queue_.data() + queue_end_, part.data(), part.size());
    queue_end_ += static_cast<uint32_t>(part.size());
    part = {};
  }
  if (queue_end_ > 0) enlist();
  return true;
}

std::optional<int> Socket::send_now(std::array<std::string_view, 3>& parts) {
  for (;;) {
    std::array<std::string_view, 4> all{unsent(), parts[0], parts[1], parts[2]};
    std::array<iovec, 4> pieces;
    msghdr message{};
    message.msg_iov = pieces.data();
    size_t wanted = 0;
    for (const std::string_view part : all) {
      if (part.empty()) continue;
      pieces[message.msg_iovlen++] = {const_cast<char*>(part.data()), part.size()};
      wanted += part.size();
    }
    if (wanted == 0) return 0;
    constexpr int kFlags = MSG_NOSIGNAL | MSG_DONTWAIT;
    // For one block the kernel has less to copy.
    const ssize_t sent = message.msg_iovlen == 1
                             ? ::send(fd_.get(), pieces[0].iov_base, pieces[0].iov_len, kFlags)
                             : ::sendmsg(fd_.get(), &message, kFlags);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno != EAGAIN) {
      const int err = errno;
      drop_queue();
      return err;
    }
    auto left = static_cast<size_t>(std::max<ssize_t>(sent, 0));
    if (queue_end_ > 0) {
      const size_t taken = std::min(left, unsent().size());
      queue_begin_ += static_cast<uint32_t>(taken);
      left -= taken;
      blocked_ = queue_begin_ < queue_end_;
      if (!blocked_) drop_queue();
    }
    for (std::string_view& part : parts) {
      const size_t taken = std::min(left, part.size());
      part.remove_prefix(taken);
      left -= taken;
    }
    if (sent >= 0 && static_cast<size_t>(sent) == wanted) return 0;
    return std::nullopt;  // the next one would only say EAGAIN
  }
}

void Socket::shutdown_write() {
  shutdown_due_ = true;
  send_queued();
}

void Socket::send_queued() {
  if (queue_end_ == 0) return drop_queue();
  std::array<std::string_view, 3> nothing;
  auto done = send_now(nothing);
  if (!done) {
    const int err = set_epoll_events(epoll_events_ | EPOLLOUT);
    if (err == 0) return;
    done = err;
    drop_queue();
  }
  if (*done != 0) give_up_sending(*done);
}

// Who waits for the peer hears of it, too.
void Socket::give_up_sending(int err) {
  send_failed_ = err;
  ::shutdown(fd_.get(), SHUT_RDWR);
}

// Nothing is queued any more: what was to come after it comes now.
void Socket::drop_queue() {
  if (queue_.size() == Ring::kQueued) executor.impl().keep_spare(std::move(queue_));
  queue_.reset();
  queue_begin_ = queue_end_ = 0;
  blocked_ = false;
  if (std::exchange(shutdown_due_, false)) ::shutdown(fd_.get(), SHUT_WR);
}

// --- With a ring ---

void Socket::enlist() {
  if (!linked()) link_before(executor.impl().pending);
}

void Socket::hand_over(Ring* ring) {
  unlink();
  if (queue_end_ > 0 && !blocked_) {
    if (ring != nullptr) {
      ring->send(*this);
    } else {
      send_queued();
    }
  }
  if (!std::exchange(wants_receive_, false) || receive_ != nullptr) return;
  if (!idle_watch_ && !awaited(EPOLLIN)) return;
  if (ring != nullptr && ring->has_buffers()) {
    set_epoll_events(epoll_events_ & EPOLLOUT);
    ring->receive(*this);
  } else if (const int err = set_epoll_events(epoll_events_ | kReadEvents); err != 0) {
    readable_ = true;
    if (read.waiting()) fail_soon(read, err, executor);
    if (write.waiting()) fail_soon(write, err, executor);
  }
}

void Socket::received(int result, bool more) {
  receive_ = nullptr;
  if (idle_watch_ && result > 0) {
    executor.impl().ring->drop(held_);
    failed_ = ECONNRESET;  // for who reads all the same
  }
  readable_ = result <= 0 || more;
  if (result == 0) at_end_ = true;
  const bool none = result == -ENOBUFS || result == -ECANCELED || result == -EAGAIN ||
                    result == -EINTR || result == -ENOMEM;
  if (result < 0 && !none) failed_ = -result;
  stop_watching_for_room();
  for (Direction* direction : {&read, &write}) {
    if (direction->waiting() && direction->awaits() == EPOLLIN) direction->poke_soon(executor);
  }
}

void Socket::not_sent(int result) {
  blocked_ = result >= 0 || result == -EAGAIN || result == -EINTR;
  if (result > 0) queue_begin_ += static_cast<uint32_t>(result);
  if (!blocked_) {
    give_up_sending(-result);
  } else if (const int err = set_epoll_events(epoll_events_ | EPOLLOUT); err != 0) {
    give_up_sending(err);
    blocked_ = false;
  }
}

void Socket::sent() {
  if (!blocked_) drop_queue();
}

}  // namespace ebb::net
