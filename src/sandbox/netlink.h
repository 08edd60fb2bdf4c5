// Asks the kernel to change the network: rtnetlink and nfnetlink messages in one
// fixed buffer, sent at once, each answered with an acknowledgement.
//
// Allocates nothing and throws nothing: the zygote and the pods use it too. The
// kernel is the only peer: answers from anybody else are ignored.
//
//   NetlinkBatch batch;
//   batch.begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
//   batch.put(ifinfomsg{});
//   batch.attribute(IFLA_IFNAME, "ebb0");
//   const int error = netlink_transact(fd, batch);   // 0 or -errno
#pragma once

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

namespace ebb::sandbox {

class NetlinkBatch final {
 public:
  static constexpr size_t kBytes = 2048;
  static constexpr unsigned kMaxMessages = 8;

  enum class Failure {
    kCounts,
    kIgnored,  // what it asks for is a nicety that a kernel may lack
  };
  // Begins the next message; it is acknowledged unless it is nfnetlink's frame
  // around a batch.
  void begin(uint16_t type, uint16_t flags, Failure failure = Failure::kCounts);
  void begin_frame(uint16_t type);
  template <class Header>
  void put(const Header& header) {
    append(&header, sizeof header);
  }
  void attribute(uint16_t type, const void* data, size_t bytes);
  void attribute(uint16_t type, const char* text) { attribute(type, text, strlen(text) + 1); }
  void attribute(uint16_t type, uint32_t value) { attribute(type, &value, sizeof value); }
  void attribute8(uint16_t type, uint8_t value) { attribute(type, &value, sizeof value); }
  // The place to give to end_nest().
  [[nodiscard]] size_t nest(uint16_t type);
  void end_nest(size_t place);

  [[nodiscard]] const char* data() const { return buffer_; }
  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] bool overflowed() const { return overflowed_; }
  [[nodiscard]] unsigned acknowledgements() const;
  [[nodiscard]] unsigned messages() const { return messages_; }
  [[nodiscard]] bool counts(unsigned message) const { return counts_[message]; }

 private:
  void append(const void* data, size_t bytes);
  void close_message();
  void start(uint16_t type, uint16_t flags);

  alignas(NLMSG_ALIGNTO) char buffer_[kBytes];
  size_t size_ = 0;
  size_t message_ = 0;  // where the open one begins
  unsigned messages_ = 0;
  bool acknowledged_[kMaxMessages] = {};
  bool counts_[kMaxMessages] = {};
  bool overflowed_ = false;
};

// A netlink socket (NETLINK_ROUTE, NETLINK_NETFILTER) whose reads wait 5 s at most;
// -errno on failure.
[[nodiscard]] int netlink_open(int protocol);

// Sends the batch and waits for all acknowledgements. 0, or -errno of the first
// message that failed.
[[nodiscard]] int netlink_transact(int fd, NetlinkBatch& batch);

// Asks for a list (NLM_F_DUMP of `type` with `family`) and calls `each` with every
// message of it. 0 or -errno.
[[nodiscard]] int netlink_dump(int fd, uint16_t type, uint8_t family,
                               void (*each)(void* context, const nlmsghdr& message), void* context);

// Calls `each` with the attributes in `bytes` at `data`; stops at the first that does
// not fit.
template <class Each>
void for_each_attribute(const void* data, size_t bytes, Each each) {
  const char* at = static_cast<const char*>(data);
  while (bytes >= sizeof(nlattr)) {
    nlattr header;
    memcpy(&header, at, sizeof header);
    if (header.nla_len < sizeof header || header.nla_len > bytes) return;
    each(static_cast<uint16_t>(header.nla_type & NLA_TYPE_MASK), at + sizeof header,
         static_cast<size_t>(header.nla_len - sizeof header));
    const size_t step = NLA_ALIGN(header.nla_len);
    if (step >= bytes) return;
    at += step;
    bytes -= step;
  }
}

}  // namespace ebb::sandbox
