#include "net/uring.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>

#include "base/log.h"
#include "base/sanitizers.h"
#include "net/io_engine.h"

namespace ebb::net {
namespace {

constexpr unsigned kEntries = 256;
constexpr unsigned kEvents = 2048;
constexpr uint16_t kGroup = 0;
constexpr size_t kMemory = Ring::kBuffers * Ring::kBufferSize;
constexpr size_t kRingMemory = Ring::kBuffers * sizeof(io_uring_buf);

// What an event is about: a pointer with one of these in its low bits.
constexpr uint64_t kReceive = 0;
constexpr uint64_t kSend = 1;
constexpr uint64_t kEpoll = 2;
constexpr uint64_t kNothing = 3;
constexpr uint64_t kKind = 3;

uint64_t tagged(const void* pointer, uint64_t kind) {
  return reinterpret_cast<uintptr_t>(pointer) | kind;
}

template <class T>
T& pointed(uint64_t data) {
  return *reinterpret_cast<T*>(data & ~kKind);  // NOLINT(performance-no-int-to-ptr)
}

// ThreadSanitizer takes what one thread writes to a socket and another reads from it for an
// order of the two, and does not see what a ring writes and reads.
constexpr bool kUnseen = kThreadSanitizer;

// What the kernel may lack for a while it is given a moment for; everything else we have
// caused ourselves.
void check(int result) {
  constexpr auto kMoment = std::chrono::milliseconds(1);
  constexpr Duration kTellAgain = std::chrono::seconds(1);
  thread_local TimePoint told{};
  switch (-result) {
    case EINTR:
    case ETIME:
      return;
    case EAGAIN:
    case EBUSY:
    case ENOMEM:
      if (const TimePoint now = std::chrono::steady_clock::now(); now - told > kTellAgain) {
        told = now;
        log::warn("net", "io_uring_enter: {}: trying again", std::strerror(-result));
      }
      std::this_thread::sleep_for(kMoment);
      return;
    default:
      if (result >= 0) return;
      log::error("net", "io_uring_enter: {}", std::strerror(-result));
      std::abort();
  }
}

void* map(size_t bytes) {
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return at == MAP_FAILED ? nullptr : at;
}

void prepare_receive(io_uring_sqe& entry, int fd, uint64_t data) {
  io_uring_prep_recv(&entry, fd, nullptr, Ring::kBufferSize, 0);
  // Whoever waits was told that there is nothing.
  entry.ioprio |= IORING_RECVSEND_POLL_FIRST;
  entry.flags |= IOSQE_BUFFER_SELECT;
  entry.buf_group = kGroup;
  entry.user_data = data;
}

// An event comes only if not all was sent.
void prepare_send(io_uring_sqe& entry, int fd, std::string_view bytes, uint64_t data) {
  io_uring_prep_send(&entry, fd, bytes.data(), bytes.size(),
                     MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL);
  entry.flags |= IOSQE_CQE_SKIP_SUCCESS;
  entry.user_data = data;
}

}  // namespace

Result<bool> Ring::wanted_if_possible() {
  const char* said = std::getenv("EBB_IO_ENGINE");
  const std::string_view engine = said != nullptr ? said : "";
  if (engine == "epoll") return false;
  if (!engine.empty() && engine != "uring") {
    return fail(Errc::kInvalid, "EBB_IO_ENGINE is \"{}\", but may be uring or epoll", engine);
  }
  if (engine.empty() && kUnseen) return false;
  static const int kProblem = problem();
  if (kProblem == 0) return true;
  if (engine == "uring") {
    return fail(Errc::kUnavailable,
                "EBB_IO_ENGINE is uring, but the kernel has no io_uring for us that can do all "
                "that is needed: {}",
                std::strerror(kProblem));
  }
  log::debug("net", "streams wait by epoll: no io_uring: {}", std::strerror(kProblem));
  return false;
}

bool Ring::wanted() {
  auto wanted = wanted_if_possible();
  if (!wanted) throw std::runtime_error(wanted.error().message);
  return *wanted;
}

Result<void> check_io_engine() {
  if (auto wanted = Ring::wanted_if_possible(); !wanted) return fail(wanted.error());
  return {};
}

int Ring::start() {
  if (memory_ == nullptr) memory_ = static_cast<char*>(map(kMemory));
  if (buffers_ == nullptr) buffers_ = static_cast<io_uring_buf_ring*>(map(kRingMemory));
  if (memory_ == nullptr || buffers_ == nullptr) return ENOMEM;
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE;
  params.cq_entries = kEvents;
  int result = io_uring_queue_init_params(kEntries, &ring_, &params);
  if (result != 0) return -result;
  io_uring_buf_reg shared{};
  shared.ring_addr = reinterpret_cast<uintptr_t>(buffers_);
  shared.ring_entries = kBuffers;
  shared.bgid = kGroup;
  result = io_uring_register_buf_ring(&ring_, &shared, 0);
  if (result != 0) {
    io_uring_queue_exit(&ring_);
    return -result;
  }
  started_ = true;
  thread_ = std::this_thread::get_id();
  watches_epoll_ = false;
  free_buffers_ = 0;
  io_uring_buf_ring_init(buffers_);
  for (unsigned buffer = 0; buffer < kBuffers; ++buffer) {
    if (!held_[buffer]) give_back(buffer);
  }
  return 0;
}

void Ring::stop() {
  if (!started_) return;
  // On another thread the kernel ends them, a little later; then no socket is left.
  if (on_its_thread()) {
    for (const auto& each : receives_) {
      if (each->live) cancel(*each);
    }
    constexpr int kTries = 100;
    constexpr int kWait = 10;
    for (int i = 0; i < kTries && receives_under_way_ > 0; ++i) submit(i == 0 ? 0 : kWait);
  }
  started_ = false;
  io_uring_queue_exit(&ring_);
  for (const auto& each : receives_) {
    if (each->live) received(*each, io_uring_cqe{.user_data = 0, .res = -ECANCELED, .flags = 0});
  }
}

Ring::~Ring() {
  stop();
  if (buffers_ != nullptr) ::munmap(buffers_, kRingMemory);
  if (memory_ != nullptr) ::munmap(memory_, kMemory);
}

// --- Whether the kernel does what is relied upon ---

int Ring::problem() {
  Ring ring;
  const int err = ring.start();
  return err != 0 ? err : ring.try_out();
}

int Ring::try_out() {
  std::array<int, 2> heard{-1, -1};
  std::array<int, 2> full{-1, -1};
  constexpr int kType = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const bool made = ::socketpair(AF_UNIX, kType, 0, heard.data()) == 0 &&
                    ::socketpair(AF_UNIX, kType, 0, full.data()) == 0;
  const int why = made ? 0 : errno;
  const UniqueFd a(heard[0]);
  const UniqueFd b(heard[1]);
  const UniqueFd c(full[0]);
  const UniqueFd d(full[1]);
  if (!made) return why;
  constexpr uint64_t kHeard = 4;
  constexpr uint64_t kFull = 8;
  constexpr uint64_t kUnheard = 12;
  constexpr uint64_t kPart = 16;
  const std::string too_much(1 << 20, ' ');
  prepare_receive(next_entry(), a.get(), kHeard);
  prepare_send(next_entry(), b.get(), "x", kUnheard);
  prepare_send(next_entry(), c.get(), too_much, kPart);
  prepare_send(next_entry(), c.get(), "x", kFull);
  enter(0);
  bool received = false;
  bool took_part = false;
  bool refused = false;
  bool ended = false;
  const auto look = [&] {
    io_uring_cqe* event = nullptr;
    while (io_uring_peek_cqe(&ring_, &event) == 0 && event != nullptr) {
      received |= event->user_data == kHeard && event->res == 1 &&
                  (event->flags & IORING_CQE_F_BUFFER) != 0;
      took_part |= event->user_data == kPart && event->res > 0 &&
                   static_cast<size_t>(event->res) < too_much.size();
      refused |= event->user_data == kFull && event->res == -EAGAIN;
      ended |= event->user_data == kHeard && event->res == -ECANCELED;
      if (event->user_data == kUnheard) received = false;
      io_uring_cqe_seen(&ring_, event);
    }
  };
  look();
  if (!received) {  // it came by a wake-up
    enter(0);
    look();
  }
  if (!received || !took_part || !refused) return EOPNOTSUPP;
  prepare_receive(next_entry(), a.get(), kHeard);
  io_uring_prep_cancel64(&next_entry(), kHeard, 0);
  for (int i = 0; i < 2 && !ended; ++i) {
    enter(0);
    look();
  }
  return ended ? 0 : EOPNOTSUPP;
}

// --- To the kernel ---

io_uring_sqe& Ring::next_entry() {
  io_uring_sqe* entry = io_uring_get_sqe(&ring_);
  while (entry == nullptr) {
    check(io_uring_submit(&ring_));
    entry = io_uring_get_sqe(&ring_);
  }
  return *entry;
}

void Ring::receive(Socket& socket) {
  if (free_receives_.empty()) {
    receives_.push_back(std::make_unique<Receive>());
    free_receives_.push_back(receives_.back().get());
  }
  Receive& receive = *free_receives_.back();
  free_receives_.pop_back();
  receive = {.socket = &socket, .canceled = false, .live = true};
  ++receives_under_way_;
  socket.receive_ = &receive;
  prepare_receive(next_entry(), socket.fd(), tagged(&receive, kReceive));
}

void Ring::send(Socket& socket) {
  prepare_send(next_entry(), socket.fd(), socket.unsent(), tagged(&socket, kSend));
  sent_.push_back(&socket);
}

void Ring::watch_epoll(int epoll) {
  if (watches_epoll_) return;
  watches_epoll_ = true;
  // Once only: it looks at the set when it begins, so none of its events is missed.
  io_uring_sqe& entry = next_entry();
  io_uring_prep_poll_add(&entry, epoll, POLLIN);
  entry.user_data = kEpoll;
}

void Ring::cancel(Receive& receive) {
  if (std::exchange(receive.canceled, true)) return;
  to_cancel_.push_back(&receive);
}

void Ring::enter(int milliseconds) {
  if (milliseconds == 0) {
    check(io_uring_submit_and_get_events(&ring_));
    return;
  }
  __kernel_timespec limit{};
  limit.tv_sec = milliseconds / 1000;
  limit.tv_nsec = milliseconds % 1000 * 1'000'000LL;
  io_uring_cqe* first = nullptr;
  check(io_uring_submit_and_wait_timeout(&ring_, &first, 1, milliseconds < 0 ? nullptr : &limit,
                                         nullptr));
}

Ring::Seen Ring::submit(int milliseconds) {
  for (Receive* receive : to_cancel_) {
    io_uring_sqe& entry = next_entry();
    io_uring_prep_cancel64(&entry, tagged(receive, kReceive), 0);
    entry.flags |= IOSQE_CQE_SKIP_SUCCESS;
    entry.user_data = kNothing;
  }
  to_cancel_.clear();
  Seen seen;
  enter(milliseconds);
  reap(seen);
  // Short of memory, or of room for events: nobody may run before all is handed over.
  while (io_uring_sq_ready(&ring_) > 0 || io_uring_cq_has_overflow(&ring_)) {
    check(io_uring_submit_and_get_events(&ring_));
    reap(seen);
  }
  for (Socket* socket : sent_) socket->sent();
  sent_.clear();
  return seen;
}

// --- From the kernel ---

void Ring::reap(Seen& seen) {
  unsigned head = 0;
  unsigned count = 0;
  io_uring_cqe* event = nullptr;
  io_uring_for_each_cqe(&ring_, head, event) {
    ++count;
    switch (event->user_data & kKind) {
      case kReceive:
        received(pointed<Receive>(event->user_data), *event);
        seen.sockets = true;
        break;
      case kSend:
        pointed<Socket>(event->user_data).not_sent(event->res);
        seen.sockets = true;
        break;
      case kEpoll:
        watches_epoll_ = false;
        seen.epoll = true;
        break;
      default:
        break;
    }
  }
  io_uring_cq_advance(&ring_, count);
}

void Ring::received(Receive& receive, const io_uring_cqe& event) {
  Socket* const socket = receive.socket;
  if ((event.flags & IORING_CQE_F_BUFFER) != 0) {
    const unsigned buffer = event.flags >> IORING_CQE_BUFFER_SHIFT;
    --free_buffers_;
    held_[buffer] = true;
    if (socket == nullptr || event.res <= 0) {
      give_back(buffer);
    } else {
      socket->held_ = {.at = memory_ + buffer * kBufferSize,
                       .left = static_cast<uint32_t>(event.res),
                       .buffer = static_cast<uint16_t>(buffer)};
    }
  }
  receive.live = false;
  --receives_under_way_;
  std::erase(to_cancel_, &receive);
  free_receives_.push_back(&receive);
  if (socket != nullptr) {
    socket->received(event.res, (event.flags & IORING_CQE_F_SOCK_NONEMPTY) != 0);
  }
}

void Ring::give_back(unsigned buffer) {
  held_[buffer] = false;
  io_uring_buf_ring_add(buffers_, memory_ + buffer * kBufferSize, kBufferSize,
                        static_cast<uint16_t>(buffer), io_uring_buf_ring_mask(kBuffers), 0);
  io_uring_buf_ring_advance(buffers_, 1);
  ++free_buffers_;
}

size_t Ring::read(Held& held, std::span<char> to) {
  const size_t bytes = std::min<size_t>(to.size(), held.left);
  std::memcpy(to.data(), held.at, bytes);
  held.at += bytes;
  held.left -= static_cast<uint32_t>(bytes);
  if (held.left == 0) give_back(held.buffer);
  return bytes;
}

void Ring::drop(Held& held) {
  held.left = 0;
  give_back(held.buffer);
}

}  // namespace ebb::net
