// Packets with descriptors over a Unix SOCK_SEQPACKET socket. Non-blocking.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace ebb::node {

struct SocketPair {
  UniqueFd ours;    // non-blocking
  UniqueFd theirs;  // blocking
};
[[nodiscard]] Result<SocketPair> make_packet_pair();

// Sends one packet with at most 8 descriptors (copies). kExhausted when the
// peer's queue is full, kUnavailable when the peer has gone. Thread-safe.
[[nodiscard]] Result<void> send_packet(int fd, std::string_view data,
                                       std::span<const int> fds = {});

// One packet, empty when the peer has closed; nullopt when none waits. `buffer`
// bounds its size: a longer one is an error. Descriptors sent with it are closed.
[[nodiscard]] Result<std::optional<std::string_view>> receive_packet(int fd,
                                                                     std::span<char> buffer);

}  // namespace ebb::node
