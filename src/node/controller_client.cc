#include "node/controller_client.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "node/packet.h"

namespace ebb::node {

namespace {
// How often a full queue is tried again. The Local Controller empties it in one go.
constexpr Duration kRetry = std::chrono::milliseconds(4);
constexpr int kSendBuffer = 4 << 20;  // bytes
}  // namespace

Result<UniqueFd> ControllerClient::open(const std::string& path) {
  const auto slash = path.rfind('/');
  const UniqueFd folder(::open(path.substr(0, slash).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!folder || !fd) return fail(Errc::kUnavailable, "there is no {}", path);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string name = fmt::format("/proc/self/fd/{}{}", folder.get(), path.substr(slash));
  if (name.size() >= sizeof address.sun_path) {
    return fail(Errc::kInvalid, "the socket name {} is too long", path);
  }
  std::memcpy(address.sun_path, name.c_str(), name.size() + 1);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == EACCES || errno == EPERM) {
      return fail(Errc::kPermission, "no right to connect to {}", path);
    }
    return fail(Errc::kUnavailable, "nobody listens on {}", path);
  }
  // Beyond the system's usual bound, which root may do.
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, &kSendBuffer, sizeof kSendBuffer);
  return fd;
}

ControllerClient::ControllerClient(net::Executor& home, UniqueFd socket, Events events)
    : home_(home), socket_(std::move(socket)), events_(std::move(events)), buffer_(kMaxMessage) {
  retry_.fire = [this] { flush(); };
  heartbeat_.fire = [this] { beat(); };
  home.arm(heartbeat_, home.now() + kPingEvery);
  watch_ = std::make_unique<net::FdWatch>(home, socket_.get(), [this] { on_readable(); });
}

Result<void> ControllerClient::send(const ToController& message) {
  std::string packet = encode(message);
  const std::lock_guard lock(mutex_);
  if (queue_.empty()) {
    auto sent = send_packet(socket_.get(), packet);
    if (sent || sent.error().code != Errc::kExhausted) return sent;
    home_.post([this] { home_.arm(retry_, home_.now() + kRetry); });
  } else if (queue_.size() >= kMaxQueued) {
    return fail(Errc::kExhausted, "the Local Controller does not keep up with its orders");
  }
  queue_.push_back(std::move(packet));
  return {};
}

bool ControllerClient::flushed() const {
  const std::lock_guard lock(mutex_);
  return queue_.empty();
}

void ControllerClient::flush() {
  const std::lock_guard lock(mutex_);
  while (!queue_.empty()) {
    const auto sent = send_packet(socket_.get(), queue_.front());
    if (!sent && sent.error().code == Errc::kExhausted) {
      home_.arm(retry_, home_.now() + kRetry);
      return;
    }
    queue_.pop_front();  // sent, or nobody is left to read it
  }
}

// Any message is a sign of life; pings see to it that there is one.
void ControllerClient::beat() {
  home_.arm(heartbeat_, home_.now() + kPingEvery);
  if (unanswered_ >= kMaxUnanswered) {
    if (std::exchange(hung_, true)) return;
    log::error("controller-client", "the Local Controller has not answered {} pings",
               kMaxUnanswered);
    if (events_.on_hung) events_.on_hung();
    return;
  }
  ++unanswered_;
  // A full queue is a sign of its own.
  static_cast<void>(send(Ping{++pings_}));
}

void ControllerClient::on_readable() {
  for (;;) {
    const auto packet = receive_packet(socket_.get(), buffer_);
    if (packet && !*packet) return;
    if (!packet || (*packet)->empty()) {
      watch_.reset();
      heartbeat_.disarm();
      events_.on_gone();
      return;
    }
    unanswered_ = 0;
    hung_ = false;
    auto message = decode_from_controller(**packet);
    if (!message) {
      log::error("controller-client", "refused: {}", message.error().message);
      continue;
    }
    if (std::holds_alternative<Pong>(*message)) continue;
    events_.on_message(std::move(*message));
  }
}

}  // namespace ebb::node
