#include "relay.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace ebb::exec {
namespace {

constexpr size_t kPipeBytes = 64 * 1024;
constexpr unsigned kFlags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;

constexpr size_t kSparePipes = 16;

}  // namespace

// Empty pipes, to be used again.
class Pipes final {
 public:
  Pipes() = default;
  Pipes(const Pipes&) = delete;
  Pipes& operator=(const Pipes&) = delete;
  ~Pipes() {
    for (const auto& pipe : spare_) drop(pipe);
  }
  bool take(std::array<int, 2>& pipe) {
    if (spare_.empty()) return ::pipe2(pipe.data(), O_CLOEXEC | O_NONBLOCK) == 0;
    pipe = spare_.back();
    spare_.pop_back();
    return true;
  }
  void give(const std::array<int, 2>& pipe, bool is_empty) {
    if (is_empty && spare_.size() < kSparePipes) {
      spare_.push_back(pipe);
    } else {
      drop(pipe);
    }
  }

 private:
  static void drop(const std::array<int, 2>& pipe) {
    for (const int fd : pipe) ::close(fd);
  }
  std::vector<std::array<int, 2>> spare_;
};

namespace {

// One direction. It has a pipe only while bytes are stuck in it.
struct Way {
  Pipes* pipes = nullptr;
  int from = -1;
  int to = -1;
  std::array<int, 2> pipe = {-1, -1};
  size_t held = 0;
  bool ended = false;  // nothing more comes
  bool done = false;   // and all has been passed on, or nobody wants it

  enum class Step { kMoved, kWaits, kFailed };
  Step fill();
  Step empty();
  bool open_pipe();
  void close_pipe();
  void finish();
  bool pump();
};

bool Way::open_pipe() { return pipe[0] >= 0 || pipes->take(pipe); }

void Way::close_pipe() {
  if (pipe[0] >= 0) pipes->give(pipe, held == 0);
  pipe = {-1, -1};
  held = 0;
}

Way::Step Way::fill() {
  const ssize_t n = ::splice(from, nullptr, pipe[1], nullptr, kPipeBytes, kFlags);
  if (n > 0) {
    held = static_cast<size_t>(n);
    return Step::kMoved;
  }
  if (n < 0 && errno == EINTR) return Step::kMoved;
  if (n < 0 && errno == EAGAIN) return Step::kWaits;
  ended = true;  // closed, or broken, which is the same for who reads
  return Step::kMoved;
}

Way::Step Way::empty() {
  const ssize_t n = ::splice(pipe[0], nullptr, to, nullptr, held, kFlags);
  if (n > 0) {
    held -= static_cast<size_t>(n);
    return Step::kMoved;
  }
  if (n < 0 && errno == EINTR) return Step::kMoved;
  if (n < 0 && errno == EAGAIN) return Step::kWaits;
  return Step::kFailed;
}

void Way::finish() {
  ::shutdown(to, SHUT_WR);
  done = true;
  close_pipe();
}

// True if it has more to move than its share.
bool Way::pump() {
  for (size_t piece = 0; !done; ++piece) {
    if (piece == 2 * kPieces) return true;
    if (ended && held == 0) {
      finish();
      break;
    }
    if (held == 0 && !open_pipe()) {  // out of descriptors: this connection cannot go on
      finish();
      break;
    }
    const Step step = held == 0 ? fill() : empty();
    if (step == Step::kFailed) finish();
    if (step == Step::kWaits) break;
  }
  if (held == 0) close_pipe();
  return false;
}

}  // namespace

Target loopback(uint16_t port, bool v6) {
  Target out;
  if (v6) {
    sockaddr_in6 address = {};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(port);
    address.sin6_addr = in6addr_loopback;
    std::memcpy(&out.address, &address, sizeof address);
    out.length = sizeof address;
  } else {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    std::memcpy(&out.address, &address, sizeof address);
    out.length = sizeof address;
  }
  return out;
}

struct Relay::Connection {
  int client = -1;
  int program = -1;
  Way up;    // client to program
  Way down;  // program to client
  bool is_behind = false;
  ~Connection() {
    up.close_pipe();
    down.close_pipe();
    if (client >= 0) ::close(client);
    if (program >= 0) ::close(program);
  }
};

Relay::Relay(int epoll, int listener, Target target)
    : epoll_(epoll), listener_(listener), target_(target), pipes_(std::make_unique<Pipes>()) {}

Relay::~Relay() {
  for (Connection* connection : connections_) delete connection;
}

void Relay::start() {
  epoll_event event = {};
  event.events = EPOLLIN;  // by level: what was left at the bound comes again
  event.data.ptr = this;
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &event);
  accept();
}

void Relay::on_event(void* data, uint32_t /*events*/) {
  if (data == this) {
    accept();
    return;
  }
  auto* connection = static_cast<Connection*>(data);
  if (connections_.contains(connection)) pump(*connection);
}

void Relay::accept() {
  while (connections_.size() < kMaxConnections) {
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EAGAIN) return;
      break;  // no descriptors: when a connection ends
    }
    auto connection = std::make_unique<Connection>();
    connection->client = client;
    connection->program =
        ::socket(target_.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection->program < 0) continue;
    const int yes = 1;
    ::setsockopt(connection->program, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (::connect(connection->program, reinterpret_cast<const sockaddr*>(&target_.address),
                  target_.length) != 0 &&
        errno != EINPROGRESS) {
      continue;  // the program does not listen any more: the client sees it close
    }
    connection->up.pipes = connection->down.pipes = pipes_.get();
    connection->up.from = connection->down.to = client;
    connection->up.to = connection->down.from = connection->program;
    epoll_event event = {};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.ptr = connection.get();
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, client, &event) != 0 ||
        ::epoll_ctl(epoll_, EPOLL_CTL_ADD, connection->program, &event) != 0) {
      continue;
    }
    Connection* raw = connection.release();
    connections_.insert(raw);
    pump(*raw);
  }
  if (connections_.empty()) {
    ::poll(nullptr, 0, 1);  // no descriptors, and none of ours will come free
  } else if (!paused_) {
    paused_ = true;
    ::epoll_ctl(epoll_, EPOLL_CTL_DEL, listener_, nullptr);
  }
}

void Relay::pump(Connection& connection) {
  const bool more_up = connection.up.pump();
  const bool more_down = connection.down.pump();
  if (connection.down.done && connection.up.done) {
    close(connection);
    return;
  }
  if ((more_up || more_down) && !connection.is_behind) {
    connection.is_behind = true;
    behind_.push_back(&connection);
  }
}

void Relay::run_behind() {
  std::vector<Connection*> now;
  now.swap(behind_);
  for (Connection* connection : now) {
    if (!connections_.contains(connection)) continue;
    connection->is_behind = false;
    pump(*connection);
  }
}

void Relay::close(Connection& connection) {
  connections_.erase(&connection);
  ended_.emplace_back(&connection);  // events already fetched may still name it
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, connection.client, nullptr);
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, connection.program, nullptr);
}

void Relay::bury() {
  if (ended_.empty()) return;
  ended_.clear();
  if (!paused_) return;
  paused_ = false;
  start();
}

}  // namespace ebb::exec
