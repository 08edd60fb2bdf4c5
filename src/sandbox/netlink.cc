#include "sandbox/netlink.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

namespace ebb::sandbox {
namespace {

constexpr int kAnswerSeconds = 5;       // the kernel answers while we send
constexpr size_t kAnswerBytes = 32768;  // a dump's packets are at most this large

// One packet from the kernel; 0 for one from anybody else, -errno.
ssize_t receive(int fd, char* buffer, size_t bytes) {
  sockaddr_nl from = {};
  socklen_t length = sizeof from;
  ssize_t n = 0;
  do {
    n = recvfrom(fd, buffer, bytes, 0, reinterpret_cast<sockaddr*>(&from), &length);
  } while (n < 0 && errno == EINTR);
  if (n < 0) return errno == EAGAIN ? -ETIMEDOUT : -errno;
  return from.nl_pid == 0 ? n : 0;
}

time_t seconds_now() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec;
}

// Calls `each` with the messages of a packet.
template <class Each>
void for_each_message(const char* data, size_t bytes, Each each) {
  while (bytes >= sizeof(nlmsghdr)) {
    nlmsghdr header;
    memcpy(&header, data, sizeof header);
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > bytes) return;
    each(header, data);
    const size_t step = NLMSG_ALIGN(header.nlmsg_len);
    if (step >= bytes) return;
    data += step;
    bytes -= step;
  }
}

// The error of an NLMSG_ERROR message, 0 for an acknowledgement.
int error_of(const nlmsghdr& header, const char* message) {
  int error = -EBADMSG;
  if (header.nlmsg_len >= NLMSG_LENGTH(sizeof error)) {
    memcpy(&error, message + NLMSG_HDRLEN, sizeof error);
  }
  return error;
}

}  // namespace

void NetlinkBatch::append(const void* data, size_t bytes) {
  const size_t padded = NLMSG_ALIGN(bytes);
  if (overflowed_ || padded > kBytes - size_) {
    overflowed_ = true;
    return;
  }
  memcpy(buffer_ + size_, data, bytes);
  memset(buffer_ + size_ + bytes, 0, padded - bytes);
  size_ += padded;
  close_message();
}

void NetlinkBatch::close_message() {
  const auto length = static_cast<uint32_t>(size_ - message_);
  memcpy(buffer_ + message_ + offsetof(nlmsghdr, nlmsg_len), &length, sizeof length);
}

void NetlinkBatch::start(uint16_t type, uint16_t flags) {
  if (messages_ >= kMaxMessages) {
    overflowed_ = true;
    return;
  }
  nlmsghdr header = {};
  header.nlmsg_len = sizeof header;
  header.nlmsg_type = type;
  header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
  header.nlmsg_seq = messages_++;
  message_ = size_;
  append(&header, sizeof header);
}

void NetlinkBatch::begin(uint16_t type, uint16_t flags, Failure failure) {
  const unsigned index = messages_;
  start(type, flags | NLM_F_ACK);
  if (overflowed_) return;
  acknowledged_[index] = true;
  counts_[index] = failure == Failure::kCounts;
}

void NetlinkBatch::begin_frame(uint16_t type) {
  const unsigned index = messages_;
  start(type, 0);
  if (!overflowed_) counts_[index] = true;
}

void NetlinkBatch::attribute(uint16_t type, const void* data, size_t bytes) {
  const nlattr header = {static_cast<uint16_t>(sizeof header + bytes), type};
  append(&header, sizeof header);
  append(data, bytes);
}

size_t NetlinkBatch::nest(uint16_t type) {
  const size_t place = size_;
  const nlattr header = {sizeof header, static_cast<uint16_t>(type | NLA_F_NESTED)};
  append(&header, sizeof header);
  return place;
}

void NetlinkBatch::end_nest(size_t place) {
  if (overflowed_) return;
  const auto length = static_cast<uint16_t>(size_ - place);
  memcpy(buffer_ + place + offsetof(nlattr, nla_len), &length, sizeof length);
}

unsigned NetlinkBatch::acknowledgements() const {
  unsigned count = 0;
  for (unsigned i = 0; i < messages_; ++i) count += acknowledged_[i] ? 1 : 0;
  return count;
}

int netlink_open(int protocol) {
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
  if (fd < 0) return -errno;
  const timeval wait = {kAnswerSeconds, 0};
  const int on = 1;
  sockaddr_nl address = {};
  address.nl_family = AF_NETLINK;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) != 0 ||
      bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int error = -errno;
    close(fd);
    return error;
  }
  // Acknowledgements without the request in them.
  setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  return fd;
}

int netlink_transact(int fd, NetlinkBatch& batch) {
  if (batch.overflowed()) return -EMSGSIZE;
  if (send(fd, batch.data(), batch.size(), 0) != static_cast<ssize_t>(batch.size())) return -errno;
  int failed = 0;
  unsigned open = batch.acknowledgements();
  const time_t deadline = seconds_now() + kAnswerSeconds;
  alignas(NLMSG_ALIGNTO) char answer[4096];
  while (open > 0) {
    if (seconds_now() > deadline) return -ETIMEDOUT;
    const ssize_t n = receive(fd, answer, sizeof answer);
    if (n < 0) return static_cast<int>(n);
    for_each_message(answer, static_cast<size_t>(n), [&](const nlmsghdr& header, const char* at) {
      if (header.nlmsg_type != NLMSG_ERROR || header.nlmsg_seq >= batch.messages()) return;
      const int error = error_of(header, at);
      // A refused frame leaves the rest of its batch unanswered.
      open = header.nlmsg_seq == 0 && batch.acknowledgements() < batch.messages() ? 0 : open - 1;
      if (failed == 0 && batch.counts(header.nlmsg_seq)) failed = error;
    });
  }
  return failed;
}

int netlink_dump(int fd, uint16_t type, uint8_t family,
                 void (*each)(void* context, const nlmsghdr& message), void* context) {
  struct {
    nlmsghdr header;
    rtmsg body;  // the largest of the headers that begin with the family
  } request = {};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = type;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.body.rtm_family = family;
  if (send(fd, &request, sizeof request, 0) != sizeof request) return -errno;
  static char answer[kAnswerBytes];  // one thread
  int result = 1;
  const time_t deadline = seconds_now() + kAnswerSeconds;
  while (result > 0) {
    if (seconds_now() > deadline) return -ETIMEDOUT;
    const ssize_t n = receive(fd, answer, sizeof answer);
    if (n < 0) return static_cast<int>(n);
    for_each_message(answer, static_cast<size_t>(n), [&](const nlmsghdr& header, const char* at) {
      if (header.nlmsg_type == NLMSG_DONE) {
        result = 0;
      } else if (header.nlmsg_type == NLMSG_ERROR) {
        result = error_of(header, at);
      } else {
        each(context, *reinterpret_cast<const nlmsghdr*>(at));
      }
    });
  }
  return result;
}

}  // namespace ebb::sandbox
