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
  return fd;
}

ControllerClient::ControllerClient(net::Executor& home, UniqueFd socket, Events events)
    : socket_(std::move(socket)), events_(std::move(events)), buffer_(kMaxMessage) {
  watch_ = std::make_unique<net::FdWatch>(home, socket_.get(), [this] { on_readable(); });
}

Result<void> ControllerClient::send(const ToController& message) {
  return send_packet(socket_.get(), encode(message));
}

void ControllerClient::on_readable() {
  for (;;) {
    const auto packet = receive_packet(socket_.get(), buffer_);
    if (packet && !*packet) return;
    if (!packet || (*packet)->empty()) {
      watch_.reset();
      events_.on_gone();
      return;
    }
    auto message = decode_from_controller(**packet);
    if (!message) {
      log::error("controller-client", "refused: {}", message.error().message);
      continue;
    }
    events_.on_message(std::move(*message));
  }
}

}  // namespace ebb::node
