#include "node/packet.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
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

Result<std::optional<std::string_view>> receive_packet(int fd, std::span<char> buffer,
                                                       std::vector<UniqueFd>* descriptors,
                                                       pid_t* sender) {
  iovec part = {buffer.data(), buffer.size()};
  alignas(
      cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxDescriptors) + CMSG_SPACE(sizeof(ucred))];
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
    if (c->cmsg_level != SOL_SOCKET) continue;
    if (c->cmsg_type == SCM_CREDENTIALS && sender != nullptr) {
      ucred who = {};
      std::memcpy(&who, CMSG_DATA(c), sizeof who);
      *sender = who.pid;
    }
    if (c->cmsg_type != SCM_RIGHTS) continue;
    for (size_t at = 0; at + CMSG_LEN(0) < c->cmsg_len; at += sizeof(int)) {
      int received = -1;
      std::memcpy(&received, CMSG_DATA(c) + at, sizeof received);
      UniqueFd owned(received);
      if (descriptors != nullptr) descriptors->push_back(std::move(owned));
    }
  }
  if ((message.msg_flags & MSG_TRUNC) != 0) {
    return fail(Errc::kInvalid, "a control message longer than {} bytes", buffer.size());
  }
  return std::string_view(buffer.data(), static_cast<size_t>(n));
}

Result<UniqueFd> make_text_file(std::string_view text) {
  UniqueFd file(::memfd_create("ebb-text", MFD_CLOEXEC));
  if (!file) return fail_errno(errno, "cannot make a file in memory");
  while (!text.empty()) {
    const ssize_t n = ::write(file.get(), text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "cannot write a file in memory");
    text.remove_prefix(static_cast<size_t>(n));
  }
  return file;
}

Result<std::string> read_text_file(int fd, size_t max_bytes) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) return fail_errno(errno, "cannot read a file in memory");
  const auto size = static_cast<size_t>(std::max<off_t>(info.st_size, 0));
  if (size > max_bytes) return fail(Errc::kExhausted, "a text of more than {} bytes", max_bytes);
  std::string text(size, '\0');
  size_t at = 0;
  while (at < size) {  // from its beginning: the offset is shared with the writer
    const ssize_t n = ::pread(fd, text.data() + at, size - at, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail_errno(n < 0 ? errno : EIO, "cannot read a file in memory");
    at += static_cast<size_t>(n);
  }
  return text;
}

}  // namespace ebb::node
