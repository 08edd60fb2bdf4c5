// Packets with descriptors over a Unix SOCK_SEQPACKET socket. Non-blocking.
#pragma once

#include <sys/types.h>

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
// bounds its size: a longer one is an error. Descriptors sent with it are added to
// `descriptors`, or closed without. `sender` becomes the process that sent it, as the kernel
// knows it, if the socket asks for that (SO_PASSCRED).
[[nodiscard]] Result<std::optional<std::string_view>> receive_packet(
    int fd, std::span<char> buffer, std::vector<UniqueFd>* descriptors = nullptr,
    pid_t* sender = nullptr);

// A text that may be longer than a packet: a file in memory, to be sent with one.
[[nodiscard]] Result<UniqueFd> make_text_file(std::string_view text);
// All of one; kExhausted if it has more than `max_bytes`.
[[nodiscard]] Result<std::string> read_text_file(int fd, size_t max_bytes);

}  // namespace ebb::node
