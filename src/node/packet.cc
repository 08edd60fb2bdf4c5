#include "node/packet.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace ebb::node {
namespace {
constexpr size_t kMaxDescriptors = 8;
}  // namespace

Result<SocketPair> make_packet_pair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) {
    return fail_errno(errno, "cannot make a socket pair");
  }
  SocketPair pair{UniqueFd(fds[0]), UniqueFd(fds[1])};
  ::fcntl(fds[0], F_SETFL, O_NONBLOCK);
  return pair;
}

Result<void> send_packet(int fd, std::string_view data, std::span<const int> fds) {
  iovec part = {const_cast<char*>(data.data()), data.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxDescriptors)] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  ssize_t n = 0;
  do {
    n = ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (n < 0 && errno == EINTR);
  if (n >= 0) return {};
  if (errno == EAGAIN || errno == ENOBUFS) {
    return fail(Errc::kExhausted, "the peer does not read its control messages");
  }
  if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN) {
    return fail(Errc::kUnavailable, "the control connection is closed");
  }
  return fail_errno(errno, "cannot send a control message");
}

Result<std::optional<std::string_view>> receive_packet(int fd, std::span<char> buffer) {
  iovec part = {buffer.data(), buffer.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxDescriptors)];
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t n = 0;
  do {
    n = ::recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n < 0) {
    if (errno == EAGAIN) return std::nullopt;
    if (errno == ECONNRESET) return std::string_view();
    return fail_errno(errno, "cannot receive a control message");
  }
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    for (size_t at = 0; at + CMSG_LEN(0) < c->cmsg_len; at += sizeof(int)) {
      int stray = -1;
      std::memcpy(&stray, CMSG_DATA(c) + at, sizeof stray);
      ::close(stray);
    }
  }
  if ((message.msg_flags & MSG_TRUNC) != 0) {
    return fail(Errc::kInvalid, "a control message longer than {} bytes", buffer.size());
  }
  return std::string_view(buffer.data(), static_cast<size_t>(n));
}

}  // namespace ebb::node
