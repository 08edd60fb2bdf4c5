#include "net/listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "net/descriptor_reserve.h"
#include "net/sockaddr.h"
#include "net/stream_impl.h"

namespace ebb::net {
namespace {

constexpr Duration kShortagePause = std::chrono::milliseconds(100);
constexpr Duration kShortageLogEvery = std::chrono::seconds(1);

enum class AcceptFailure { kNotYet, kTryAgain, kShortage, kBroken };

AcceptFailure classify(int err) {
  switch (err) {
    case EAGAIN:
      return AcceptFailure::kNotYet;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      return AcceptFailure::kShortage;
    // accept(2): errors of the new connection, which is gone then.
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case EPERM:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case ETIMEDOUT:
      return AcceptFailure::kTryAgain;
    default:
      return AcceptFailure::kBroken;
  }
}

}  // namespace

// Shared with a pending accept(), which may end after the Listener.
struct Listener::State {
  State(Executor& e, UniqueFd fd) : executor(e), socket(e, std::move(fd)) {
    pause.fire = [this] { std::exchange(paused, nullptr).resume(); };
    if (socket.open()) return;
    (void)socket_failure(socket.problem(), "cannot watch a listening socket");
    closed = true;
  }

  void close() {
    if (std::exchange(closed, true)) return;
    socket.close();
    if (paused) {
      pause.disarm();
      executor.resume(std::exchange(paused, nullptr));
    }
  }

  // Only the reserve is left, as far as that is known without a look.
  [[nodiscard]] bool short_of_descriptors() {
    perhaps_short = perhaps_short && reserve.reached();
    return perhaps_short;
  }

  void report_shortage(int err) {
    const TimePoint now = executor.now();
    if (now < next_report) return;
    next_report = now + kShortageLogEvery;
    const char* text = strerrordesc_np(err);
    log::warn("net",
              "cannot accept connections for now: {}: raise the limit (ulimit -Hn, LimitNOFILE)",
              text ? text : "out of resources");
  }

  Executor& executor;
  Socket socket;
  Timer pause;
  std::coroutine_handle<> paused;
  TimePoint next_report;
  const DescriptorReserve reserve;
  bool perhaps_short = false;
  int streak = 0;  // accepted since the last turn of the loop
  bool closed = false;
};

// Waits out a shortage; close() ends it early.
struct Listener::Pause {
  State& state;
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiter) const {
    state.paused = waiter;
    state.executor.arm(state.pause, state.executor.now() + kShortagePause);
  }
  void await_resume() const noexcept {}
};

// Lets the loop turn.
struct Turn {
  Socket& socket;
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiter) const {
    socket.read.attempt = nullptr;
    socket.yield(socket.read, waiter, kNever);
  }
  void await_resume() const noexcept {}
};

struct Listener::Impl {
  std::shared_ptr<State> state;
};

Listener::Listener(Executor& executor, UniqueFd listening) : impl_(std::make_unique<Impl>()) {
  int family = AF_UNSPEC;
  socklen_t size = sizeof family;
  ::getsockopt(listening.get(), SOL_SOCKET, SO_DOMAIN, &family, &size);
  if (family == AF_INET || family == AF_INET6) {
    const int on = 1;  // Linux hands it on to what is accepted: no call per connection
    ::setsockopt(listening.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  ::fcntl(listening.get(), F_SETFL, ::fcntl(listening.get(), F_GETFL) | O_NONBLOCK);
  impl_->state = std::make_shared<State>(executor, std::move(listening));
}

Listener::Listener(Listener&&) noexcept = default;

Listener::~Listener() {
  if (impl_) impl_->state->close();
}

std::vector<Stream> Listener::close() {
  std::vector<Stream> waiting;
  if (!impl_ || impl_->state->closed) return waiting;
  State& state = *impl_->state;
  for (;;) {
    UniqueFd fd(::accept4(state.socket.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (fd) {
      waiting.push_back(Stream::Impl::make(state.executor, std::move(fd)));
    } else if (classify(errno) != AcceptFailure::kTryAgain) {
      break;
    }
  }
  state.close();
  return waiting;
}

void Listener::leave() {
  if (impl_) impl_->state->close();
}

Task<IoResult<Stream>> Listener::accept() { return accept_on(impl_->state); }

Task<IoResult<Stream>> Listener::accept_on(std::shared_ptr<State> state) {
  for (;;) {
    if (state->closed) co_return fail(IoError::kCanceled);
    if (state->streak >= kMaxStreak) {
      state->streak = 0;
      Turn turn{state->socket};
      co_await turn;
      continue;
    }
    if (state->short_of_descriptors()) {
      state->report_shortage(EMFILE);
      Pause pause{*state};
      co_await pause;
      continue;
    }
    UniqueFd fd(::accept4(state->socket.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    const int err = errno;
    if (fd) {
      ++state->streak;
      state->perhaps_short = state->reserve.has(fd.get());
      Stream accepted = Stream::Impl::make(state->executor, std::move(fd));
      co_return accepted;
    }
    switch (classify(err)) {
      case AcceptFailure::kTryAgain:
        break;
      case AcceptFailure::kNotYet: {
        state->streak = 0;
        SocketReady ready{state->socket, state->socket.read, EPOLLIN, kNever};
        const int failed = co_await ready;
        if (failed != 0 && !state->closed) co_return fail(state->socket.read.failure("accept"));
        break;
      }
      case AcceptFailure::kShortage: {
        state->report_shortage(err);
        Pause pause{*state};
        co_await pause;
        break;
      }
      case AcceptFailure::kBroken:
        co_return fail(socket_failure(err, "accept"));
    }
  }
}

Address Listener::local() const {
  if (!impl_ || impl_->state->closed) return {};
  auto address = local_address(impl_->state->socket.fd());
  return address ? *address : Address{};
}

}  // namespace ebb::net
